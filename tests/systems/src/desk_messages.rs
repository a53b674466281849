//! ThunderX and ThunderX2 at a desk with what firmware adds to their trees: a host bridge behind an SMMU, whose functions signal through the ITS. Two
//! partitions have a function each; a third function is nobody's.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use board_model::isolation;

use crate::bench::Bench;
use crate::desk::{self, Plugged};
use crate::iommus::{self, ADDED, THUNDERX};
use crate::registry::Test;

/// A board, and what its firmware adds.
#[derive(Clone, Copy)]
struct Chip {
    board: &'static str,
    added: &'static str,
    bridge: &'static str,
}

const CHIPS: [Chip; 2] = [
    Chip {
        board: THUNDERX,
        added: ADDED,
        bridge: "/soc/pci@880000000000",
    },
    Chip {
        board: "thunderx2",
        added: ADDED_2,
        bridge: "/pcie@30000000",
    },
];

/// An SMMUv3 with the one page of registers that the chip is known for (Linux, erratum 74), where the tree has nothing else.
const ADDED_2: &str = r#"
/dts-v1/;
/plugin/;

&{/} {
	smmu: iommu@402300000 {
		compatible = "arm,smmu-v3";
		reg = <0x4 0x2300000 0x0 0x20000>;
		#iommu-cells = <1>;
		cavium,cn9900-broken-page1-regspace;
		interrupts = <0 88 1>, <0 90 1>;
		interrupt-names = "eventq", "gerror";
		dma-coherent;
	};

	pcie@30000000 {
		iommu-map = <0 &smmu 0 0x10000>;
	};
};
"#;

/// Device 3 and 5 of the first bus are given away, 8 is nobody's.
const PLACES: [u64; 3] = [3 << 3, 5 << 3, 8 << 3];
const GIVEN: [&str; 2] = ["00:03.0", "00:05.0"];

pub fn tests() -> Vec<Test> {
    CHIPS
        .map(|chip| {
            let name = format!("{}-messages", chip.board);
            desk::test(&name, chip.board, move |bench| {
                functions_are_kept_apart(bench, chip)
            })
        })
        .into()
}

/// Each function's stream reaches its partition and the place where the ITS takes messages, and nothing else.
fn functions_are_kept_apart(bench: &Bench<'_>, chip: Chip) -> anyhow::Result<()> {
    let added = bench.file("added.dtso", chip.added)?;
    let mut overlays = vec!["added.dtso"];
    if chip.board == THUNDERX {
        bench.file(
            iommus::OVERLAY,
            &iommus::board_file(bench, THUNDERX, iommus::OVERLAY)?,
        )?;
        overlays.push(iommus::OVERLAY);
    }
    let mut text = format!(
        "[system]\nname = \"messages\"\nboard = \"{}\"\noverlays = {overlays:?}\n",
        chip.board
    );
    for (cpu, place) in GIVEN.iter().enumerate() {
        text += &format!(
            r#"
[pools.p{cpu}]
policy = "dedicated"
cpus = [{cpu}]

[[partition]]
name = "p{cpu}"
pool = "p{cpu}"
memory = {{ size = "16MiB", at = "0x50000000" }}
image = "guest:msi"
console = "virtual"
devices = [{{ device = "{}/{place}", id = "1234:1001", vectors = 8 }}]
"#,
            chip.bridge
        );
    }
    let system = bench.file("messages.toml", &text)?;
    let tree = with_overlay(&bench.board_tree(chip.board)?, &added)?;
    let functions = Plugged {
        bridge: chip.bridge,
        places: &PLACES,
    };
    let desk = desk::start(bench, &system, chip.board, &tree, Some(functions))?;
    ensure!(
        desk.booted.guests.len() == GIVEN.len(),
        "{:?}",
        desk.booted.guests
    );
    let found = isolation::messages(&desk.machine.board, desk.own);
    ensure!(found.is_empty(), "{found:#?}");
    let streams = isolation::streams(&desk.machine.board, &desk.booted.guests);
    let doorbells = isolation::doorbells(&desk.machine.board);
    ensure!(
        (streams, doorbells) == (GIVEN.len(), GIVEN.len()),
        "{streams} streams reach a partition, {doorbells} the ITS"
    );
    Ok(())
}

/// The tree as firmware hands it over, with what it has added.
fn with_overlay(tree: &[u8], overlay: &Path) -> anyhow::Result<Vec<u8>> {
    let [base, compiled, result] =
        ["base.dtb", "added.dtbo", "board.dtb"].map(|name| overlay.with_file_name(name));
    std::fs::write(&base, tree)?;
    let mut dtc = Command::new("dtc");
    dtc.args(["-q", "-@", "-O", "dtb", "-o"])
        .arg(&compiled)
        .arg(overlay);
    let mut apply = Command::new("fdtoverlay");
    apply
        .arg("-i")
        .arg(&base)
        .arg("-o")
        .arg(&result)
        .arg(&compiled);
    for mut command in [dtc, apply] {
        let output = command
            .output()
            .with_context(|| format!("cannot run {command:?}"))?;
        ensure!(
            output.status.success(),
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(std::fs::read(&result)?)
}
