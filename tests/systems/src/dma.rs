//! DMA behind an SMMU: QEMU's `edu` as an attacker.

use anyhow::ensure;
use qemu::session::Session;

use crate::bench::Bench;
use crate::partitions::partition;
use crate::registry::Test;
use crate::system_file::SystemFile;

/// Where `edu` is.
const EDU: &str = "/pcie@10000000/00:03.0";
/// What the `dma` guest does when this is typed: moves memory inside its own,
const INSIDE: &str = "i";
/// reads and writes what is not its own,
const ABROAD: &str = "a";
/// floods one such place,
const STORM: &str = "s";
/// and, as the victim, checks its memory.
const CHECK: &str = "c";

/// Places that the guest tries, a read and a write each: just as many as a device is heard of.
const PLACES: u64 = 8;

pub fn tests() -> Vec<Test> {
    // The device by itself, without messages: to them belongs a page that it reaches. And the bridge with all that is behind it.
    let confined = |on_fault: &str, device: &str| {
        let more = format!("devices = [{device}]\non_fault = \"{on_fault}\"\n");
        SystemFile::new(&format!("dma-{on_fault}"), "qemu-virt-gicv3-smmu")
            .partition("attacker", 1, "16MiB", "\"guest:dma\"", &more)
            .guest_at("victim", "dma", "0x60000000")
    };
    let alone = format!("{{ device = \"{EDU}\", without = [\"msi\"] }}");
    let inject = confined("inject", &alone);
    let restart = confined("restart", "\"/pcie@10000000\"");
    vec![
        Test::new(
            "dma/smmuv3/attack",
            &["dma", "attack", "guests", "fault"],
            move |bench| attacker_reaches_its_own_memory_only(bench, &inject),
        ),
        Test::new(
            "dma/smmuv3/restart",
            &["dma", "guests", "restart"],
            move |bench| fault_restarts_the_attacker_and_its_device_works_again(bench, &restart),
        ),
    ]
}

fn start(bench: &Bench<'_>, system: &SystemFile) -> anyhow::Result<Session> {
    let mut session = bench.start_with(system, |options| {
        // By default the device cuts addresses to 28 bits, below all RAM.
        let edu = ["-device", "edu,addr=3,dma_mask=0xffffffffffffffff"];
        options.extra.extend(edu.map(str::to_owned));
    })?;
    session.wait_for("victim", "^dma: secret is in place$", bench.left())?;
    session.wait_for("attacker", "^dma: edu is there$", bench.left())?;
    Ok(session)
}

fn works_inside(session: &mut Session, bench: &Bench<'_>) -> anyhow::Result<()> {
    session.send("attacker", INSIDE)?;
    session.wait_for("attacker", "^dma: 4096 bytes arrived inside$", bench.left())?;
    Ok(())
}

fn victim_is_intact(session: &mut Session, bench: &Bench<'_>) -> anyhow::Result<()> {
    session.send("victim", CHECK)?;
    session.wait_for("victim", "^dma: 8388608 bytes are intact$", bench.left())?;
    Ok(())
}

/// DMA inside works before, between and after. Each access outside is refused and told with partition, device, stream and address; then the
/// device is muted, and what a storm of it tries is refused without a word.
fn attacker_reaches_its_own_memory_only(
    bench: &Bench<'_>,
    system: &SystemFile,
) -> anyhow::Result<()> {
    let mut session = start(bench, system)?;
    works_inside(&mut session, bench)?;
    session.send("attacker", ABROAD)?;
    let over = "^dma: attack is over, 0 secrets read$";
    session.wait_for("attacker", over, bench.left())?;
    for place in ["0x60800000", "0xbffff000", "0x8000000", "0x9050020"] {
        for what in ["write", "read"] {
            let told = format!(
                "attacker: fault \\d+: DMA of {EDU}, stream 0x18: {what} at {place}: nothing is mapped there"
            );
            session.wait_for("hv", &told, bench.left())?;
        }
    }
    let muted = format!("{EDU}: its further DMA faults are not told");
    session.wait_for("hv", &muted, bench.left())?;
    let found = partition(&mut session, "attacker", bench)?;
    ensure!(
        found.faults == 2 * PLACES,
        "{} faults were counted, not {}",
        found.faults,
        2 * PLACES
    );
    victim_is_intact(&mut session, bench)?;
    works_inside(&mut session, bench)?;

    session.send("attacker", STORM)?;
    session.wait_for("attacker", "^dma: storm is over$", bench.left())?;
    victim_is_intact(&mut session, bench)?;
    works_inside(&mut session, bench)?;
    ensure!(
        !session.text("hv").contains("nobody"),
        "a fault has no owner: {}",
        session.text("hv")
    );
    Ok(())
}

/// With `on_fault = "restart"` the first access outside starts the attacker again: its streams are detached and attached, and DMA works.
fn fault_restarts_the_attacker_and_its_device_works_again(
    bench: &Bench<'_>,
    system: &SystemFile,
) -> anyhow::Result<()> {
    let mut session = start(bench, system)?;
    for restarts in 1..=2 {
        works_inside(&mut session, bench)?;
        session.send("attacker", STORM)?;
        let again = format!("attacker: started again, {restarts} restarts");
        session.wait_for("hv", &again, bench.left())?;
        session.wait_for("attacker", "^dma: edu is there$", bench.left())?;
        victim_is_intact(&mut session, bench)?;
    }
    works_inside(&mut session, bench)
}
