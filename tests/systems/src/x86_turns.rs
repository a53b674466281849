//! Partitions of a PC that share a CPU: who gets how much time, and how late one wakes up beside others.
//!
//! What is measured is measured under `-icount`: one instruction is one nanosecond.

use anyhow::{Context, ensure};
use qemu::session::Session;
use regex::Regex;

use crate::bench::Bench;
use crate::linux::wait_for_shell;
use crate::registry::{Need, Test};
use crate::shares::{self, TWO_BUSY, TWO_IN_WINDOWS};
use crate::system_file::SystemFile;
use crate::turns::{RTDS, URGENT, counted, gets, is_charged, is_depleted};
use crate::x86::{
    BOARD, IMAGE, KERNEL, ends_well, first_starts_anew, is_answered, talk, viewer_only_looks,
};

/// The latest wake-up beside a guest that spins, in nanoseconds, and a little more than was measured: 2,410.
const BESIDE_A_BUSY_ONE: u64 = 2_600;

/// Beside one that starts again with each of its faults, of which each is told, as is the start: 4,652 was measured, and a deadline may
/// meet a longer line.
const BESIDE_RESTARTS: u64 = 8_000;

/// Beside one that exits as often as it can, in each way that it has: 3,051 was measured, and a deadline may meet the line of a fault, which is made in one
/// piece of 2,300.
const BESIDE_STORMS: u64 = 6_000;

pub fn tests() -> Vec<Test> {
    let test = |name: &str, body: fn(&Bench<'_>) -> anyhow::Result<()>| {
        Test::new(format!("x86/turns/{name}"), &["x86", "rtds"], body).needs(Need::Pc)
    };
    vec![
        test("supply", busy_guests_get_their_budgets),
        test("windows", busy_guests_get_their_windows),
        test("smp", virtual_cpus_of_one_partition_take_turns),
        test("wake", |bench| {
            sleeper_wakes_beside(bench, "pc-busy", "inject", BESIDE_A_BUSY_ONE).map(drop)
        }),
        test("restart", |bench| {
            sleeper_wakes_beside(bench, "pc-vandal", "restart", BESIDE_RESTARTS).map(drop)
        }),
        test("storm", |bench| {
            let session = sleeper_wakes_beside(bench, "pc-storm", "inject", BESIDE_STORMS)?;
            ensure!(
                session.text("other").contains("storm: 11 kinds"),
                "not all storms came while the sleeper measured"
            );
            Ok(())
        }),
        test("channel", ends_that_share_a_cpu_ring_each_other),
        test("linux", linux_takes_turns).needs(Need::Kernel(KERNEL)),
    ]
}

/// In each period each of them gets its budget, less at most what enforcing the other's costs, and the report says so.
fn busy_guests_get_their_budgets(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut session = busy_guests_get(bench, &shares::two_busy(BOARD, "pc-busy"), TWO_BUSY)?;
    for (name, _) in TWO_BUSY {
        let reported = is_depleted(&mut session, name, bench)?;
        let least = reported.counter(0, "least");
        is_charged(&session, name, least.context("no least supply")?)?;
    }
    Ok(())
}

/// In each frame each of them gets its windows, and the report says so.
fn busy_guests_get_their_windows(bench: &Bench<'_>) -> anyhow::Result<()> {
    let system = shares::two_in_windows(BOARD, "pc-busy");
    let shares = TWO_IN_WINDOWS.map(|(name, share, _)| (name, share));
    busy_guests_get(bench, &system, shares).map(drop)
}

/// In each 10 ms each guest gets its budget or its windows, less at most what enforcing the other's costs.
fn busy_guests_get(
    bench: &Bench<'_>,
    system: &SystemFile,
    shares: [(&str, u64); 2],
) -> anyhow::Result<Session> {
    let mut session = counted(bench, system)?;
    for (name, share) in shares {
        session.wait_for(name, r"^busy: supply .* ns$", bench.left())?;
        gets(&session, name, share)?;
    }
    Ok(session)
}

