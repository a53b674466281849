//! DMA behind an SMMU: QEMU's `edu` as an attacker.

use anyhow::{Context, ensure};
use qemu::session::Session;
use qemu::statistics::Statistics;
use qemu::trace::{Event, Ring};

use crate::bench::Bench;
use crate::registry::Test;
use crate::system_file::{SystemFile, TRACE};

/// Where `edu` is.
struct Spot {
    /// What the system is called then.
    system: &'static str,
    path: &'static str,
    /// Its stream, as faults tell it.
    stream: &'static str,
    /// Fields of the device in the system file.
    fields: &'static str,
    /// QEMU's bridges to it, and the one that it is behind.
    machine: &'static [&'static str],
}

/// On the first bus. By itself, without messages: to them belongs a page that it reaches.
const FIRST_BUS: Spot = Spot {
    system: "dma-first-bus",
    path: "/pcie@10000000/00:03.0",
    stream: "0x18",
    fields: "without = [\"msi\"]",
    machine: &["edu,addr=3"],
};
/// Behind a root port that keeps it apart.
const ROOT_PORT: Spot = Spot {
    system: "dma-root-port",
    path: "/pcie@10000000/00:06.0/05:00.0",
    stream: "0x500",
    fields: "without = [\"msi\"], acs = true",
    machine: &["pcie-root-port,id=upper,addr=6,chassis=1", "edu,bus=upper"],
};
/// Behind a bridge to a conventional bus, which stands for it: with device 0 of that bus.
const CONVENTIONAL: Spot = Spot {
    system: "dma-old-bus",
    path: "/pcie@10000000/00:06.0/01:00.0/02:04.0",
    stream: "0x200",
    fields: "without = [\"msi\"]",
    machine: &[
        "pcie-root-port,id=upper,addr=6,chassis=1",
        "pcie-pci-bridge,id=lower,bus=upper",
        "edu,bus=lower,addr=4",
    ],
};
/// Behind a root port that lacks access control, which the system file claims.
const MIXING: Spot = Spot {
    system: "dma-no-acs",
    machine: &[
        "pcie-root-port,id=upper,addr=6,chassis=1,disable-acs=on",
        "edu,bus=upper",
    ],
    ..ROOT_PORT
};
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
/// Some of them: memory of the victim, memory of nobody, the interrupt controller, the IOMMU.
const PLACES_TOLD: [&str; 4] = ["0x60800000", "0xbffff000", "0x8000000", "0x9050020"];

pub fn tests() -> Vec<Test> {
    let confined = |name: &str, on_fault: &str, device: &str| {
        let more = format!("devices = [{device}]\non_fault = \"{on_fault}\"\n");
        SystemFile::new(name, "qemu-virt-gicv3-smmu")
            .partition("attacker", 1, "16MiB", "\"guest:dma\"", &more)
            .guest_at("victim", "dma", "0x60000000")
    };
    let alone = |spot: &Spot| {
        let device = format!("{{ device = \"{}\", {} }}", spot.path, spot.fields);
        confined(spot.system, "inject", &device).feature(TRACE)
    };
    let attack = |name: &str, spot: Spot| {
        let system = alone(&spot);
        Test::new(
            format!("dma/smmuv3/{name}"),
            &["dma", "attack", "guests", "fault", "pci"],
            move |bench| attacker_reaches_its_own_memory_only(bench, &system, &spot),
        )
    };
    // The bridge with all that is behind it.
    let restart = confined("dma-restart", "restart", "\"/pcie@10000000\"");
    let refused = alone(&MIXING);
    vec![
        attack("attack", FIRST_BUS),
        attack("attack-behind-root-port", ROOT_PORT),
        attack("attack-behind-conventional-bridge", CONVENTIONAL),
        Test::new(
            "dma/smmuv3/restart",
            &["dma", "guests", "restart"],
            move |bench| fault_restarts_the_attacker_and_its_device_works_again(bench, &restart),
        ),
        Test::new(
            "dma/smmuv3/no-access-control",
            &["dma", "guests", "boot", "pci"],
            move |bench| port_without_access_control_stops_the_boot(bench, &refused),
        ),
    ]
}

/// Starts the system with the device where it is to be.
fn machine(bench: &Bench<'_>, system: &SystemFile, spot: &Spot) -> anyhow::Result<Session> {
    bench.start_with(system, |options| {
        for device in spot.machine {
            // By default the device cuts addresses to 28 bits, below all RAM.
            let wide = match device.starts_with("edu") {
                true => ",dma_mask=0xffffffffffffffff",
                false => "",
            };
            options
                .extra
                .extend(["-device".to_owned(), format!("{device}{wide}")]);
        }
    })
}

fn start(bench: &Bench<'_>, system: &SystemFile, spot: &Spot) -> anyhow::Result<Session> {
    let mut session = machine(bench, system, spot)?;
    has_started(&mut session, bench)?;
    Ok(session)
}

/// Both guests are ready.
pub fn has_started(session: &mut Session, bench: &Bench<'_>) -> anyhow::Result<()> {
    session.wait_for("victim", "^dma: secret is in place$", bench.left())?;
    session.wait_for("attacker", "^dma: edu is there$", bench.left())?;
    Ok(())
}

/// What the system file says of the port is not so: nobody starts.
fn port_without_access_control_stops_the_boot(
    bench: &Bench<'_>,
    system: &SystemFile,
) -> anyhow::Result<()> {
    let mut session = machine(bench, system, &MIXING)?;
    let told = format!(
        "{} cannot be given to partition attacker: at /pcie@10000000/00:06.0 it lacks the access control services",
        MIXING.path
    );
    session.wait_for("hv", &told, bench.left())?;
    Ok(())
}

