//! Guests that do random things to their interrupt controller, and a real-time neighbour that does not notice.

use anyhow::{Context, ensure};
use qemu::session::Session;
use qemu::statistics::ExitStatistics;
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

/// Operations of the guest that attacks its ITS, too, each an exit at least: some change memory only, others are several accesses.
const ITS_OPERATIONS: u64 = 1_000_000;

/// How late 99 of 100 wake-ups beside it may be, in nanoseconds. QEMU's turns make up nearly all of it: up to an eighth of the millisecond to the next timer
/// for each of the other CPUs.
const LATE_BESIDE_ITS: u64 = 250_000;

/// What the report must say was refused: every kind of command that can be, and registers that are not there. A `SYNC` never is.
const REFUSED: [&str; 12] = [
    "registers",
    "movi",
    "int",
    "clear",
    "mapd",
    "mapc",
    "mapti",
    "inv",
    "invall",
    "movall",
    "discard",
    "unknown",
];

/// Instructions that 999 of 1000 of its exits take at most: sixteen steps of ITS commands, each with its answer from the hardware.
const LONGEST_EXIT: u64 = 100_000;

pub fn tests() -> Vec<Test> {
    let mut tests: Vec<Test> = ["gicv2", "gicv3"]
        .map(|gic| {
            Test::new(
                format!("guests/gic-vandal/{gic}"),
                &["guests", "attack", "gic"],
                move |bench| neighbour_of_a_gic_vandal_keeps_its_latency(bench, gic),
            )
            .limit(300)
        })
        .into();
    tests.push(
        Test::new(
            "guests/its-vandal/gicv3",
            &["guests", "attack", "gic", "its", "msi"],
            neighbour_of_an_its_vandal_keeps_its_latency,
        )
        .limit(300),
    );
    tests
}

fn neighbour_of_a_gic_vandal_keeps_its_latency(bench: &Bench<'_>, gic: &str) -> anyhow::Result<()> {
    let beside = |neighbour: &str| {
        let system = SystemFile::new(neighbour, &format!("qemu-virt-{gic}"))
            .guest("rt", "rt", 1)
            .guest(neighbour, neighbour, 2);
        bench.start_with(&system, |options| options.icount = true)
    };
    let quiet = lateness(&mut beside("spin")?, bench)?;
    let mut session = beside("gic-vandal")?;
    let hostile = lateness(&mut session, bench)?;
    session.wait_for("gic-vandal", "^gic-vandal: done$", bench.left())?;
    has_harmed_nobody(&mut session, "gic-vandal", "running", OPERATIONS / 4, bench)?;
    no_later(hostile, quiet)
}

/// Its own device's messages are right after it has reset itself, too; and no exit of its is long, since `rt` would wait for what the exit holds.
/// A second real-time guest keeps QEMU's turns short: it lets a CPU run to the next timer of any, and looks at the others only then.
fn neighbour_of_an_its_vandal_keeps_its_latency(bench: &Bench<'_>) -> anyhow::Result<()> {
    let (name, image) = ("its-vandal", "\"guest:its-vandal\"");
    let system = SystemFile::new(name, "qemu-virt-gicv3")
        .partition_with_bridge(name, 1, "16MiB", Some("0x50000000"), image)
        .guest("rt", "rt", 1)
        .guest("pace", "rt", 1);
    let mut session = bench.start_with(&system, |options| {
        options.icount = true;
        options.extra = ["-device", "edu"].map(str::to_owned).to_vec();
    })?;
    session.wait_for(name, "^its-vandal: (done|FAILED.*)$", bench.left())?;
    session.wait_for("hv", "(?i)its-vandal.*(stopped|off)", bench.left())?;
    let text = session.text(name);
    ensure!(
        text.matches("its-vandal: 100 of 100 messages").count() == 2,
        "not all messages arrived before and after the attack"
    );
    let exits = has_harmed_nobody(&mut session, name, "stopped", ITS_OPERATIONS, bench)?;
    // The call is the restart, which copies the image.
    let dearest = exits.iter().filter(|exit| exit.kind != "smc");
    let dearest = dearest.map(|exit| exit.p999).max();
    ensure!(
        dearest.is_some_and(|dearest| dearest <= LONGEST_EXIT),
        "999 of 1000 exits of a kind took up to {dearest:?} instructions, more than {LONGEST_EXIT}"
    );
    let refused = partition(&mut session, name, bench)?.refused;
    for kind in REFUSED {
        let count = refused.get(kind).copied().unwrap_or_default();
        ensure!(count > 0, "no refused {kind} was counted among {refused:?}");
    }
    let late = lateness(&mut session, bench)?;
    ensure!(
        late <= LATE_BESIDE_ITS,
        "99 of 100 wake-ups are at most {late} ns late beside the hostile guest"
    );
    Ok(())
}

fn no_later(hostile: u64, quiet: u64) -> anyhow::Result<()> {
    ensure!(
        hostile <= quiet + TOLERANCE,
        "99 of 100 wake-ups are at most {hostile} ns late beside the hostile guest, {quiet} ns beside one that spins"
    );
    Ok(())
}

/// What the guest did was counted, and nobody failed for it. Returns what it did.
fn has_harmed_nobody(
    session: &mut Session,
    vandal: &str,
    state: &str,
    exits: u64,
    bench: &Bench<'_>,
) -> anyhow::Result<Vec<ExitStatistics>> {
    let found = partition(session, vandal, bench)?;
    ensure!(
        found.state == state && found.exit_count() >= exits,
        "the hostile guest is {} after {} exits",
        found.state,
        found.exit_count()
    );
    let rt = partition(session, "rt", bench)?;
    ensure!(
        (rt.state.as_str(), rt.faults) == ("running", 0),
        "rt is {} after {} faults",
        rt.state,
        rt.faults
    );
    ensure!(
        !session.text("hv").contains("***"),
        "the hypervisor has failed"
    );
    Ok(found.exits)
}

/// The 99th percentile of how late `rt` wakes, in nanoseconds.
fn lateness(session: &mut Session, bench: &Bench<'_>) -> anyhow::Result<u64> {
    session.wait_for("rt", "^rt: done$", bench.left())?;
    let text = session.text("rt");
    ensure!(text.contains("rt: missed 0 periods"), "rt missed periods");
    let line = Regex::new(r"(?m)^rt: jitter min=\d+ mean=\d+ p99=(\d+) ")?;
    let found = line.captures(&text).context("rt printed no lateness")?;
    Ok(found[1].parse()?)
}
