//! Xen's own command line: what it says about dom0, the console and the scheduler (Xen, docs/misc/xen-command-line.pandoc).

use super::Source;

/// What the command line says that has a counterpart.
#[derive(Debug, Default)]
pub(super) struct BootArguments {
    /// Bytes of dom0.
    pub dom0_memory: Option<u64>,
    /// Virtual CPUs of dom0.
    pub dom0_vcpus: Option<u32>,
    /// Alias or path of Xen's console.
    pub console: Option<String>,
    /// The scheduler of domains without a pool of their own.
    pub scheduler: Option<String>,
}

/// Arguments that need nothing here.
const NEEDLESS: [&str; 8] = [
    "console",
    "bootscrub",
    "noreboot",
    "iommu",
    "vwfi",
    "hmp-unsafe",
    "bootargs",
    "smt",
];

pub(super) fn read(source: &mut Source<'_>) -> BootArguments {
    let mut arguments = BootArguments::default();
    let text = source
        .tree
        .string(source.chosen, "xen,xen-bootargs")
        .unwrap_or_default();
    let mut unknown = Vec::new();
    for word in text.split_ascii_whitespace() {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "dom0_mem" => arguments.dom0_memory = memory(value),
            "dom0_max_vcpus" => {
                // A range `min-max` asks for at most the second.
                let most = value.rsplit('-').next().unwrap_or_default();
                arguments.dom0_vcpus = most.parse().ok();
            }
            "dtuart" => {
                let name = value.split(':').next().unwrap_or_default();
                arguments.console = (!name.is_empty()).then(|| name.to_owned());
            }
            "sched" => arguments.scheduler = Some(value.to_owned()),
            _ if NEEDLESS.contains(&key) => {}
            _ => unknown.push(word),
        }
    }
    if !unknown.is_empty() {
        let found = format!("Xen's arguments {}", unknown.join(" "));
        source.note(source.chosen, found, "see whether you need what they do");
    }
    arguments
}

/// `dom0_mem`: a size, or several after commas of which the one without `min:` and `max:` counts. A bare number is in KiB.
fn memory(text: &str) -> Option<u64> {
    let size = text.split(',').find(|part| !part.contains(':'))?;
    let digits = size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    let unit = match size.get(digits.len()..)?.to_ascii_uppercase().as_str() {
        "B" => 1,
        "" | "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::memory;

    #[test]
    fn memory_of_dom0_has_units_and_bounds() {
        assert_eq!(memory("512M"), Some(512 << 20));
        assert_eq!(memory("1048576"), Some(1 << 30));
        assert_eq!(memory("max:2G,1G"), Some(1 << 30));
        assert_eq!(memory("min:512M"), None);
        assert_eq!(memory("99999999999T"), None);
        assert_eq!(memory("muchM"), None);
    }
}
