//! Shared pCPUs: who gets how much time and when, and that nobody finds another one's registers.
//!
//! What is measured is measured under `-icount`: one instruction is one nanosecond.

use anyhow::{Context, ensure};
use qemu::session::Session;
use qemu::statistics::PartitionStatistics;
use regex::Regex;

use crate::bench::Bench;
use crate::costs::{Budget, Measured};
use crate::linux::CLOUD;
use crate::partitions::partition;
use crate::registry::{Need, Test};
use crate::shares::{self, ENFORCEMENT, figure};
use crate::system_file::SystemFile;

pub(crate) const RTDS: &str = "\"rtds\"";
/// A millisecond's fifth, before all others.
pub(crate) const URGENT: &str = "period = \"1ms\"\nbudget = \"200us\"\npriority = 0\n";
/// Half of the time, behind all others, and all that is left over.
pub(crate) const REST: &str =
    "period = \"10ms\"\nbudget = \"5ms\"\nextra_time = true\npriority = 1\n";

pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for gic in ["gicv2", "gicv3"] {
        let mut add = |name: &str, body: fn(&Bench<'_>, &str) -> anyhow::Result<()>| {
            let body = move |bench: &Bench<'_>| body(bench, &format!("qemu-virt-{gic}"));
            tests.push(Test::new(
                format!("turns/{name}/{gic}"),
                &["guests", "rtds"],
                body,
            ));
        };
        add("registers", no_register_changes_across_switches);
        add("supply", busy_guests_get_their_budgets);
        add("two-cpus", three_guests_share_two_cpus);
        add("windows", busy_guests_get_their_windows);
        add("entries", dedicated_cpu_enters_no_scheduler);
        add("wake", sleeper_wakes_in_time_beside_a_busy_guest);
        add("smp", virtual_cpus_of_one_partition_take_turns);
        add("restart", partition_restarts_beside_one_that_does_not);
        add("again", sleeper_wakes_in_time_beside_one_that_starts_again);
        let body = move |bench: &Bench<'_>| sleeper_wakes_in_time_beside_linux(bench, gic);
        tests.push(
            Test::new(format!("turns/linux/{gic}"), &["linux", "rtds"], body)
                .needs(Need::Kernel(CLOUD)),
        );
    }
    tests
}

pub fn counted(bench: &Bench<'_>, system: &SystemFile) -> anyhow::Result<Session> {
    bench.start_with(system, |options| options.icount = true)
}

/// The `registers` guests fill all registers that they have, floating point included, and look for changes while others run.
fn no_register_changes_across_switches(bench: &Bench<'_>, board: &str) -> anyhow::Result<()> {
    let time = "period = \"1ms\"\nbudget = \"300us\"\n";
    let system = SystemFile::new("turns-registers", board)
        .pool("shared", &[0], RTDS)
        .guest_in("shared", "one", "registers", 1, time)
        .guest_in("shared", "two", "registers", 1, time);
    let mut session = counted(bench, &system)?;
    for name in ["one", "two"] {
        session.wait_for(name, "^registers: .* rounds$", bench.left())?;
        ensure!(
            !session.text(name).contains("FAILED"),
            "{name} found a register changed: {}",
            session.text(name)
        );
    }
    Ok(())
}

/// In each period, each of them gets its budget, less at most what enforcing the other's costs.
fn busy_guests_get_their_budgets(bench: &Bench<'_>, board: &str) -> anyhow::Result<()> {
    let system = shares::two_busy(board, "busy");
    let mut session = counted(bench, &system)?;
    for (name, budget) in shares::TWO_BUSY {
        session.wait_for(name, r"^busy: counted .* late=\d", bench.left())?;
        gets(&session, name, budget)?;
        counters_agree(&session, name)?;
        is_depleted(&mut session, name, bench)?;
    }
    Ok(())
}

/// The report says that the guest's budget was used up in each of 50 periods, and that more was decided than that. Returns what it says.
pub(crate) fn is_depleted(
    session: &mut Session,
    name: &str,
    bench: &Bench<'_>,
) -> anyhow::Result<PartitionStatistics> {
    let reported = partition(session, name, bench)?;
    let depletions = reported.counter(0, "depletions").unwrap_or_default();
    ensure!(
        depletions >= 50 && reported.counter(0, "entries") > Some(depletions),
        "the report says of {name}: {:?}",
        reported.turns
    );
    Ok(reported)
}

/// In its worst period it was charged what it has measured, but for what exits and switches cost.
pub(crate) fn is_charged(session: &Session, name: &str, charged: u64) -> anyhow::Result<()> {
    let least = figure(session, name, "min")?;
    ensure!(
        (least..=least + ENFORCEMENT).contains(&charged),
        "{name} got {least} ns in its worst period, and {charged} ns were charged"
    );
    Ok(())
}

