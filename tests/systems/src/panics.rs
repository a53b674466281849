//! No path from a guest to a panic: `cargo xtask stats` holds the panics that are left in linked images to a list.

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::bench::Bench;
use crate::costs::Budget;
use crate::registry::{Need, Test};
use crate::system_file::SystemFile;

/// A board that QEMU does not have: its image has the driver of an IOMMU that no machine of QEMU's has. No system has SMMUv2 yet.
const IPMMU_BOARD: &str = "rcar-h3";
/// What its system runs.
const KERNEL: &str = "linux-image-arm64";

pub fn tests() -> Vec<Test> {
    let mut tests = vec![
        Test::new("panics/gicv2", &["panic", "cli"], |bench| {
            let system = supervised(shared("qemu-virt-gicv2"));
            let parts = [
                "v2", "rtds", "cyclic", "monitor", "control", "tail", "pristine", "channels",
            ];
            is_justified(bench, &system, &parts).map(drop)
        }),
        Test::new("panics/gicv3", &["panic", "cli"], |bench| {
            let system = shared("qemu-virt-gicv3").partition(
                "old",
                1,
                "16MiB",
                "\"guest:hello\"",
                "gic = \"v2\"\n",
            );
            let figures = is_justified(bench, &system, &["v3", "rtds", "cyclic", "legacy"])?;
            is_short(&figures, "rtds-cyclic-legacy")
        }),
        Test::new("panics/global-its", &["panic", "cli"], |bench| {
            let time = "period = \"10ms\"\nbudget = \"4ms\"\n";
            let system = SystemFile::new("panics", "qemu-virt-gicv3")
                .partition_with_bridge("msi", 1, "16MiB", Some("0x50000000"), "\"guest:msi\"")
                .pool("pool", &[1, 2], "\"rtds\"\nplacement = \"global\"")
                .guest_in("pool", "one", "hello", 1, time);
            is_justified(bench, &system, &["v3", "its", "global"]).map(drop)
        }),
        Test::new("panics/smmuv3-pci", &["panic", "cli"], |bench| {
            let system = SystemFile::new("panics", "qemu-virt-gicv3-smmu").partition(
                "dma",
                1,
                "16MiB",
                "\"guest:dma\"",
                "devices = [\"/pcie@10000000/00:03.0\"]\n",
            );
            let figures = is_justified(bench, &system, &["v3", "its", "smmuv3", "pci"])?;
            is_short(&figures, "its-smmuv3")
        }),
    ];
    let body = |bench: &Bench<'_>| {
        let file = format!("configs/{IPMMU_BOARD}/linux-rt.toml");
        let file = bench.root().join(file);
        stats(bench, &file.to_string_lossy(), &["ipmmu"]).map(drop)
    };
    tests.push(
        Test::new("panics/ipmmu", &["panic", "cli"], body)
            .needs(Need::Board(IPMMU_BOARD))
            .needs(Need::Kernel(KERNEL)),
    );
    tests
}

/// A pool of each policy that shares CPUs.
fn shared(board: &str) -> SystemFile {
    SystemFile::new("panics", board)
        .pool("turns", &[0], "\"rtds\"")
        .pool("frame", &[1], "\"cyclic\"\nmajor_frame = \"10ms\"")
        .guest_in(
            "turns",
            "one",
            "hello",
            1,
            "period = \"10ms\"\nbudget = \"4ms\"\n",
        )
        .guest_in(
            "frame",
            "two",
            "hello",
            1,
            "windows = [{ start = \"0ms\", length = \"2ms\" }]\n",
        )
}

/// The system with a partition more that has every right over the first one, and shares memory with it.
fn supervised(system: SystemFile) -> SystemFile {
    let rights = "may_control = [\"one\"]\nmay_read_console = [\"one\"]\ncontrol_page = true\npristine = true\n";
    let ends =
        ["one", "supervisor"].map(|name| format!("{{ partition = \"{name}\", doorbell = true }}"));
    system
        .partition("supervisor", 1, "16MiB", "\"guest:hello\"", rights)
        .channel("words", "4KiB", &ends.each_ref().map(String::as_str))
}

fn is_justified(
    bench: &Bench<'_>,
    system: &SystemFile,
    features: &[&str],
) -> anyhow::Result<Value> {
    let file = bench.file("panics.toml", &system.text())?;
    stats(bench, &file.to_string_lossy(), features)
}

/// The image has no more lines compiled in than this ceiling allows.
fn is_short(figures: &Value, ceiling: &str) -> anyhow::Result<()> {
    let lines = figures["lines"].as_u64().context("no lines")?;
    Budget::read()?.check_lines(ceiling, lines)
}

/// The image has these parts, and every panic that is left in it is in the list. Returns its figures.
fn stats(bench: &Bench<'_>, file: &str, features: &[&str]) -> anyhow::Result<Value> {
    let output = bench.xtask(&["stats", "--json", file])?;
    let text = String::from_utf8_lossy(&output.stdout);
    let figures: Value = serde_json::from_str(&text).with_context(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        format!("`stats --json` prints no JSON: {errors}")
    })?;
    for feature in features {
        let parts = figures["features"].as_array();
        let has = parts.is_some_and(|parts| parts.iter().any(|part| part == feature));
        ensure!(has, "the image has no {feature}: {}", figures["features"]);
    }
    let panics = &figures["panics"];
    ensure!(
        panics["justified"].as_u64().is_some_and(|count| count > 0),
        "no panic was found at all: the boot has some"
    );
    ensure!(
        panics["problems"].as_array().is_some_and(Vec::is_empty) && output.status.success(),
        "{}",
        panics["problems"]
    );
    Ok(figures)
}
