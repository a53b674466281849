//! Random runs against the model of the reference's rules, where these are right: without extra time and affinities.

use embassy_time::{Duration, Instant};
use rand::RngExt;
use rand::seq::SliceRandom;
use rtds::Rtds;
use rtds::sim::{Costs, Policy, Reference, Runs, Simulation, sleeper};

use crate::random::{Task, numbers};
use crate::{Extent, Outcome, Row};

/// Ticks that are simulated.
const END: u64 = 600;

/// No two of these periods end at the same tick before [`END`]: among equal deadlines either one is right.
const PERIODS: [u64; 7] = [23, 29, 31, 37, 41, 43, 47];

type Member = (Task, Vec<(Duration, Duration)>);

fn members(part: u64) -> Vec<Member> {
    let mut numbers = numbers("conformance", part);
    let mut periods = PERIODS;
    periods.shuffle(&mut numbers);
    let count = numbers.random_range(1..=6);
    let mut members = Vec::new();
    for period in periods.into_iter().take(count) {
        let budget = numbers.random_range(1..=period);
        let steps = numbers.random_range(1..6);
        let times = (0..steps).map(|_| {
            let sleep = numbers.random_range(0..60);
            let work = numbers.random_range(1..40);
            (Duration::from_ticks(sleep), Duration::from_ticks(work))
        });
        members.push((Task { period, budget }, times.collect()));
    }
    members
}

/// A bit for each virtual CPU that runs, for each tick.
fn running(policy: impl Policy, members: &[Member]) -> Vec<u8> {
    let mut simulation = Simulation::new(policy, Instant::from_ticks(0), Costs::default());
    for (task, times) in members {
        let added = simulation.add(task.parameters(), sleeper(times));
        added.expect("both policies have room for six");
    }
    let mut runs = Runs::default();
    simulation.run_until(Instant::from_ticks(END), &mut runs);
    let mut running = vec![0; END as usize];
    for run in runs.0 {
        for tick in run.from.as_ticks()..run.to.as_ticks() {
            running[tick as usize] |= 1 << run.vcpu.get();
        }
    }
    running
}

/// How many of the random sets run differently.
fn differences<const PCPUS: usize>(sets: u32) -> u32 {
    let start = Instant::from_ticks(0);
    let differ = (0..u64::from(sets)).filter(|part| {
        let members = members(*part);
        let ours = running(Rtds::<6, PCPUS>::new(start), &members);
        ours != running(Reference::new(start, PCPUS), &members)
    });
    differ.count() as u32
}

/// The experiment.
pub fn run(extent: Extent) -> Outcome {
    let sets = extent.of(20_000, 200);
    let mut outcome = Outcome {
        name: "conformance",
        method: format!(
            "{sets} random sets of up to 6 that sleep and wake, {END} ticks each, against a model of the reference's rules"
        ),
        ..Outcome::default()
    };
    for (pcpus, differ) in [
        ("1 CPU", differences::<1>(sets)),
        ("2 CPUs", differences::<2>(sets)),
        ("3 CPUs", differences::<3>(sets)),
    ] {
        outcome.rows.push(Row::new(
            format!("sets that run differently on {pcpus}"),
            format!("{differ} of {sets}"),
            "0",
            differ == 0,
        ));
    }
    outcome
}