/// What the hypervisor has told a guest of its own turns is what the guest has measured, but for what exits and switches cost.
fn counters_agree(session: &Session, name: &str) -> anyhow::Result<()> {
    is_charged(session, name, figure(session, name, "least")?)?;
    let gap = figure(session, name, "gap")?;
    let blackout = figure(session, name, "blackout")?;
    ensure!(
        gap.abs_diff(blackout) <= ENFORCEMENT,
        "{name} was away for {gap} ns at most, and {blackout} ns were counted"
    );
    let periods = figure(session, name, "periods")?;
    ensure!(
        periods >= 50 && figure(session, name, "late")? == 0,
        "{name} measured 50 periods, and {periods} were counted"
    );
    Ok(())
}

/// The least and the most that a guest got in a period are its share.
pub(crate) fn gets(session: &Session, name: &str, share: u64) -> anyhow::Result<()> {
    let least = figure(session, name, "min")?;
    let most = figure(session, name, "max")?;
    ensure!(
        least + ENFORCEMENT >= share && most <= share + ENFORCEMENT,
        "{name} got {least} to {most} ns of each period, and its share is {share} ns"
    );
    Ok(())
}

/// Affinities put one guest on each CPU, and a third one beside the second.
///
/// QEMU counts the instructions of both CPUs on one clock, so while both are busy each gets half of the time that passes: between half of its
/// budget and all of it.
fn three_guests_share_two_cpus(bench: &Bench<'_>, board: &str) -> anyhow::Result<()> {
    let on = |cpu: u32, budget: &str| {
        format!("period = \"10ms\"\nbudget = \"{budget}\"\naffinity = [{cpu}]\n")
    };
    let system = SystemFile::new("turns-two-cpus", board)
        .pool("shared", &[0, 1], RTDS)
        .guest_in("shared", "alone", "busy", 1, &on(0, "7ms"))
        .guest_in("shared", "left", "busy", 1, &on(1, "5ms"))
        .guest_in("shared", "right", "busy", 1, &on(1, "4ms"));
    let mut session = counted(bench, &system)?;
    let mut means = Vec::new();
    for (name, budget) in [
        ("alone", 7_000_000),
        ("left", 5_000_000),
        ("right", 4_000_000),
    ] {
        session.wait_for(name, "^busy: supply .* ns$", bench.left())?;
        let mean = figure(&session, name, "mean")?;
        let most = figure(&session, name, "max")?;
        ensure!(
            mean >= budget * 45 / 100 && most <= budget + ENFORCEMENT,
            "{name} got {mean} ns of each period and at most {most} ns, and its budget is {budget} ns"
        );
        means.push(mean);
    }
    ensure!(
        means[1] > means[2] + 200_000,
        "left has the larger budget, and got {} ns beside {} ns",
        means[1],
        means[2]
    );
    Ok(())
}

/// Windows begin and end when the frame says so: nobody gets less, and nobody more.
fn busy_guests_get_their_windows(bench: &Bench<'_>, board: &str) -> anyhow::Result<()> {
    let system = shares::two_in_windows(board, "busy");
    let mut session = counted(bench, &system)?;
    for (name, share, windows) in shares::TWO_IN_WINDOWS {
        session.wait_for(name, r"^busy: counted .* lateness=\d", bench.left())?;
        gets(&session, name, share)?;
        let begun = figure(&session, name, "windows")?;
        let missed = figure(&session, name, "missed")?;
        let late = figure(&session, name, "lateness")?;
        ensure!(
            begun >= 50 * windows && missed == 0 && late <= ENFORCEMENT,
            "{name} began {begun} windows, {late} ns late at most, and missed {missed}"
        );
    }
    Ok(())
}

/// Of two CPUs one is shared: its scheduler is entered, and that of the other one never is.
fn dedicated_cpu_enters_no_scheduler(bench: &Bench<'_>, board: &str) -> anyhow::Result<()> {
    let system = shares::one_alone(board);
    let mut session = counted(bench, &system)?;
    for name in ["own", "one", "two"] {
        session.wait_for(name, "^busy: counted .*$", bench.left())?;
    }
    let own = figure(&session, "own", "entries")?;
    ensure!(own == 0, "the guest with a CPU of its own read {own}");
    for name in ["own", "one", "two"] {
        let partition = partition(&mut session, name, bench)?;
        let entries = partition.counter(0, "entries");
        let entries = entries.with_context(|| format!("the report says nothing of {name}"))?;
        ensure!(
            (entries == 0) == (name == "own"),
            "the scheduler was entered {entries} times for {name}"
        );
        ensure!(partition.exit_count() > 0, "{name} never left its guest");
    }
    Ok(())
}

/// The one that sleeps is woken by its virtual timer while the other one spins, and each time it sleeps until then.
fn sleeper_wakes_in_time_beside_a_busy_guest(bench: &Bench<'_>, board: &str) -> anyhow::Result<()> {
    let system = SystemFile::new("turns-wake", board)
        .pool("shared", &[0], RTDS)
        .guest_in(
            "shared",
            "busy",
            "busy",
            1,
            "period = \"10ms\"\nbudget = \"7700us\"\nextra_time = true\npriority = 1\n",
        )
        .guest_in("shared", "wake", "wake", 1, URGENT);
    let mut session = counted(bench, &system)?;
    session.wait_for("wake", "^wake: late .* sleeps$", bench.left())?;
    let mut measured = Measured::default();
    measured.add_wake(&session.text("wake"))?;
    for row in Budget::read()?.wakes {
        row.check(board.trim_start_matches("qemu-virt-"), &measured)?;
    }
    let sleeps = Regex::new(r"missed 0, (\d+) sleeps")?;
    let text = session.text("wake");
    let sleeps: u64 = sleeps.captures(&text).context("deadlines were missed")?[1].parse()?;
    ensure!(
        sleeps <= 510,
        "WFI returned {sleeps} times for 500 deadlines: it does not wait"
    );
    Ok(())
}

