//! Partitions that fail, are started again up to a limit, leave records, and control one another.

use anyhow::{Context, ensure};
use qemu::session::Session;
use regex::Regex;

use crate::attacks::{self, Place};
use crate::bench::Bench;
use crate::partitions::partition;
use crate::registry::Test;
use crate::system_file::{SystemFile, TRACE};

/// Restarts beside a live partition.
const RESTARTS: u64 = 1_000;

/// The letter by which the guest `life` fails, and what the log says.
const FAILURES: [(&str, &str); 5] = [
    ("a", "illegal access"),
    ("u", "undefined instruction"),
    ("h", "refused call"),
    ("p", "guest panic"),
    ("w", "watchdog"),
];

/// All of them restart it, at most as often as there are, and the next one ends the system.
const FRAGILE: &str = "on_fault = { policy = \"restart\", limit = 5, back_off = \"20ms\", then = \"stop-system\" }\n\
     on = { undefined_trap = \"restart\", hypercall_abuse = \"restart\" }\nwatchdog = \"100ms\"\n";

pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for gic in ["gicv2", "gicv3"] {
        let board = format!("qemu-virt-{gic}");
        let own = SystemFile::new("failures-own", &board).partition(
            "life",
            1,
            "16MiB",
            "\"guest:life\"",
            FRAGILE,
        );
        let shared = SystemFile::new("failures-shared", &board)
            .pool("shared", &[0], "\"rtds\"")
            .guest_in(
                "shared",
                "life",
                "life",
                1,
                &format!("period = \"10ms\"\nbudget = \"3ms\"\n{FRAGILE}"),
            )
            .guest_in(
                "shared",
                "busy",
                "busy",
                1,
                "period = \"10ms\"\nbudget = \"3ms\"\n",
            );
        // One of the images records events, so that a record has them.
        let shared = match gic {
            "gicv3" => shared.feature(TRACE),
            _ => shared,
        };
        for (place, system) in [("dedicated", own), ("rtds", shared)] {
            let system = system.end("reset");
            tests.push(Test::new(
                format!("containment/failures/{gic}/{place}"),
                &["guests", "fault", "restart"],
                move |bench| each_failure_restarts_up_to_the_limit(bench, &system),
            ));
        }
        let system = SystemFile::new("control", &board)
            .partition(
                "life",
                1,
                "16MiB",
                "\"guest:life\"",
                "may_control = [\"clock\"]\n",
            )
            .partition(
                "clock",
                1,
                "16MiB",
                "\"guest:victim\"",
                "start = { automatic = false }\n",
            )
            .guest("other", "life", 1);
        tests.push(Test::new(
            format!("containment/control/{gic}"),
            &["guests", "restart"],
            move |bench| partition_with_the_right_controls_another(bench, &system),
        ));
    }
    for (gic, shared) in [("gicv2", true), ("gicv3", false)] {
        let board = format!("qemu-virt-{gic}");
        let system = supervised(&board, shared);
        tests.push(Test::new(
            format!(
                "containment/notify/{gic}/{}",
                if shared { "rtds" } else { "dedicated" }
            ),
            &["guests", "fault"],
            move |bench| another_partition_is_told_of_each_failure(bench, &system),
        ));
    }
    for (gic, place) in [("gicv2", "dedicated"), ("gicv3", "rtds")] {
        let system = stormy(&format!("qemu-virt-{gic}"), place == "rtds");
        tests.push(Test::new(
            format!("containment/interrupt-storm/{gic}/{place}"),
            &["guests", "fault", "attack"],
            move |bench| storm_of_interrupts_is_stopped(bench, &system),
        ));
    }
    for (gic, shared) in [("gicv2", true), ("gicv3", false)] {
        let place = if shared { "rtds" } else { "dedicated" };
        let system = secretive(&format!("qemu-virt-{gic}"), shared);
        tests.push(Test::new(
            format!("containment/pristine/{gic}/{place}"),
            &["guests", "restart"],
            move |bench| pristine_start_finds_nothing_of_the_run_before(bench, &system),
        ));
    }
    let system = overrunning();
    tests.push(Test::new(
        "containment/missed-budget/gicv3".to_owned(),
        &["guests", "fault"],
        move |bench| missed_budgets_restart_up_to_the_limit(bench, &system),
    ));
    for (gic, place, word) in [
        ("gicv2", Place::Dedicated, "dedicated"),
        ("gicv3", Place::OneShared, "rtds"),
    ] {
        tests.push(
            Test::new(
                format!("containment/restarts/{gic}/{word}"),
                &["guests", "attack", "restart"],
                move |bench| neighbour_does_not_notice_restarts(bench, gic, place),
            )
            .disturbed_by(attacks::SLICES)
            .limit(300),
        );
    }
    tests
}

