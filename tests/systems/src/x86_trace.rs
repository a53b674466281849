//! `cargo xtask trace` of systems for a PC.

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::bench::Bench;
use crate::costs::{Budget, Measured};
use crate::registry::{Need, Test};
use crate::system_file::SystemFile;
use crate::trace::{record, switches_come_as_simulated};
use crate::turns::counted;
use crate::x86::{BOARD, three_ends};

pub fn tests() -> Vec<Test> {
    let test = |name: &str, body: fn(&Bench<'_>) -> anyhow::Result<()>| {
        Test::new(format!("x86/trace/{name}"), &["x86", "cli"], body).needs(Need::Pc)
    };
    vec![
        test("three-guests", |bench| {
            switches_come_as_simulated(bench, BOARD, "pc-busy", "^busy: supply")
        }),
        test("events", rings_and_faults_are_recorded),
        test("cost", event_costs_little),
    ]
}

/// Two ends of a channel ring each other, and a third one writes where it may only look: who did what stands among the events.
fn rings_and_faults_are_recorded(bench: &Bench<'_>) -> anyhow::Result<()> {
    let until = "^channel: write at 0x100fff8 refused$";
    let system = three_ends("traced-channel");
    let folder = record(bench, BOARD, "traced-channel", &system, until)?;
    let text = std::fs::read_to_string(folder.join("trace.perfetto.json"))?;
    let trace: Value = serde_json::from_str(&text)?;
    let events = trace["traceEvents"].as_array().context("no events")?;
    let has = |name: &str, partition: u64, value: &str| {
        events.iter().any(|event| {
            let arguments = &event["args"];
            event["name"] == name
                && arguments["partition"] == partition
                && arguments["value"] == value
        })
    };
    // The viewer is the third partition, and its end of the channel is 64 KiB from 16 MiB on.
    let viewer = 2;
    for (name, value) in [("started", "0x0"), ("fault write", "0x100fff8")] {
        ensure!(has(name, viewer, value), "no {name} of the viewer: {text}");
    }
    // The second end is rung by the first, and the other way round.
    let rung = |by: u64, partition: u64| {
        events.iter().any(|event| {
            let arguments = &event["args"];
            let value = arguments["value"]
                .as_str()
                .and_then(|value| value.strip_prefix("0x"));
            let value = value.and_then(|value| u64::from_str_radix(value, 16).ok());
            event["name"] == "doorbell"
                && arguments["partition"] == by
                && value.map(|value| value >> 32) == Some(partition)
        })
    };
    ensure!(rung(0, 1) && rung(1, 0), "rings are missing: {text}");
    let exits = events.iter().filter(|event| event["name"] == "vmmcall");
    ensure!(exits.count() > 1, "no hypercalls: {text}");
    Ok(())
}

/// Exits of a guest, recorded and not: each is two events, that it is left and that it is entered.
fn event_costs_little(bench: &Bench<'_>) -> anyhow::Result<()> {
    const EVENTS: u64 = 2;
    const EXITS: [&str; 4] = ["vmmcall", "cpuid", "rdmsr", "out"];
    const LAST: &str = "^bench: out .* ticks$";
    let system = SystemFile::new("traced-bench", BOARD).guest("bench", "pc-bench", 1);
    let folder = record(bench, BOARD, "traced-bench", &system, LAST)?;
    let traced = std::fs::read_to_string(folder.join("trace-logs").join("bench.log"))?;
    let mut session = counted(bench, &system)?;
    session.wait_for("bench", LAST, bench.left())?;
    let (traced, plain) = (
        Measured::read(&traced)?,
        Measured::read(&session.text("bench"))?,
    );
    let most = EVENTS * Budget::read()?.traced_event;
    for exit in EXITS {
        let cost = |of: &Measured| of.cost(exit).with_context(|| format!("no {exit}"));
        let (traced, plain) = (cost(&traced)?, cost(&plain)?);
        ensure!(
            plain < traced && traced <= plain + most,
            "{exit} takes {traced} instructions with {EVENTS} events recorded and {plain} without: at most {most} more are allowed"
        );
    }
    Ok(())
}
