//! Pools whose virtual CPUs move between physical ones.
//!
//! QEMU counts the instructions of all CPUs on one clock under `-icount`, so what a guest gets is judged by what the hypervisor has charged it.

use anyhow::ensure;
use qemu::session::Session;

use crate::bench::Bench;
use crate::linux::{CLOUD, wait_for_shell};
use crate::partitions::partition;
use crate::registry::{Need, Test};
use crate::shares::figure;
use crate::system_file::SystemFile;
use crate::turns::{URGENT, counted};

pub(crate) const GLOBAL: &str = "\"rtds\"\nplacement = \"global\"";

pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for gic in ["gicv2", "gicv3"] {
        let mut add = |name: &str, body: fn(&Bench<'_>, &str) -> anyhow::Result<()>| {
            let body = move |bench: &Bench<'_>| body(bench, &format!("qemu-virt-{gic}"));
            let name = format!("global/{name}/{gic}");
            tests.push(Test::new(name, &["guests", "rtds"], body).limit(180));
        };
        add("supply", busy_guests_get_their_budgets_and_move);
        add("smp", virtual_cpus_of_one_partition_move);
        add("wake", sleeper_wakes_on_the_cpu_that_is_free);
        let body = move |bench: &Bench<'_>| linux_moves_beside_a_real_time_guest(bench, gic);
        tests.push(
            Test::new(format!("global/linux/{gic}"), &["linux", "rtds"], body)
                .needs(Need::Kernel(CLOUD)),
        );
    }
    tests
}

/// `pinned` is more urgent than the others, so whoever runs on its CPU then goes on elsewhere.
fn three(name: &str, board: &str, guest: &str) -> SystemFile {
    let any = "period = \"10ms\"\nbudget = \"4ms\"\npriority = 1\n";
    let pinned = "period = \"5ms\"\nbudget = \"2ms\"\naffinity = [1]\n";
    SystemFile::new(name, board)
        .pool("shared", &[0, 1], GLOBAL)
        .guest_in("shared", "one", guest, 1, any)
        .guest_in("shared", "two", guest, 1, any)
        .guest_in("shared", "pinned", guest, 1, pinned)
}

/// Each is charged at least its budget in each period, no period begins late, and those that may move do.
fn busy_guests_get_their_budgets_and_move(bench: &Bench<'_>, board: &str) -> anyhow::Result<()> {
    let mut session = counted(bench, &three("global-supply", board, "busy"))?;
    let of_each = [
        ("one", 4_000_000, true),
        ("two", 4_000_000, true),
        ("pinned", 2_000_000, false),
    ];
    for (name, budget, moves) in of_each {
        session.wait_for(name, "^busy: counted .* migrations=[0-9]+$", bench.left())?;
        let found = |field| figure(&session, name, field);
        let (least, late, migrations) = (found("least")?, found("late")?, found("migrations")?);
        ensure!(
            least >= budget && late == 0,
            "{name} got {least} ns of its {budget} ns in a period, and {late} periods began late"
        );
        ensure!((migrations > 0) == moves, "{name} moved {migrations} times");
    }
    Ok(())
}

/// Three virtual CPUs on two physical ones: CPU_ON, CPU_OFF, SGIs and timers as on CPUs of their own.
fn virtual_cpus_of_one_partition_move(bench: &Bench<'_>, board: &str) -> anyhow::Result<()> {
    let time = "period = \"3ms\"\nbudget = \"900us\"\n";
    let system = SystemFile::new("global-smp", board)
        .pool("shared", &[0, 1], GLOBAL)
        .guest_in("shared", "smp", "smp", 3, time);
    let mut session = bench.start(&system)?;
    session.wait_for("smp", "^smp: done 3 cpus$", bench.left())?;
    finds_nothing_wrong(&session, "smp")
}

/// How late half of the sleeper's wake-ups may be when another CPU is free, in nanoseconds: a call to that CPU and a switch.
const ELSEWHERE: u64 = 5_000;

/// Two guests that outrank the sleeper spin, each on its CPU, and seldom both at once: the sleeper is woken on the one that is free. Only half
/// of the wake-ups are held to a bound: at times both CPUs are taken, and QEMU runs one CPU after the other.
fn sleeper_wakes_on_the_cpu_that_is_free(bench: &Bench<'_>, board: &str) -> anyhow::Result<()> {
    let first =
        |period, cpu| format!("period = \"{period}\"\nbudget = \"4ms\"\naffinity = [{cpu}]\n");
    let sleeper = "period = \"20ms\"\nbudget = \"4ms\"\npriority = 1\n";
    let system = SystemFile::new("global-wake", board)
        .pool("shared", &[0, 1], GLOBAL)
        .guest_in("shared", "left", "spin", 1, &first("10ms", 0))
        .guest_in("shared", "right", "spin", 1, &first("14ms", 1))
        .guest_in("shared", "wake", "wake", 1, sleeper);
    let mut session = counted(bench, &system)?;
    session.wait_for("wake", "^wake: late .* sleeps$", bench.left())?;
    let late = figure(&session, "wake", "p50")?;
    ensure!(late <= ELSEWHERE, "woken {late} ns late");
    let moves = partition(&mut session, "wake", bench)?.counter(0, "migrations");
    ensure!(moves.is_some_and(|moves| moves > 0), "moves: {moves:?}");
    Ok(())
}

/// Two virtual CPUs of Linux move between two physical ones, with extra time, while a real-time guest takes a fifth of a millisecond in each.
fn linux_moves_beside_a_real_time_guest(bench: &Bench<'_>, gic: &str) -> anyhow::Result<()> {
    let linux = "period = \"10ms\"\nbudget = \"4ms\"\nextra_time = true\npriority = 1\n";
    let system = SystemFile::new("global-linux", &format!("qemu-virt-{gic}"))
        .pool("shared", &[0, 1], GLOBAL)
        .linux_in("shared", "linux", CLOUD, 2, linux)
        .guest_in("shared", "wake", "wake", 1, URGENT);
    let mut session = bench.start(&system)?;
    wait_for_shell(&mut session, "linux", 2, bench)?;
    session.send("linux", "echo I am $((6 * 7))\n")?;
    session.wait_for("linux", "^I am 42$", bench.left())?;
    session.wait_for("wake", "^wake: late .* sleeps$", bench.left())?;
    for name in ["linux", "wake"] {
        let found = partition(&mut session, name, bench)?;
        ensure!(
            (found.faults, found.restarts) == (0, 0),
            "{name}: {} faults, {} restarts",
            found.faults,
            found.restarts
        );
    }
    let linux = partition(&mut session, "linux", bench)?;
    let moves = [0, 1].map(|vcpu| linux.counter(vcpu, "migrations"));
    ensure!(
        moves.iter().flatten().any(|moves| *moves > 0),
        "moves of Linux's virtual CPUs: {moves:?}"
    );
    Ok(())
}

fn finds_nothing_wrong(session: &Session, name: &str) -> anyhow::Result<()> {
    let text = session.text(name);
    ensure!(
        !text.contains("FAILED"),
        "{name} found something wrong: {text}"
    );
    Ok(())
}