/// Virtual CPUs of one partition on one CPU, and on two beside others: INIT, startup, interrupts and NMIs as on CPUs of their own, and none for another
/// partition. When a partition starts anew, none of its virtual CPUs is left in the guest, with CPUs of their own as well.
fn virtual_cpus_of_one_partition_take_turns(bench: &Bench<'_>) -> anyhow::Result<()> {
    let time = |budget: &str| format!("period = \"2ms\"\nbudget = \"{budget}\"\n");
    let together = format!("{}affinity = [0]\n", time("200us"));
    let again = time("100us") + "extra_time = true\n";
    let system = SystemFile::new("turns-smp", BOARD)
        .pool("shared", &[0, 1], RTDS)
        .guest_in("shared", "apart", "pc-smp", 2, &time("1200us"))
        .guest_in("shared", "together", "pc-smp", 2, &together)
        .guest_in("shared", "again", "pc-again", 2, &again)
        .guest_in("shared", "clock", "pc-clock", 1, &time("100us"))
        .guest("own", "pc-again", 2);
    let mut session = bench.start(&system)?;
    for (name, last) in [
        ("apart", "smp: done"),
        ("together", "smp: done"),
        ("again", "again: done, 20 times"),
        ("own", "again: done, 20 times"),
        ("clock", "clock: done, [0-9]* ms"),
    ] {
        session.wait_for(name, &format!("^{last}$"), bench.left())?;
    }
    let status = session.wait_for_exit(bench.left())?;
    ensure!(status.success(), "QEMU ended with {status}");
    Ok(())
}

/// A guest that sleeps until its timer, each millisecond, wakes up in time and sleeps in between, whatever `other` does on the same CPU.
fn sleeper_wakes_beside(
    bench: &Bench<'_>,
    other: &str,
    on_fault: &str,
    bound: u64,
) -> anyhow::Result<Session> {
    let time = "period = \"10ms\"\nbudget = \"7ms\"\npriority = 1\n";
    let system = SystemFile::new("turns-wake", BOARD)
        .pool("shared", &[0], RTDS)
        .guest_in(
            "shared",
            "other",
            other,
            1,
            &format!("{time}on_fault = \"{on_fault}\"\n"),
        )
        .guest_in("shared", "wake", "pc-wake", 1, URGENT);
    let mut session = counted(bench, &system)?;
    session.wait_for("hv", "^INFO  wake: stopped$", bench.left())?;
    let said = Regex::new(r"max=(\d+) ns, missed 0, (\d+) sleeps")?;
    let text = session.text("wake");
    let said = said.captures(&text).context("deadlines were missed")?;
    let (latest, sleeps): (u64, u64) = (said[1].parse()?, said[2].parse()?);
    ensure!(
        latest <= bound && sleeps <= 205,
        "{latest} ns late at most, {bound} are allowed; HLT returned {sleeps} times for 200 deadlines"
    );
    Ok(session)
}

/// Two ends of a channel on one CPU wake each other, beside a guest that spins there and an end on another CPU that rings both; and again when one
/// has started anew.
fn ends_that_share_a_cpu_ring_each_other(bench: &Bench<'_>) -> anyhow::Result<()> {
    let time = "period = \"10ms\"\nbudget = \"3ms\"\n";
    let shared = SystemFile::new("turns-channel", BOARD)
        .pool("shared", &[0], RTDS)
        .guest_in("shared", "first", "pc-channel", 1, time)
        .guest_in("shared", "second", "pc-channel", 1, time)
        .guest_in("shared", "busy", "pc-busy", 1, time);
    let mut session = bench.start(&talk(shared))?;
    is_answered(&mut session, bench)?;
    viewer_only_looks(&mut session, bench)?;
    first_starts_anew(&mut session, bench)
}

/// Debian's kernel boots with two virtual CPUs on what a clock leaves of one CPU, restarts and switches itself off.
fn linux_takes_turns(bench: &Bench<'_>) -> anyhow::Result<()> {
    let time = "period = \"10ms\"\nbudget = \"3ms\"\nextra_time = true\npriority = 1\n";
    let system = SystemFile::new("turns-linux", BOARD)
        .pool("shared", &[0], RTDS)
        .partition_in("shared", "linux", 2, "256MiB", IMAGE, time)
        .guest_in("shared", "clock", "pc-clock", 1, URGENT);
    let mut session = bench.start(&system)?;
    session.wait_for("clock", "^clock: done", bench.left())?;
    wait_for_shell(&mut session, "linux", 2, bench)?;
    session.send("linux", "taskset 2 sleep 1; echo I am $((6 * 7))\n")?;
    session.wait_for("linux", "^I am 42$", bench.left())?;
    session.send("linux", "poweroff -f\n")?;
    ends_well(&mut session, bench)
}
