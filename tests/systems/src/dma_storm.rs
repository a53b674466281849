//! Storms of refused DMA, and real-time neighbours.

use anyhow::{Context, ensure};
use qemu::session::Session;
use regex::Regex;

use crate::bench::Bench;
use crate::partitions::partition;
use crate::registry::Test;
use crate::shares::figure;
use crate::system_file::SystemFile;

/// Storms, and so restarts of the attacker, while the neighbours measure.
const STORMS: usize = 4;

/// How late 99 of 100 wake-ups of a neighbour may be, in nanoseconds, and how late any.
const MOSTLY: u64 = 2_000;
const EVER: u64 = 500_000;
/// Guests with pCPUs of their own that wake every millisecond.
const NEIGHBOURS: [&str; 2] = ["rt", "second"];

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "dma/smmuv3/storm",
            &["dma", "attack", "guests"],
            neighbours_of_a_dma_storm_keep_their_latency,
        )
        .limit(300),
    ]
}

/// The first one has a device with a smaller stream number: its CPU takes the IOMMU's interrupts, until the first fault has an author.
///
/// While the device of another partition makes storms of refused accesses, each of which starts that partition again and so is heard anew, two
/// real-time guests wake every millisecond, 99 of 100 times within [`MOSTLY`], each time within [`EVER`].
///
/// Instructions are counted: one is one nanosecond. QEMU then runs one CPU at a time, each for a share of the time to the next timer. A guest that polls
/// burns that share while interrupts of its neighbours wait, up to 33 of the 100 ms that the device takes for a transfer; so everybody sleeps here
/// while there is nothing to do. What the hypervisor does on the attacker's CPU takes such shares still: a third of a millisecond beside a neighbour's
/// timer.
fn neighbours_of_a_dma_storm_keep_their_latency(bench: &Bench<'_>) -> anyhow::Result<()> {
    let device = |slot: u32| {
        format!("devices = [{{ device = \"/pcie@10000000/00:0{slot}.0\", without = [\"msi\"] }}]\n")
    };
    let attacker = device(3) + "on_fault = \"restart\"\n";
    let [first, second] = NEIGHBOURS;
    let system = SystemFile::new("dma-storm", "qemu-virt-gicv3-smmu")
        .partition(first, 1, "16MiB", "\"guest:rt\"", &device(2))
        .guest(second, "rt", 1)
        .partition("attacker", 1, "16MiB", "\"guest:dma\"", &attacker);
    let mut session = bench.start_with(&system, |options| {
        options.icount = true;
        for slot in [2, 3] {
            let edu = format!("edu,addr={slot},dma_mask=0xffffffffffffffff");
            options.extra.extend(["-device".to_owned(), edu]);
        }
    })?;
    for restarts in 1..=STORMS {
        session.wait_for("attacker", "^dma: edu is there$", bench.left())?;
        session.send("attacker", "s")?;
        let again = format!("attacker: started again, {restarts} restarts");
        session.wait_for("hv", &again, bench.left())?;
    }
    for neighbour in NEIGHBOURS {
        let worst = worst_of_all(&mut session, neighbour, bench)?;
        let mostly = figure(&session, neighbour, "p99")?;
        ensure!(
            worst <= EVER && mostly <= MOSTLY,
            "wake-ups of {neighbour} were {worst} ns late, 99 of 100 of them {mostly} ns"
        );
        let found = partition(&mut session, neighbour, bench)?;
        ensure!(
            (found.state.as_str(), found.faults) == ("running", 0),
            "{neighbour} is {} after {} faults",
            found.state,
            found.faults
        );
    }
    Ok(())
}

/// The latest of all wake-ups of the guest `rt` until now: it says so every five seconds, of those since it said so before.
fn worst_of_all(session: &mut Session, guest: &str, bench: &Bench<'_>) -> anyhow::Result<u64> {
    // To its unit: a line may come in pieces.
    const STATUS: &str = "^rt: status .* missed 0, worst [0-9]+ ns";
    // Behind those that are there already, one more.
    let before = session.text(guest).matches("rt: status").count();
    for _ in 0..=before {
        session.wait_for(guest, STATUS, bench.left())?;
    }
    let text = session.text(guest);
    let worst = Regex::new(r"worst (\d+) ns")?;
    let all = worst.captures_iter(&text).map(|found| found[1].parse());
    let all: Vec<u64> = all.collect::<Result<_, _>>()?;
    all.into_iter().max().context("it has said nothing")
}
