//! Systems for real boards, and for QEMU's with an SMMU: each is checked against the board's real device tree, reported, and its
//! guests get their trees. Nothing is booted. Each test prints how long that takes, fetching excluded.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::bench::Bench;
use crate::iommus::ZCU102;
use crate::registry::{Need, Test};

/// Boards with a system `configs/<board>/linux-rt.toml`.
pub(crate) const BOARDS: [&str; 13] = [
    "qemu-virt-gicv3-smmu",
    "rcar-d3",
    "rcar-e3",
    "rcar-h3",
    "rcar-m3n",
    "rcar-m3w",
    "rcar-s4",
    "rcar-v3h",
    "rcar-v4h",
    "rzg2m-hihope",
    "thunderx-88xx",
    "thunderx2",
    "xlnx-zcu102",
];

/// Those whose IOMMU does not work: Linux is trusted with its devices' DMA there.
const TRUSTED: [&str; 2] = ["rcar-m3w", "rzg2m-hihope"];

/// What Linux may change by calls to the firmware of a ZCU102: NODE_ETH_3 and SD_1; GEM_TSU, GEM3_REF, GEM3_TX, SDIO1_REF and GEM3_RX; the resets of both; LPD_LSBUS is
/// everybody's (Linux, `dt-bindings/{power,clock,reset}/xlnx-zynqmp-*.h`).
const ETHERNET_AND_SD: [&str; 4] = [
    "nodes 32, 40",
    "clocks 44, 48, 52, 55, 107",
    "resets 1032, 1039",
    "shared clocks 31",
];

/// The kernel of all these systems.
const KERNEL: &str = "linux-image-arm64";

/// Far beyond the 2 s that users are promised: a loaded machine fails no test, an algorithm that explodes does.
const LIMIT: Duration = Duration::from_secs(30);

pub fn tests() -> Vec<Test> {
    BOARDS
        .map(|board| {
            Test::new(
                format!("boards/{board}"),
                &["boards", "tree"],
                move |bench| system_is_proved(bench, board),
            )
            .needs(Need::Board(board))
            .needs(Need::Kernel(KERNEL))
        })
        .into()
}

fn system_is_proved(bench: &Bench<'_>, board: &str) -> anyhow::Result<()> {
    let system = bench
        .root()
        .join("configs")
        .join(board)
        .join("linux-rt.toml");
    let start = Instant::now();
    let output = bench.xtask(&["--offline", "report", &system.to_string_lossy()])?;
    let took = start.elapsed();
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!(
        "        {board}: checked, reported and guest trees written in {:.2} s",
        took.as_secs_f32()
    );
    ensure!(took < LIMIT, "it took {took:?}");

    let folder = bench.output().join(board).join("linux-rt");
    let html = std::fs::read_to_string(folder.join("report.html")).context("no report.html")?;
    ensure!(html.contains(board), "the report does not name its board");
    let report = std::fs::read(folder.join("report.json")).context("no report.json")?;
    let report: Value = serde_json::from_slice(&report).context("report.json is no JSON")?;
    ensure!(
        names(&report) == ["linux", "rt"],
        "the report has the partitions {:?}",
        names(&report)
    );

    let kinds = report["risks"].as_array().into_iter().flatten();
    let unconfined = kinds.filter(|risk| risk["kind"] == "no-iommu").count();
    ensure!(
        (unconfined > 0) == TRUSTED.contains(&board),
        "the report has {unconfined} devices that no IOMMU confines"
    );

    if board == ZCU102 {
        let found = &report["partitions"][0]["firmware_resources"];
        let found: Vec<_> = found
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        ensure!(
            found == ETHERNET_AND_SD,
            "calls of Linux may change {found:?}"
        );
    }

    let tree = bench.file("board.dtb", "")?;
    std::fs::write(&tree, bench.board_tree(board)?)?;
    let known = complaints(&tree)?;
    for partition in ["linux", "rt"] {
        let tree = folder.join(format!("{partition}.dtb"));
        let new: Vec<_> = complaints(&tree)?.difference(&known).cloned().collect();
        ensure!(
            new.is_empty(),
            "dtc warns of {partition}'s tree and not of the board's: {new:?}"
        );
        let text = String::from_utf8_lossy(&dtc(&tree, "dts")?.0).into_owned();
        ensure!(
            !text.contains("iommu"),
            "{partition}'s tree tells of an IOMMU"
        );
    }
    Ok(())
}

fn names(report: &Value) -> Vec<&str> {
    let partitions = report["partitions"].as_array();
    partitions
        .into_iter()
        .flatten()
        .filter_map(|partition| partition["name"].as_str())
        .collect()
}

/// What `dtc` warns of: the check and the node. Numbers in its messages differ between a board's tree and a guest's.
fn complaints(tree: &Path) -> anyhow::Result<BTreeSet<(String, String)>> {
    let (_, stderr) = dtc(tree, "dtb")?;
    let text = String::from_utf8_lossy(&stderr);
    let complaint = |line: &str| {
        let (_, rest) = line.split_once("Warning (")?;
        let (check, rest) = rest.split_once("): ")?;
        let node = rest.split(": ").next().unwrap_or(rest);
        // A property's name may follow the node's path.
        let node = node.rsplit_once(':').map_or(node, |(node, _)| node);
        Some((check.to_owned(), node.to_owned()))
    };
    Ok(text.lines().filter_map(complaint).collect())
}

/// What `dtc` writes for a compiled tree, and what it says.
fn dtc(tree: &Path, format: &str) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    let output = Command::new("dtc")
        .args(["-I", "dtb", "-O", format])
        .arg(tree)
        .stdin(Stdio::null())
        .output()
        .context("cannot start dtc")?;
    ensure!(
        output.status.success(),
        "dtc cannot read {}: {}",
        tree.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok((output.stdout, output.stderr))
}