/// DMA inside the attacker's memory arrives.
pub fn works_inside(session: &mut Session, bench: &Bench<'_>) -> anyhow::Result<()> {
    session.send("attacker", INSIDE)?;
    session.wait_for("attacker", "^dma: 4096 bytes arrived inside$", bench.left())?;
    Ok(())
}

fn victim_is_intact(session: &mut Session, bench: &Bench<'_>) -> anyhow::Result<()> {
    session.send("victim", CHECK)?;
    session.wait_for("victim", "^dma: 8388608 bytes are intact$", bench.left())?;
    Ok(())
}

/// An attacker's device, and what is told of it.
pub struct Attack<'a> {
    pub device: &'a str,
    pub stream: &'a str,
    /// Some of the places that the guest tries.
    pub places: &'a [&'a str],
    /// How many it tries, a read and a write each.
    pub count: u64,
    /// Why they are refused.
    pub reason: &'a str,
}

fn attacker_reaches_its_own_memory_only(
    bench: &Bench<'_>,
    system: &SystemFile,
    spot: &Spot,
) -> anyhow::Result<()> {
    let mut session = start(bench, system, spot)?;
    let attack = Attack {
        device: spot.path,
        stream: spot.stream,
        places: &PLACES_TOLD,
        count: PLACES,
        reason: "nothing is mapped there",
    };
    let statistics = is_confined(&mut session, bench, &attack)?;
    faults_are_in_the_trace(&statistics.trace, &attack)
}

/// DMA inside works before, between and after. Each access outside is refused and told with partition, device, stream and address; then the
/// device is muted, and what a storm of it tries is refused without a word. Returns the report from before the storm.
pub fn is_confined(
    session: &mut Session,
    bench: &Bench<'_>,
    attack: &Attack<'_>,
) -> anyhow::Result<Statistics> {
    let Attack {
        device,
        stream,
        reason,
        ..
    } = attack;
    works_inside(session, bench)?;
    session.send("attacker", ABROAD)?;
    let over = "^dma: attack is over, 0 secrets read$";
    session.wait_for("attacker", over, bench.left())?;
    for place in attack.places {
        for what in ["write", "read"] {
            let told = format!(
                "attacker: fault \\d+: DMA of {device}, stream {stream}: {what} at {place}: {reason}"
            );
            session.wait_for("hv", &told, bench.left())?;
        }
    }
    let muted = format!("{device}: its further DMA faults are not told");
    session.wait_for("hv", &muted, bench.left())?;
    let statistics = session.statistics(bench.left())?;
    let found = statistics.partition("attacker").context("no attacker")?;
    ensure!(
        found.faults == 2 * attack.count,
        "{} faults were counted, not {}",
        found.faults,
        2 * attack.count
    );
    victim_is_intact(session, bench)?;
    works_inside(session, bench)?;

    session.send("attacker", STORM)?;
    session.wait_for("attacker", "^dma: storm is over$", bench.left())?;
    victim_is_intact(session, bench)?;
    works_inside(session, bench)?;
    ensure!(
        !session.text("hv").contains("nobody"),
        "a fault has no owner: {}",
        session.text("hv")
    );
    Ok(statistics)
}

/// Each access that was refused is an event of the CPU that heard of it, with the attacker as its author, and behind it the stream.
pub fn faults_are_in_the_trace(rings: &[Ring], attack: &Attack<'_>) -> anyhow::Result<()> {
    let stream = u64::from_str_radix(attack.stream.trim_start_matches("0x"), 16)?;
    for place in attack.places {
        let place = u64::from_str_radix(place.trim_start_matches("0x"), 16)?;
        for what in ["write", "read"] {
            let fault = |event: &Event| {
                let [kind, detail] = [event.kind.as_str(), event.detail.as_str()];
                (kind, detail, event.partition, event.value) == ("dma", what, Some(0), place)
            };
            let source = |event: &Event| {
                (event.kind.as_str(), event.partition, event.value) == ("stream", Some(0), stream)
            };
            let found = rings.iter().any(|ring| {
                let pairs = ring.all().zip(ring.all().skip(1));
                pairs
                    .into_iter()
                    .any(|(first, second)| fault(first) && source(second))
            });
            ensure!(found, "the trace lacks the {what} at {place:#x}");
        }
    }
    Ok(())
}

/// With `on_fault = "restart"` the first access outside starts the attacker again: its streams are detached and attached, and DMA works.
fn fault_restarts_the_attacker_and_its_device_works_again(
    bench: &Bench<'_>,
    system: &SystemFile,
) -> anyhow::Result<()> {
    let mut session = start(bench, system, &FIRST_BUS)?;
    is_started_again(&mut session, bench)
}

/// As often as it tries, the attacker starts again, and its device works.
pub fn is_started_again(session: &mut Session, bench: &Bench<'_>) -> anyhow::Result<()> {
    for restarts in 1..=2 {
        works_inside(session, bench)?;
        session.send("attacker", STORM)?;
        let again = format!("attacker: started again, {restarts} restarts");
        session.wait_for("hv", &again, bench.left())?;
        session.wait_for("attacker", "^dma: edu is there$", bench.left())?;
        victim_is_intact(session, bench)?;
    }
    works_inside(session, bench)
}
