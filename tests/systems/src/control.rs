//! A Linux partition watches and controls others by its page of calls.

use crate::bench::Bench;
use crate::linux::{CLOUD, uio_image, wait_for_shell};
use crate::registry::{Need, Test};
use crate::system_file::{SystemFile, TRACE};

/// What the bare guest says at each start, before it listens.
const READY: &str = "^life: ready$";

/// What a call says that the system file does not grant.
const DENIED: &str = "^bulkheadctl: denied: the system file does not grant it$";

/// What one says that the image does not have.
const ABSENT: &str = "^bulkheadctl: this hypervisor does not have that call$";

/// What has become of the bare guest by then: it has not failed yet.
const COUNTERS: &str = "^failures illegal-access=0 undefined-trap=0 hypercall-abuse=0 iommu-fault=0 watchdog=0 guest-panic=0 interrupt-storm=0 missed-budget=0$";

pub fn tests() -> Vec<Test> {
    let test = |gic: &str| {
        let system = system(&format!("qemu-virt-{gic}"));
        // One of the images records events.
        let system = match gic {
            "gicv3" => system.feature(TRACE),
            _ => system,
        };
        let test = Test::new(
            format!("containment/bulkheadctl/{gic}"),
            &["linux", "uio", "restart", "fault"],
            move |bench| linux_controls_what_the_file_grants_and_nothing_else(bench, &system),
        );
        test.needs(Need::Kernel(CLOUD))
            .needs(Need::Uio(CLOUD))
            .limit(240)
    };
    ["gicv2", "gicv3"].map(test).into()
}

/// Linux may control the second partition, which tells it of its failures, and has no right over the third. On a GICv2 the second one shares its CPU.
fn system(board: &str) -> SystemFile {
    let rights = "may_control = [\"life\"]\nmay_read_console = [\"life\"]\ncontrol_page = true\n";
    let fails = "on = { guest_panic = \"restart\" }\nnotify = [\"linux\"]\n";
    let (policy, time) = match board.ends_with("gicv2") {
        true => ("\"rtds\"", "period = \"10ms\"\nbudget = \"5ms\"\n"),
        false => ("\"dedicated\"", ""),
    };
    SystemFile::new("bulkheadctl", board)
        .partition("linux", 1, "256MiB", &uio_image(), rights)
        .pool("turns", &[1], policy)
        .guest_in("turns", "life", "life", 1, &format!("{time}{fails}"))
        .partition(
            "other",
            1,
            "16MiB",
            "\"guest:life\"",
            "start = { after = [\"linux\", \"life\"], delay = \"10ms\" }\n",
        )
}

fn linux_controls_what_the_file_grants_and_nothing_else(
    bench: &Bench<'_>,
    system: &SystemFile,
) -> anyhow::Result<()> {
    let mut session = bench.start(system)?;
    for says in ["other: waits until it is started$", "other: started$"] {
        session.wait_for("hv", says, bench.left())?;
    }
    wait_for_shell(&mut session, "linux", 1, bench)?;
    // Each further line like this one is then of a start that a command below has brought about.
    session.wait_for("life", READY, bench.left())?;
    // What `trace` says of a partition that no right covers, and of one that has failed.
    let [no_right, trace] = match system.features().contains(&TRACE) {
        true => [DENIED, r"^exit:sync/1\.0=0x5a000000@\d+$"],
        false => [ABSENT, ABSENT],
    };
    // Its turns, where it shares its CPU.
    let turns = match system.text().contains("rtds") {
        true => r"^turns vcpu=0 entries=[1-9]\d* periods=[1-9]\d* supply=\d+ ",
        false => "^failures ",
    };
    for (command, says, status, then) in [
        ("list", "^1 +life +control console +running +0 +0$", 0, None),
        ("stop life", "", 0, Some(("hv", "life: stopped$"))),
        ("list", "^1 +life +control console +stopped +0 +0$", 0, None),
        ("suspend life", "^bulkheadctl: not now: ", 1, None),
        ("start life", "", 0, Some(("life", READY))),
        ("restart life", "", 0, Some(("life", READY))),
        (
            "list",
            "^1 +life +control console +running +[12] +0$",
            0,
            None,
        ),
        ("counters life", COUNTERS, 0, None),
        ("counters life", turns, 0, None),
        // Text from before and behind its restart.
        ("console life | grep -c ready", "^3$", 0, None),
        (
            "stop other",
            "grants no right over a partition `other`",
            1,
            None,
        ),
        ("stop 2", DENIED, 1, Some(("hv", "linux: refused call"))),
        ("stop 0", DENIED, 1, None),
        ("restart 300", DENIED, 1, None),
        ("counters 2", DENIED, 1, None),
        ("trace 2", no_right, 1, None),
        ("console 2", DENIED, 1, None),
    ] {
        session.send("linux", &format!("bulkheadctl {command}; echo status=$?\n"))?;
        if !says.is_empty() {
            session.wait_for("linux", says, bench.left())?;
        }
        let status = format!("^status={status}$");
        session.wait_for("linux", &status, bench.left())?;
        if let Some((who, then)) = then {
            session.wait_for(who, then, bench.left())?;
        }
    }
    // It sleeps until the interrupt tells it.
    session.send("linux", "bulkheadctl events --follow\n")?;
    for count in 1..=2 {
        session.send("life", "p")?;
        let told = format!(
            "^life: guest-panic 0x7, vCPU 0, pc 0x[0-9a-f]+, {count} of its class, at tick \\d+$"
        );
        session.wait_for("linux", &told, bench.left())?;
        session.wait_for("life", READY, bench.left())?;
    }
    // `events` goes on until it is told to end.
    session.send("linux", "\u{3}")?;
    session.send("linux", "bulkheadctl trace life\n")?;
    session.wait_for("linux", trace, bench.left())?;
    // What another one writes comes while it is followed.
    session.send("linux", "bulkheadctl console life --follow\n")?;
    session.send("life", "d")?;
    session.wait_for("linux", "^life: half a second later$", bench.left())?;
    // What it had no right over has gone on.
    session.send("other", "d")?;
    session.wait_for("other", "^life: half a second later$", bench.left())?;
    Ok(())
}
