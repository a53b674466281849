//! A storm of refused DMA, and a real-time neighbour that does not notice.

use anyhow::ensure;

use crate::bench::Bench;
use crate::partitions::partition;
use crate::registry::Test;
use crate::system_file::SystemFile;

/// Storms, and so restarts of the attacker, while the neighbour measures.
const STORMS: usize = 4;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "dma/smmuv3/storm",
            &["dma", "attack", "guests"],
            neighbour_of_a_dma_storm_misses_no_period,
        )
        .limit(300),
    ]
}

/// While the device of another partition makes storms of refused accesses, each of which starts that partition again and so is heard anew,
/// `rt` wakes every millisecond and misses none. QEMU runs one CPU at a time under `-icount`, each for a share of the time to the next
/// timer: that makes up nearly all of the lateness, so it is the periods that count here, and a second real-time guest keeps the turns short.
fn neighbour_of_a_dma_storm_misses_no_period(bench: &Bench<'_>) -> anyhow::Result<()> {
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
    let text = session.text("rt");
    ensure!(
        text.contains("rt: missed 0 periods"),
        "rt missed periods beside {STORMS} storms"
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