/// Each class that a guest can cause restarts it, with its reason and number told; one more ends the system by a reset, after which the records of
/// all of them are there.
fn each_failure_restarts_up_to_the_limit(
    bench: &Bench<'_>,
    system: &SystemFile,
) -> anyhow::Result<()> {
    // The watchdog's time is the guest's: without `icount` it passes while a loaded host runs something else.
    let mut session = bench.start_with(system, |options| options.icount = true)?;
    session.wait_for("life", "^life: ready$", bench.left())?;
    for ((letter, reason), number) in FAILURES.into_iter().zip(1..) {
        session.send("life", letter)?;
        let told = format!("life: restart {number} of at most 5 in 20 ms: {reason}$");
        session.wait_for("hv", &told, bench.left())?;
        session.wait_for("hv", "life: started again", bench.left())?;
        session.wait_for("life", "^life: ready$", bench.left())?;
    }
    session.send("life", "p")?;
    let told = "life: not started again after 5 restarts, the limit: guest panic$";
    session.wait_for("hv", told, bench.left())?;
    for (class, details) in [
        ("illegal-access", "0x3ffffffc, vCPU 0, pc 0x[0-9a-f]+"),
        ("undefined-trap", "0x[0-9a-f]+, vCPU 0, pc 0x[0-9a-f]+"),
        ("hypercall-abuse", "0xc6000fff, vCPU 0, pc 0x[0-9a-f]+"),
        ("guest-panic", "0x7, vCPU 0, pc 0x[0-9a-f]+"),
        ("watchdog", "0x0"),
        ("guest-panic", "0x7, vCPU 0, pc 0x[0-9a-f]+"),
    ] {
        let record = format!("^before the last reset: life: {class} {details}$");
        session.wait_for("hv", &record, bench.left())?;
    }
    if system.features().contains(&TRACE) {
        let last = r"trace exit:sync/0\.0=0x5a000000@\d+$";
        session.wait_for("hv", last, bench.left())?;
    }
    session.wait_for("life", "^life: ready$", bench.left())?;
    Ok(())
}

/// One fails and goes on, another one is told.
fn supervised(board: &str, shared: bool) -> SystemFile {
    let fails = "on = { guest_panic = \"restart\" }\nnotify = [\"supervisor\"]\n";
    let told = "may_watch = [\"life\"]\n";
    if !shared {
        return SystemFile::new("notify-own", board)
            .partition("life", 1, "16MiB", "\"guest:life\"", fails)
            .partition("supervisor", 1, "16MiB", "\"guest:life\"", told);
    }
    let guest = |system: SystemFile, name: &str, more: &str| {
        let more = format!("period = \"10ms\"\nbudget = \"3ms\"\n{more}");
        system.guest_in("shared", name, "life", 1, &more)
    };
    let system = SystemFile::new("notify-shared", board).pool("shared", &[0], "\"rtds\"");
    guest(guest(system, "life", fails), "supervisor", told)
}

/// Whatever the answer to a failure is, the supervisor gets an interrupt and the failure with its class, value and count.
fn another_partition_is_told_of_each_failure(
    bench: &Bench<'_>,
    system: &SystemFile,
) -> anyhow::Result<()> {
    let mut session = bench.start(system)?;
    session.wait_for("supervisor", "^life: ready$", bench.left())?;
    session.wait_for("life", "^life: ready$", bench.left())?;
    for (letter, class, value, count) in [
        ("p", 5, "0x7", 1),
        ("h", 2, "0xc6000fff", 1),
        ("p", 5, "0x7", 2),
    ] {
        session.send("life", letter)?;
        let told = format!("^life: told that 0 failed, class {class}, {value}, count {count}$");
        session.wait_for("supervisor", &told, bench.left())?;
        session.wait_for("supervisor", "^life: told all$", bench.left())?;
        if letter == "p" {
            session.wait_for("life", "^life: ready$", bench.left())?;
        }
    }
    // Who is told of nobody's failures learns nothing, and a call that is not granted is a failure of its own.
    session.send("supervisor", "s")?;
    session.wait_for("supervisor", "^life: start -3$", bench.left())?;
    Ok(())
}

