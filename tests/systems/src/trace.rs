//! `cargo xtask trace`: what a system's own events show is what a simulation of the same policy predicts.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use regex::Regex;
use rtds::sim::{Costs, Runs, Simulation, busy};
use rtds::{Parameters, PcpuSet, Reservation, Rtds};
use serde_json::Value;

use embassy_time::{Duration, Instant};

use crate::bench::Bench;
use crate::costs::{Budget, Measured};
use crate::registry::Test;
use crate::system_file::SystemFile;
use crate::turns::{URGENT, counted};

const BOARD: &str = "qemu-virt-gicv3";
/// Name, period and budget in microseconds. The shorter the period, the more urgent: nobody is as urgent as another.
const GUESTS: [(&str, u64, u64); 3] = [
    ("first", 4_000, 1_000),
    ("second", 6_000, 1_500),
    ("third", 12_000, 3_000),
];
/// Turns that are compared: some ten of the longest periods.
const TURNS: usize = 80;
/// When all periods begin together for the second time, and everybody has rested, in nanoseconds: before, the turns come later by as much as the boot took.
const ALL_ANEW: u64 = 12_000_000;
/// A turn that is shorter is what the switches before have cost, in nanoseconds; nor does a turn begin earlier or later by more.
const SWITCHES: u64 = 20_000;

pub fn tests() -> Vec<Test> {
    let tags = &["guests", "rtds", "cli"];
    vec![
        Test::new("trace/three-guests/gicv3", tags, |bench| {
            switches_come_as_simulated(bench, BOARD, "busy", "^busy: counted")
        }),
        Test::new("trace/global/gicv3", tags, moves_are_recorded),
        Test::new("trace/cost/gicv3", tags, event_costs_little),
    ]
}

/// Records a system for `board` until a line appears. Returns the folder of what was written.
pub fn record(
    bench: &Bench<'_>,
    board: &str,
    name: &str,
    system: &SystemFile,
    until: &str,
) -> anyhow::Result<PathBuf> {
    let file = bench.file(&format!("{name}.toml"), &system.text())?;
    let file = file.to_str().context("a path that is no text")?;
    let output = bench.xtask(&["trace", file, "--until", until, "--seconds", "120"])?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let folder = bench.output().join(board).join(format!("{name}+trace"));
    for name in ["trace.svg", "trace.perfetto.json", "trace.txt"] {
        ensure!(folder.join(name).is_file(), "{name} was not written");
    }
    Ok(folder)
}

fn schedule(folder: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(folder.join("trace.schedule.json"))?;
    Ok(serde_json::from_str(&text)?)
}

/// Three busy guests on the two CPUs of a global pool: no CPU runs two at a time, nobody runs on two, and one runs on each in turn.
fn moves_are_recorded(bench: &Bench<'_>) -> anyhow::Result<()> {
    let pool = "\"rtds\"\nplacement = \"global\"";
    let mut system = SystemFile::new("global-turns", BOARD).pool("shared", &[0, 1], pool);
    for (name, budget) in [("one", 5), ("two", 4), ("three", 3)] {
        let time = format!("period = \"10ms\"\nbudget = \"{budget}ms\"\n");
        system = system.guest_in("shared", name, "busy", 1, &time);
    }
    let folder = record(bench, BOARD, "global-turns", &system, "^busy: counted")?;
    let schedule = schedule(&folder)?;
    let mut runs = Vec::new();
    for run in schedule["runs"].as_array().context("no runs")? {
        let field = |name: &str| run[name].as_u64().with_context(|| format!("no {name}"));
        runs.push([field("from")?, field("to")?, field("pcpu")?, field("vcpu")?]);
    }
    ensure!(
        runs.len() >= TURNS,
        "only {} turns were recorded",
        runs.len()
    );
    for by in [2, 3] {
        runs.sort_by_key(|run| (run[by], run[0]));
        for pair in runs.windows(2) {
            ensure!(
                pair[0][by] != pair[1][by] || pair[0][1] <= pair[1][0],
                "two turns at a time: {pair:?}"
            );
        }
    }
    let moved = runs
        .windows(2)
        .any(|pair| pair[0][3] == pair[1][3] && pair[0][2] != pair[1][2]);
    ensure!(moved, "nobody moved");
    Ok(())
}

