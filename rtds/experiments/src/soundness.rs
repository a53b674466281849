//! Whether those who are admitted get what they were promised: random sets, simulated with timers that fire late, switches that take time
//! and company that sleeps and wakes at random.

use embassy_time::{Duration, Instant};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rtds::admission::global::need_on;
use rtds::admission::{Server, need};
use rtds::sim::{Costs, Nobody, Simulation, Step, Wake, busy, sleeper};
use rtds::{Parameters, PcpuIndex, PcpuSet, Rtds};

use crate::random::{Task, numbers};
use crate::{Extent, Outcome, Row};

/// The most virtual CPUs of a set, and physical CPUs of a pool with several.
const MOST: usize = 6;
const PCPUS: usize = 3;

struct Member {
    parameters: Parameters,
    work: Work,
}

enum Work {
    Busy,
    Sleeps(Vec<(Duration, Duration)>),
    /// Wakes so long before each end of its period, with all of its budget.
    Late(u64),
}

fn member(numbers: &mut ChaCha8Rng, affinity: PcpuSet) -> Member {
    let period = numbers.random_range(10..=100u64) * numbers.random_range(1..=10u64) * 1_000;
    let share = numbers.random_range(20..=700u64);
    let task = Task {
        period,
        budget: (period * share / 1000).max(100),
    };
    let work = match numbers.random_range(0..4) {
        0 | 1 => Work::Busy,
        2 => Work::Late(numbers.random_range(0..period)),
        _ => {
            let mut time = |most: u64| Duration::from_ticks(numbers.random_range(0..most));
            Work::Sleeps(
                (0..5)
                    .map(|_| (time(2 * period), time(task.budget * 2)))
                    .collect(),
            )
        }
    };
    Member {
        parameters: Parameters {
            priority: numbers.random_range(0..3),
            extra_time: numbers.random_bool(0.3),
            affinity,
            ..task.parameters()
        },
        work,
    }
}

impl Member {
    fn server(&self, costs: Costs) -> Server {
        let Parameters {
            reservation,
            priority,
            ..
        } = self.parameters;
        let server = Server::new(reservation.period(), reservation.budget(), priority);
        let server = server.expect("a reservation makes a server");
        server.with_switch_cost(costs.latency + costs.switch)
    }

    fn period(&self) -> u64 {
        self.parameters.reservation.period().as_ticks()
    }
}

/// Whether all of them are promised their budgets.
fn admitted(members: &[Member], costs: Costs) -> bool {
    let servers: Vec<Server> = members.iter().map(|member| member.server(costs)).collect();
    members
        .iter()
        .zip(&servers)
        .enumerate()
        .all(|(index, (member, server))| {
            let affinity = member.parameters.affinity;
            let others = members
                .iter()
                .zip(&servers)
                .enumerate()
                .filter(|(other, (one, _))| {
                    *other != index && !one.parameters.affinity.and(affinity).is_empty()
                });
            let others = others.map(|(_, (_, server))| server);
            let pcpus = affinity.iter().count() as u64;
            let need = if pcpus == 1 {
                need(server, others)
            } else {
                need_on(server, others, pcpus)
            };
            need.excess().is_none()
        })
}

/// How many of those that are always awake ran less than their budget in a period.
fn misses<const CPUS: usize>(members: &[Member], costs: Costs) -> usize {
    let start = Instant::from_ticks(0);
    let mut simulation = Simulation::new(Rtds::<MOST, CPUS, 7>::new(start), start, costs);
    for member in members {
        let period = member.period();
        let added = match &member.work {
            Work::Busy => simulation.add(member.parameters, busy(start)),
            Work::Sleeps(times) => simulation.add(member.parameters, sleeper(times)),
            Work::Late(before) => {
                let budget = member.parameters.reservation.budget();
                let before = *before;
                let steps = (1..).map(move |count: u64| Step {
                    wake: Wake::At(Instant::from_ticks(count * period - before)),
                    work: budget,
                });
                simulation.add(member.parameters, steps)
            }
        };
        added.expect("the pool has room for the largest set");
    }
    let longest = members.iter().map(Member::period).max().unwrap_or(0);
    simulation.run_until(Instant::from_ticks(longest * 6), &mut Nobody);
    let missed = members.iter().enumerate().filter(|(index, member)| {
        let counters = simulation
            .policy()
            .counters(rtds::VcpuIndex::new(*index as u16));
        let budget = member.parameters.reservation.budget().as_ticks();
        matches!(member.work, Work::Busy)
            && counters.is_some_and(|counters| counters.least_supply < budget)
    });
    missed.count()
}

struct Found {
    admitted: u32,
    missed: u32,
    refused: u32,
    refused_missed: u32,
}

/// Draws until so many sets are admitted. Of the refused ones, as many are simulated as well: some must miss, or nothing would be seen.
fn search<const CPUS: usize>(sets: u32, part: u64) -> Found {
    let mut numbers = numbers("soundness", part);
    let mut found = Found {
        admitted: 0,
        missed: 0,
        refused: 0,
        refused_missed: 0,
    };
    while found.admitted < sets {
        let costs = Costs {
            latency: Duration::from_ticks(numbers.random_range(0..30)),
            switch: Duration::from_ticks(numbers.random_range(0..60)),
        };
        let count = numbers.random_range(2..=MOST);
        let members: Vec<Member> = (0..count)
            .map(|_| {
                let mask = numbers.random_range(1..1u32 << CPUS);
                let cpus = (0..CPUS as u8).filter(|cpu| mask & (1 << cpu) != 0);
                let affinity = cpus.fold(PcpuSet::EMPTY, |set, cpu| set.with(PcpuIndex::new(cpu)));
                member(&mut numbers, affinity)
            })
            .collect();
        if admitted(&members, costs) {
            found.admitted += 1;
            found.missed += u32::from(misses::<CPUS>(&members, costs) > 0);
        } else if found.refused < sets / 20 {
            found.refused += 1;
            found.refused_missed += u32::from(misses::<CPUS>(&members, costs) > 0);
        }
    }
    found
}

/// The experiment.
pub fn run(extent: Extent) -> Outcome {
    let one = search::<1>(extent.of(100_000, 400), 1);
    let several = search::<PCPUS>(extent.of(20_000, 200), 2);
    let mut outcome = Outcome {
        name: "soundness",
        method: "random admitted sets with random latencies and switch costs; a miss is a period of an awake one with less than its budget".to_owned(),
        ..Outcome::default()
    };
    for (what, found) in [("one CPU", one), ("3 CPUs with affinities", several)] {
        outcome.rows.push(Row::new(
            format!("admitted sets on {what} with a miss"),
            format!("{} of {}", found.missed, found.admitted),
            "0",
            found.missed == 0,
        ));
        outcome.rows.push(Row::new(
            format!("refused sets on {what} with a miss, to see that one is seen"),
            format!("{} of {}", found.refused_missed, found.refused),
            "more than 0",
            found.refused_missed > 0,
        ));
    }
    outcome
}