/// What a neighbour of many kinds of exits may add to the bounds of the rows `wake`, in nanoseconds: the worst that was seen of 500 wake-ups is 1,515, and
/// half is added, since which of its exits a timer meets depends on the host.
const OF_THE_NEIGHBOUR: u64 = 300;

/// The bounds of the rows `wake` hold, but for what a neighbour's exits may add; the latest wake-up of all is held to `latest`, if it is given.
fn is_woken_within_bounds(session: &Session, latest: Option<u64>) -> anyhow::Result<()> {
    let mut measured = Measured::default();
    measured.add_wake(&session.text("wake"))?;
    for row in Budget::read()?.wakes {
        let bound = latest.filter(|_| row.name == "wake-max");
        row.check_at_most(bound.unwrap_or(row.bound + OF_THE_NEIGHBOUR), &measured)?;
    }
    Ok(())
}

/// Linux boots and may use all the time that is left over: whatever it does, one of its exits included that has just begun, the sleeper wakes within
/// the bounds.
fn sleeper_wakes_in_time_beside_linux(bench: &Bench<'_>, gic: &str) -> anyhow::Result<()> {
    let system = SystemFile::new("turns-linux", &format!("qemu-virt-{gic}"))
        .pool("shared", &[0], RTDS)
        .linux_in("shared", "linux", CLOUD, 1, REST)
        .guest_in("shared", "wake", "wake", 1, URGENT);
    let mut session = counted(bench, &system)?;
    session.wait_for("wake", "^wake: late .* missed 0, .* sleeps$", bench.left())?;
    is_woken_within_bounds(&session, None)
}

/// Two virtual CPUs of one partition on one pCPU: CPU_ON, CPU_OFF, SGIs and timers as on CPUs of their own.
fn virtual_cpus_of_one_partition_take_turns(bench: &Bench<'_>, board: &str) -> anyhow::Result<()> {
    let time = "period = \"2ms\"\nbudget = \"900us\"\n";
    let system = SystemFile::new("turns-smp", board)
        .pool("shared", &[0], RTDS)
        .guest_in("shared", "smp", "smp", 2, time);
    let mut session = bench.start(&system)?;
    session.wait_for("smp", "^smp: done 2 cpus$", bench.left())?;
    ensure!(
        !session.text("smp").contains("FAILED"),
        "the guest found something wrong"
    );
    Ok(())
}

/// A partition with an image of a mebibyte does nothing but start again; its neighbour on the same pCPU wakes in time, however long its reset takes.
fn sleeper_wakes_in_time_beside_one_that_starts_again(
    bench: &Bench<'_>,
    board: &str,
) -> anyhow::Result<()> {
    let system = SystemFile::new("turns-again", board)
        .pool("shared", &[0], RTDS)
        .guest_in(
            "shared",
            "again",
            "again",
            1,
            "period = \"10ms\"\nbudget = \"7ms\"\npriority = 1\n",
        )
        .guest_in("shared", "wake", "wake", 1, URGENT);
    let mut session = counted(bench, &system)?;
    session.wait_for("wake", "^wake: late .* missed 0, .* sleeps$", bench.left())?;
    let latest = Budget::read()?.attack("reset")?.late;
    is_woken_within_bounds(&session, Some(latest))?;
    let again = partition(&mut session, "again", bench)?;
    ensure!(
        again.restarts >= 20 && !session.text("again").contains("FAILED"),
        "the neighbour was started again {} times: {}",
        again.restarts,
        session.text("again")
    );
    Ok(())
}

/// The vandal is started again at each fault; its neighbour on the same pCPU misses no deadline.
fn partition_restarts_beside_one_that_does_not(
    bench: &Bench<'_>,
    board: &str,
) -> anyhow::Result<()> {
    let system = SystemFile::new("turns-restart", board)
        .pool("shared", &[0], RTDS)
        .guest_in(
            "shared",
            "vandal",
            "vandal",
            1,
            "period = \"10ms\"\nbudget = \"4ms\"\npriority = 1\non_fault = \"restart\"\n",
        )
        .guest_in("shared", "wake", "wake", 1, URGENT);
    let mut session = counted(bench, &system)?;
    session.wait_for("wake", "^wake: late .* missed 0, .* sleeps$", bench.left())?;
    let vandal = partition(&mut session, "vandal", bench)?;
    // The report may find it between its end and its next start.
    ensure!(
        vandal.restarts > 0 && vandal.state != "stopped",
        "vandal is {} after {} restarts",
        vandal.state,
        vandal.restarts
    );
    Ok(())
}
