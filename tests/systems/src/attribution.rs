//! Every refused access of a device is told with its partition and its path, whichever test made it.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use regex::Regex;

/// What the hypervisor said in the latest run.
const LOG: &str = "hv.log";

/// Fails when a log in this folder has a fault of an IOMMU that nobody's device made, or of a device without its path; a PC's is named by bus,
/// device and function.
pub fn check(logs: &Path) -> anyhow::Result<()> {
    let path = logs.join(LOG);
    if !path.exists() {
        return Ok(());
    }
    let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    if let Some(line) = unattributed(&String::from_utf8_lossy(&text))? {
        bail!("a fault of an IOMMU is not attributed: {line}");
    }
    Ok(())
}

/// The first line of a fault without partition or path.
fn unattributed(text: &str) -> anyhow::Result<Option<&str>> {
    let whole = Regex::new(
        r"[a-z0-9-]+: fault \d+: DMA of (/\S+|[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]), (stream|one of VMID) 0x",
    )?;
    let mut lines = text.lines();
    Ok(lines.find(|line| line.contains("DMA of ") && !whole.is_match(line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "WARN  a: fault 1: DMA of /pcie@1/00:03.0, stream 0x18: write at 0x0: nothing is mapped there";
    const NOBODYS: &str =
        "WARN  /smmu@9: DMA of nobody's stream 0x18 refused: write at 0x0: denied";

    #[test]
    fn fault_with_partition_and_path_passes_and_one_without_fails() {
        let folder = tempfile::tempdir().expect("folder");
        assert!(check(folder.path()).is_ok());
        for (text, passes) in [
            (format!("started\n{GOOD}\n"), true),
            (format!("{GOOD}\n{NOBODYS}\n"), false),
            (GOOD.replace("/pcie@1/00:03.0", "00:03.0"), true),
            (GOOD.replace("/pcie@1/00:03.0", "?"), false),
            (GOOD.replace("a: fault 1: ", ""), false),
        ] {
            fs::write(folder.path().join(LOG), &text).expect("log");
            assert_eq!(check(folder.path()).is_ok(), passes, "{text}");
        }
    }
}