/// One may have 20,000 interrupts a second, beside another one.
fn stormy(board: &str, shared: bool) -> SystemFile {
    let limited = "on = { interrupt_storm = \"stop\" }\ninterrupt_limit = 20000\n";
    if !shared {
        return SystemFile::new("storm-own", board)
            .partition("life", 1, "16MiB", "\"guest:life\"", limited)
            .guest("other", "life", 1);
    }
    let guest = |system: SystemFile, name: &str, more: &str| {
        let more = format!("period = \"10ms\"\nbudget = \"3ms\"\n{more}");
        system.guest_in("shared", name, "life", 1, &more)
    };
    let system = SystemFile::new("storm-shared", board).pool("shared", &[0], "\"rtds\"");
    guest(guest(system, "life", limited), "other", "")
}

/// A guest that wakes a thousand times a second is left alone. One that sends SGIs to itself without a pause, some 100 times as many as the limit allows, is
/// stopped, and the other one goes on.
fn storm_of_interrupts_is_stopped(bench: &Bench<'_>, system: &SystemFile) -> anyhow::Result<()> {
    // The rate is the guest's: without `icount` it depends on the host.
    let mut session = bench.start_with(system, |options| options.icount = true)?;
    session.wait_for("life", "^life: ready$", bench.left())?;
    session.wait_for("other", "^life: ready$", bench.left())?;
    // Several windows of 100 ms.
    session.send("life", "d")?;
    session.wait_for("life", "^life: half a second later$", bench.left())?;
    session.send("life", "b")?;
    session.wait_for(
        "hv",
        "life: interrupt storm, [0-9]+ a second: 1 times$",
        bench.left(),
    )?;
    session.wait_for("hv", "life: stopped$", bench.left())?;
    session.send("other", "d")?;
    session.wait_for("other", "^life: half a second later$", bench.left())?;
    Ok(())
}

/// One that starts pristine, and one that does not.
fn secretive(board: &str, shared: bool) -> SystemFile {
    let fails = "on = { guest_panic = \"restart\" }\n";
    let pristine = format!("{fails}pristine = true\n");
    if !shared {
        return SystemFile::new("pristine-own", board)
            .partition("life", 1, "16MiB", "\"guest:life\"", &pristine)
            .partition("other", 1, "16MiB", "\"guest:life\"", fails);
    }
    let guest = |system: SystemFile, name: &str, more: &str| {
        let more = format!("period = \"10ms\"\nbudget = \"4ms\"\n{more}");
        system.guest_in("shared", name, "life", 1, &more)
    };
    let system = SystemFile::new("pristine-shared", board).pool("shared", &[0], "\"rtds\"");
    guest(guest(system, "life", &pristine), "other", fails)
}

/// A guest fills its memory with a secret, fails and looks: nothing is left. The other one, which does not start pristine, finds all of its own.
fn pristine_start_finds_nothing_of_the_run_before(
    bench: &Bench<'_>,
    system: &SystemFile,
) -> anyhow::Result<()> {
    let mut session = bench.start(system)?;
    for (name, left) in [("life", "0"), ("other", "786432")] {
        session.wait_for(name, "^life: ready$", bench.left())?;
        session.send(name, "f")?;
        session.wait_for(name, "^life: filled$", bench.left())?;
        session.send(name, "l")?;
        session.wait_for(name, "^life: 786432 words of a secret$", bench.left())?;
        session.send(name, "p")?;
        session.wait_for(name, "^life: ready$", bench.left())?;
        session.send(name, "l")?;
        let found = format!("^life: {left} words of a secret$");
        session.wait_for(name, &found, bench.left())?;
    }
    Ok(())
}

/// A guest that never sleeps, in a pool that gives it a third of its CPU.
fn overrunning() -> SystemFile {
    let share = "period = \"10ms\"\nbudget = \"3ms\"\n";
    let watched = format!(
        "{share}on_fault = {{ policy = \"restart\", limit = 2 }}\non = {{ missed_budget = \"restart\" }}\n"
    );
    SystemFile::new("missed-budget", "qemu-virt-gicv3")
        .pool("shared", &[0], "\"rtds\"")
        .guest_in("shared", "busy", "busy", 1, &watched)
        .guest_in(
            "shared",
            "wake",
            "wake",
            1,
            &format!("{share}on = {{ missed_budget = \"stop\" }}\n"),
        )
}

