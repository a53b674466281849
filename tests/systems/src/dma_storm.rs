//! A storm of refused DMA, and a real-time neighbour.

use anyhow::ensure;

use crate::bench::Bench;
use crate::partitions::partition;
use crate::registry::Test;
use crate::system_file::SystemFile;
use crate::turns::figure;

/// Storms, and so restarts of the attacker, while the neighbour measures.
const STORMS: usize = 4;

/// How late 99 of 100 wake-ups of the neighbour may be, in nanoseconds.
const LATE: u64 = 100_000;

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

/// While the device of another partition makes storms of refused accesses, each of which starts that partition again and so is heard anew,
/// `rt` wakes every millisecond, 99 of 100 times in time. QEMU runs one CPU at a time under `-icount`, each for a share of the time to the next
/// timer; a second real-time guest keeps these turns short. The longest is not held to a bound: once or twice in 2,000 periods both guests, each on a
/// CPU of its own, lose the same 30 ms, and this test cannot tell whether QEMU's device takes them.
fn neighbour_of_a_dma_storm_keeps_its_latency(bench: &Bench<'_>) -> anyhow::Result<()> {
    let attacker = "devices = [{ device = \"/pcie@10000000\", without = [\"msi\"] }]\non_fault = \"restart\"\n";
    let system = SystemFile::new("dma-storm", "qemu-virt-gicv3-smmu")
        .guest("rt", "rt", 1)
        .guest("pace", "rt", 1)
        .partition("attacker", 1, "16MiB", "\"guest:dma\"", attacker);
    let mut session = bench.start_with(&system, |options| {
        options.icount = true;
        let edu = ["-device", "edu,addr=3,dma_mask=0xffffffffffffffff"];
        options.extra.extend(edu.map(str::to_owned));
    })?;
    for restarts in 1..=STORMS {
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
    let late = figure(&session, "rt", "p99")?;
    ensure!(
        late <= LATE,
        "99 of 100 wake-ups of rt are up to {late} ns late"
    );
    let rt = partition(&mut session, "rt", bench)?;
    ensure!(
        (rt.state.as_str(), rt.faults) == ("running", 0),
        "rt is {} after {} faults",
        rt.state,
        rt.faults
    );
    Ok(())
}