/// A guest that wakes beside a busy one, recorded and not: six events lie on its way: the exit of the busy one, its own wake, two turns that end and begin, its entry and its timer.
fn event_costs_little(bench: &Bench<'_>) -> anyhow::Result<()> {
    const EVENTS: u64 = 6;
    const UNTIL: &str = "^wake: late .* sleeps$";
    let busy = "period = \"10ms\"\nbudget = \"7700us\"\nextra_time = true\npriority = 1\n";
    let system = SystemFile::new("traced-wake", BOARD)
        .pool("shared", &[0], "\"rtds\"")
        .guest_in("shared", "busy", "busy", 1, busy)
        .guest_in("shared", "wake", "wake", 1, URGENT);
    let typical = |text: &str| -> anyhow::Result<u64> {
        let mut measured = Measured::default();
        measured.add_wake(text)?;
        measured.cost("wake-p50").context("no wake-up was measured")
    };
    let folder = record(bench, BOARD, "traced-wake", &system, UNTIL)?;
    let traced = std::fs::read_to_string(folder.join("trace-logs").join("wake.log"))?;
    let mut session = counted(bench, &system)?;
    session.wait_for("wake", UNTIL, bench.left())?;
    let (traced, plain) = (typical(&traced)?, typical(&session.text("wake"))?);
    let most = EVENTS * Budget::read()?.traced_event;
    ensure!(
        plain < traced && traced <= plain + most,
        "waking up takes {traced} instructions with {EVENTS} events recorded and {plain} without: at most {most} more are allowed"
    );
    Ok(())
}

/// Turns of three busy guests, recorded until `counted` appears, begin when a simulation of the policy says.
pub fn switches_come_as_simulated(
    bench: &Bench<'_>,
    board: &str,
    guest: &str,
    counted: &str,
) -> anyhow::Result<()> {
    let mut system = SystemFile::new("three-turns", board).pool("shared", &[0], "\"rtds\"");
    for (priority, (name, period, budget)) in GUESTS.iter().enumerate() {
        let time =
            format!("period = \"{period}us\"\nbudget = \"{budget}us\"\npriority = {priority}\n");
        system = system.guest_in("shared", name, guest, 1, &time);
    }
    let folder = record(bench, board, "three-turns", &system, counted)?;
    // Each has a quarter of the CPU, and it is said which exit was the dearest.
    let summary = std::fs::read_to_string(folder.join("trace.txt"))?;
    let share = Regex::new(r"(?m)^(first|second|third): .* ms on a CPU, 2[45]\.\d % of one$")?;
    let dearest = Regex::new(r"(?m)^dearest exit on CPU 0: \w+ of \w+, \d+ ticks, at ")?;
    ensure!(
        share.find_iter(&summary).count() == GUESTS.len() && dearest.is_match(&summary),
        "the summary says: {summary}"
    );
    let mut found = recorded(&schedule(&folder)?)?;
    // What is left of the trace may begin anywhere among the periods.
    let origin = Regex::new(r"(?m)^trace: .* from (\d+)\.\d+ ms on$")?;
    let origin = origin
        .captures(&summary)
        .context("the summary does not say since when")?;
    let since_all_began = origin[1].parse::<u64>()? * 1_000_000 % ALL_ANEW;
    for (_, from) in &mut found {
        *from += since_all_began;
    }
    let mut expected = simulated()?;
    for turns in [&mut found, &mut expected] {
        turns.retain(|(_, from)| from + SWITCHES >= ALL_ANEW);
    }
    ensure!(
        found.len() >= TURNS,
        "only {} turns were recorded",
        found.len()
    );
    for (number, ((vcpu, from), (expected_vcpu, expected_from))) in
        found.iter().zip(&expected).take(TURNS).enumerate()
    {
        ensure!(
            vcpu == expected_vcpu && from.abs_diff(*expected_from) <= SWITCHES,
            "turn {number} is of guest {vcpu} from {from} ns on, and was to be of {expected_vcpu} from {expected_from} ns on"
        );
    }
    Ok(())
}

/// Whose turns began when, as recorded.
fn recorded(schedule: &Value) -> anyhow::Result<Vec<(u64, u64)>> {
    let runs = schedule["runs"].as_array().context("no runs")?;
    let mut turns = Vec::new();
    for run in runs {
        let number = |field: &str| run[field].as_u64().with_context(|| format!("no {field}"));
        let (vcpu, from, to) = (number("vcpu")?, number("from")?, number("to")?);
        if to - from >= SWITCHES {
            turns.push((vcpu, from));
        }
    }
    Ok(turns)
}

/// The same as predicted: all are busy from the start.
fn simulated() -> anyhow::Result<Vec<(u64, u64)>> {
    let start = Instant::MIN;
    let policy = Rtds::<3, 1>::new(start);
    let mut simulation = Simulation::new(policy, start, Costs::default());
    for (priority, (_, period, budget)) in (0..).zip(GUESTS) {
        let reservation =
            Reservation::new(Duration::from_micros(period), Duration::from_micros(budget))?;
        let parameters = Parameters {
            reservation,
            priority,
            extra_time: false,
            affinity: PcpuSet::first(1),
        };
        simulation.add(parameters, busy(start))?;
    }
    let mut runs = Runs::default();
    simulation.run_until(Instant::from_millis(400), &mut runs);
    let turns = runs.0.iter();
    Ok(turns
        .map(|run| (run.vcpu.get() as u64, run.from.as_ticks()))
        .collect())
}