/// Who uses up its budget is restarted up to its limit and stopped then; who sleeps most of the time is left alone.
fn missed_budgets_restart_up_to_the_limit(
    bench: &Bench<'_>,
    system: &SystemFile,
) -> anyhow::Result<()> {
    let mut session = bench.start_with(system, |options| options.icount = true)?;
    for number in 1..=2 {
        let told = format!("busy: restart {number} of at most 2 in 0 ms: missed budget$");
        session.wait_for("hv", &told, bench.left())?;
    }
    let told = "busy: not started again after 2 restarts, the limit: missed budget$";
    session.wait_for("hv", told, bench.left())?;
    session.wait_for("hv", "busy: stopped$", bench.left())?;
    let other = partition(&mut session, "wake", bench)?;
    ensure!(other.state == "running", "the other one is {}", other.state);
    Ok(())
}

/// One resets itself again and again; the other's memory stays whole and its wake-ups in time, until there were a thousand restarts.
fn neighbour_does_not_notice_restarts(
    bench: &Bench<'_>,
    gic: &str,
    place: Place,
) -> anyhow::Result<()> {
    let mut session =
        bench.start_with(&place.system(gic, false), |options| options.icount = true)?;
    session.wait_for("victim", "^victim: ready$", bench.left())?;
    session.wait_for("attacker", "^attacker: ready$", bench.left())?;
    session.send("attacker", "t")?;
    let late = Regex::new(r"max=(\d+) ns, missed=(\d+)")?;
    let bound = attacks::bound_of(place, "reset")?;
    // This round began before the letter came, which stops QEMU in the middle of whatever it runs.
    session.wait_for("victim", attacks::ROUND, bench.left())?;
    loop {
        let line = session.wait_for("victim", attacks::ROUND, bench.left())?;
        let found = late
            .captures(&line)
            .context("the victim measured nothing")?;
        let (latest, missed): (u64, u64) = (found[1].parse()?, found[2].parse()?);
        ensure!(
            missed == 0 && latest <= bound,
            "woken up {latest} ns late, {bound} at most; {missed} periods missed"
        );
        if restarts(&session)? >= RESTARTS {
            break;
        }
    }
    attacks::nobody_failed(&session)
}

/// The newest number of restarts that was told.
fn restarts(session: &Session) -> anyhow::Result<u64> {
    let told = Regex::new("attacker: started again, ([0-9]+) restarts")?;
    let text = session.text("hv");
    let newest = told.captures_iter(&text).last();
    newest.map_or(Ok(0), |found| Ok(found[1].parse()?))
}

/// A partition that is held starts, rests, goes on, starts again and stops as another one orders; a third one, without the right, is refused.
fn partition_with_the_right_controls_another(
    bench: &Bench<'_>,
    system: &SystemFile,
) -> anyhow::Result<()> {
    let mut session = bench.start(system)?;
    session.wait_for("life", "^life: ready$", bench.left())?;
    session.wait_for("other", "^life: ready$", bench.left())?;
    session.wait_for("hv", "clock: waits until it is started$", bench.left())?;
    for letter in ["s", "z", "r", "i"] {
        session.send("other", letter)?;
        session.wait_for("other", "^life: .* -3$", bench.left())?;
    }
    ensure!(session.text("clock").is_empty(), "the clock runs already");
    order(&mut session, bench, "s", "start", 0)?;
    session.wait_for("clock", attacks::ROUND, bench.left())?;
    order(&mut session, bench, "s", "start", -2)?;
    order(&mut session, bench, "z", "suspend", 0)?;
    // A line that was on its way arrives; no further one is printed.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let before = session.text("clock");
    std::thread::sleep(std::time::Duration::from_millis(500));
    ensure!(
        session.text("clock") == before,
        "a suspended partition runs"
    );
    order(&mut session, bench, "g", "go on", 0)?;
    session.wait_for("clock", attacks::ROUND, bench.left())?;
    order(&mut session, bench, "r", "restart", 0)?;
    session.wait_for("clock", "^victim: ready$", bench.left())?;
    order(&mut session, bench, "t", "stop", 0)?;
    session.wait_for("hv", "clock: stopped$", bench.left())?;
    let clock = partition(&mut session, "clock", bench)?;
    ensure!(
        (clock.state.as_str(), clock.restarts, clock.faults) == ("stopped", 1, 0),
        "clock is {} after {} restarts and {} faults",
        clock.state,
        clock.restarts,
        clock.faults
    );
    order(&mut session, bench, "s", "start", 0)?;
    session.wait_for("clock", attacks::ROUND, bench.left())?;
    Ok(())
}

fn order(
    session: &mut Session,
    bench: &Bench<'_>,
    letter: &str,
    name: &str,
    status: i64,
) -> anyhow::Result<()> {
    session.send("life", letter)?;
    session.wait_for("life", &format!("^life: {name} {status}$"), bench.left())?;
    Ok(())
}
