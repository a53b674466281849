//! The demo, run as a user runs it without a terminal.

use anyhow::ensure;

use crate::bench::Bench;
use crate::linux::CLOUD;
use crate::registry::{Need, Test};

pub fn tests() -> Vec<Test> {
    ["qemu-virt-gicv2", "qemu-virt-gicv3"]
        .into_iter()
        .map(|board| {
            Test::new(format!("demo/{board}"), &["demo"], move |bench| {
                ends_with_its_table(bench, board)?;
                Ok(())
            })
            .needs(Need::Kernel(CLOUD))
            .limit(420)
        })
        .collect()
}

/// Runs a board's demo. Returns what it printed.
pub fn ends_with_its_table(bench: &Bench<'_>, board: &str) -> anyhow::Result<String> {
    let output = bench.xtask(&["--offline", "demo", "--board", board])?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "the demo failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    for part in ["rt: jitter", "vandal: ", "dearest exit"] {
        ensure!(text.contains(part), "the demo's output lacks {part:?}");
    }
    let rows = text.lines().filter(|line| {
        ["linux ", "rt ", "vandal "]
            .iter()
            .any(|name| line.starts_with(name))
    });
    ensure!(rows.count() >= 3, "the demo's table lacks a partition");
    Ok(text)
}
