//! A guest that does random things to its interrupt controller, and a real-time neighbour that does not notice.

use anyhow::{Context, ensure};
use regex::Regex;

use crate::bench::Bench;
use crate::partitions::partition;
use crate::registry::Test;
use crate::system_file::SystemFile;

/// Nanoseconds (instructions) by which the hostile neighbour may make 99 of 100 wake-ups later than one that only spins does. QEMU runs
/// one CPU at a time under `-icount`, each for a share of the time to the next timer: that makes up nearly all of the lateness itself.
const TOLERANCE: u64 = 2_000;

/// Operations before the guest says `done`.
const OPERATIONS: u64 = 1_000_000;

pub fn tests() -> Vec<Test> {
    ["gicv2", "gicv3"]
        .map(|gic| {
            Test::new(
                format!("guests/gic-vandal/{gic}"),
                &["guests", "attack", "gic"],
                move |bench| neighbour_of_a_gic_vandal_keeps_its_latency(bench, gic),
            )
            .limit(300)
        })
        .into()
}

fn neighbour_of_a_gic_vandal_keeps_its_latency(bench: &Bench<'_>, gic: &str) -> anyhow::Result<()> {
    let quiet = lateness_beside(bench, gic, "spin")?;
    let hostile = lateness_beside(bench, gic, "gic-vandal")?;
    ensure!(
        hostile <= quiet + TOLERANCE,
        "99 of 100 wake-ups are at most {hostile} ns late beside the hostile guest, {quiet} ns beside one that spins"
    );
    Ok(())
}

/// The 99th percentile of how late `rt` wakes, in nanoseconds, beside a guest with two virtual CPUs. What the guest does is counted, and nobody
/// fails for it.
fn lateness_beside(bench: &Bench<'_>, gic: &str, neighbour: &str) -> anyhow::Result<u64> {
    let system = SystemFile::new(neighbour, &format!("qemu-virt-{gic}"))
        .guest("rt", "rt", 1)
        .guest(neighbour, neighbour, 2);
    let mut session = bench.start_with(&system, |options| options.icount = true)?;
    session.wait_for("rt", "^rt: done$", bench.left())?;
    let text = session.text("rt");
    ensure!(
        text.contains("rt: missed 0 periods"),
        "rt missed periods beside {neighbour}"
    );
    if neighbour == "gic-vandal" {
        session.wait_for(neighbour, "^gic-vandal: done$", bench.left())?;
        let vandal = partition(&mut session, neighbour, bench)?;
        ensure!(
            vandal.state == "running" && vandal.exit_count() >= OPERATIONS / 4,
            "the hostile guest is {} after {} exits",
            vandal.state,
            vandal.exit_count()
        );
        let rt = partition(&mut session, "rt", bench)?;
        ensure!(
            (rt.state.as_str(), rt.faults) == ("running", 0),
            "rt is {} after {} faults",
            rt.state,
            rt.faults
        );
    }
    ensure!(
        !session.text("hv").contains("***"),
        "the hypervisor has failed"
    );
    let line = Regex::new(r"(?m)^rt: jitter min=\d+ mean=\d+ p99=(\d+) ")?;
    let found = line.captures(&text).context("rt printed no lateness")?;
    Ok(found[1].parse()?)
}
