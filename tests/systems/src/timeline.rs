//! `cargo xtask timeline`: what a system's own events show is what a simulation of the same policy predicts.

use anyhow::{Context, ensure};
use rtds::sim::{Costs, Runs, Simulation, busy};
use rtds::{Parameters, PcpuSet, Reservation, Rtds};
use serde_json::Value;

use embassy_time::{Duration, Instant};

use crate::bench::Bench;
use crate::registry::Test;
use crate::system_file::SystemFile;

const BOARD: &str = "qemu-virt-gicv3";
/// Name, period and budget in microseconds. The shorter the period, the more urgent: nobody is as urgent as another.
const GUESTS: [(&str, u64, u64); 3] = [
    ("first", 4_000, 1_000),
    ("second", 6_000, 1_500),
    ("third", 12_000, 3_000),
];
/// Turns that are compared: some ten of the longest periods.
const TURNS: usize = 80;
/// A turn that is shorter is what the switches before have cost, in nanoseconds; nor does a turn begin earlier or later by more.
const SWITCHES: u64 = 20_000;

pub fn tests() -> Vec<Test> {
    vec![Test::new(
        "timeline/three-guests/gicv3",
        &["guests", "rtds", "cli"],
        switches_come_as_simulated,
    )]
}

fn switches_come_as_simulated(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut system = SystemFile::new("three-turns", BOARD).pool("shared", &[0], "\"rtds\"");
    for (priority, (name, period, budget)) in GUESTS.iter().enumerate() {
        let time =
            format!("period = \"{period}us\"\nbudget = \"{budget}us\"\npriority = {priority}\n");
        system = system.guest_in("shared", name, "busy", 1, &time);
    }
    let file = bench.file("three-turns.toml", &system.text())?;
    let file = file.to_str().context("a path that is no text")?;
    let until = "^busy: counted";
    let output = bench.xtask(&["timeline", file, "--until", until, "--seconds", "120"])?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let folder = bench.output().join(BOARD).join("three-turns+trace");
    for name in ["timeline.svg", "timeline.trace.json"] {
        ensure!(folder.join(name).is_file(), "{name} was not written");
    }
    let text = std::fs::read_to_string(folder.join("timeline.schedule.json"))?;
    let schedule: Value = serde_json::from_str(&text)?;
    let found = recorded(&schedule)?;
    let expected = simulated()?;
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
