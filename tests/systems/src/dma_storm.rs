//! A storm of refused DMA, and a real-time neighbour that does not notice.

use anyhow::{Context, ensure};
use regex::Regex;

use crate::bench::Bench;
use crate::partitions::partition;
use crate::registry::Test;
use crate::system_file::SystemFile;

/// Nanoseconds (instructions) by which the storm may make 99 of 100 wake-ups later than a neighbour whose device rests. QEMU runs one CPU
/// at a time under `-icount`, each for a share of the time to the next timer: that makes up nearly all of the lateness itself.
const TOLERANCE: u64 = 2_000;
/// Storms, and so restarts of the attacker, while the neighbour measures.
const STORMS: usize = 4;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "dma/smmuv3/storm",
            &["dma", "attack", "guests"],
            neighbour_of_a_dma_storm_keeps_its_latency,
        )
        .limit(300),
    ]
}

fn neighbour_of_a_dma_storm_keeps_its_latency(bench: &Bench<'_>) -> anyhow::Result<()> {
    let quiet = lateness_beside(bench, 0)?;
    let storms = lateness_beside(bench, STORMS)?;
    ensure!(
        storms <= quiet + TOLERANCE,
        "99 of 100 wake-ups are at most {storms} ns late beside DMA storms, {quiet} ns without them"
    );
    Ok(())
}

/// The 99th percentile of how late `rt` wakes, in nanoseconds, while the device of another partition makes so many storms of refused
/// accesses. Each starts that partition again, and so is heard anew.
fn lateness_beside(bench: &Bench<'_>, storms: usize) -> anyhow::Result<u64> {
    let attacker = "devices = [{ device = \"/pcie@10000000\", without = [\"msi\"] }]\non_fault = \"restart\"\n";
    let system = SystemFile::new("dma-storm", "qemu-virt-gicv3-smmu")
        .guest("rt", "rt", 1)
        .partition("attacker", 1, "16MiB", "\"guest:dma\"", attacker);
    let mut session = bench.start_with(&system, |options| {
        options.icount = true;
        let edu = ["-device", "edu,addr=3,dma_mask=0xffffffffffffffff"];
        options.extra.extend(edu.map(str::to_owned));
    })?;
    for restarts in 1..=storms {
        session.wait_for("attacker", "^dma: edu is there$", bench.left())?;
        session.send("attacker", "s")?;
        let again = format!("attacker: started again, {restarts} restarts");
        session.wait_for("hv", &again, bench.left())?;
    }
    ensure!(
        !session.text("rt").contains("rt: done"),
        "the neighbour had measured before the storms were over"
    );
    session.wait_for("rt", "^rt: done$", bench.left())?;
    let text = session.text("rt");
    ensure!(
        text.contains("rt: missed 0 periods"),
        "rt missed periods beside {storms} storms"
    );
    let rt = partition(&mut session, "rt", bench)?;
    ensure!(
        (rt.state.as_str(), rt.faults) == ("running", 0),
        "rt is {} after {} faults",
        rt.state,
        rt.faults
    );
    let line = Regex::new(r"(?m)^rt: jitter min=\d+ mean=\d+ p99=(\d+) ")?;
    let found = line.captures(&text).context("rt printed no lateness")?;
    Ok(found[1].parse()?)
}
