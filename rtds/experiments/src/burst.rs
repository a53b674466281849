//! Two budgets of a deferrable server back to back, across the end of a period, and whether admission knows.

use embassy_time::{Duration, Instant};
use rand::RngExt;
use rtds::admission::{Server, need};
use rtds::sim::{Blackout, Costs, Simulation, Step, Wake, busy, sleeper};
use rtds::{Parameters, Rtds, VcpuIndex};

use crate::random::{Task, numbers};
use crate::{Extent, Outcome, Row};

const MS: u64 = 1_000_000;

fn server(task: Task, priority: u8) -> Server {
    let [period, budget] = [task.period, task.budget].map(Duration::from_ticks);
    Server::new(period, budget, priority).expect("a task makes a server")
}

/// The most that one runs in any interval of this length. Such an interval begins with a run, or ends with one.
fn most(runs: &[(u64, u64)], length: u64) -> u64 {
    let within = |begin: u64| {
        let inside = runs
            .iter()
            .map(|(from, to)| (*to).min(begin + length).saturating_sub((*from).max(begin)));
        inside.sum::<u64>()
    };
    let begins = runs
        .iter()
        .flat_map(|(from, to)| [*from, to.saturating_sub(length)]);
    begins.map(within).max().unwrap_or(0)
}

/// When a server alone with its work runs.
fn runs(task: Task, steps: impl Iterator<Item = Step>, end: u64) -> Vec<(u64, u64)> {
    let start = Instant::from_ticks(0);
    let mut simulation = Simulation::new(Rtds::<1, 1>::new(start), start, Costs::default());
    simulation
        .add(task.parameters(), steps)
        .expect("the pool has room for one");
    let mut blackout = Blackout::new(VcpuIndex::new(0));
    simulation.run_until(Instant::from_ticks(end), &mut blackout);
    blackout.runs
}

/// What a victim of a less urgent priority gets in its periods beside a server that wakes a budget before the end of its period.
fn victim(task: Task, burst: Task) -> (bool, u64) {
    let admitted = need(&server(task, 1), [&server(burst, 0)])
        .excess()
        .is_none();
    let start = Instant::from_ticks(0);
    let mut simulation = Simulation::new(Rtds::<2, 1>::new(start), start, Costs::default());
    let victim = Parameters {
        priority: 1,
        ..task.parameters()
    };
    // The victim's second period begins when the burst does.
    let wakes = Step {
        wake: Wake::At(Instant::from_ticks(task.period)),
        work: rtds::sim::ENDLESS,
    };
    let victim = simulation
        .add(victim, busy(start))
        .expect("the pool has room for two");
    simulation
        .add(burst.parameters(), std::iter::once(wakes))
        .expect("the pool has room for two");
    simulation.run_until(
        Instant::from_ticks(20 * task.period),
        &mut rtds::sim::Nobody,
    );
    let counters = simulation.policy().counters(victim);
    (
        admitted,
        counters.map_or(0, |counters| counters.least_supply),
    )
}

/// The experiment.
pub fn run(extent: Extent) -> Outcome {
    let mut outcome = Outcome {
        name: "burst",
        method: "a deferrable server that wakes a budget before its period ends, and random ones"
            .to_owned(),
        ..Outcome::default()
    };
    let burst = Task {
        period: 10 * MS,
        budget: 4 * MS,
    };
    let late = Step {
        wake: Wake::At(Instant::from_ticks(6 * MS)),
        work: rtds::sim::ENDLESS,
    };
    let longest = runs(burst, std::iter::once(late), 40 * MS);
    let longest = longest
        .iter()
        .map(|(from, to)| to - from)
        .max()
        .unwrap_or(0);
    outcome.rows.push(Row::new(
        "longest run of (10, 4) ms that wakes at 6 ms",
        format!("{} ms", longest / MS),
        "at most 8 ms, twice its budget",
        longest <= 2 * burst.budget,
    ));
    // (16, 6): at 16 ms the other one has 4 left until 20 and 4 more after that, and 2 of the next period.
    for budget in [6, 7] {
        let task = Task {
            period: 16 * MS,
            budget: budget * MS,
        };
        let (admitted, least) = victim(task, burst);
        outcome.rows.push(Row::new(
            format!(
                "least supply of (16, {budget}) ms beside it, {}",
                if admitted { "admitted" } else { "refused" }
            ),
            format!("{} ms", least as f64 / MS as f64),
            if admitted {
                format!("at least {budget} ms")
            } else {
                format!("less than {budget} ms, so the term is needed")
            },
            (least >= task.budget) == admitted,
        ));
    }
    let servers = extent.of(5_000, 50);
    let beyond = random(servers);
    outcome.rows.push(Row::new(
        format!("intervals in which one of {servers} random ones runs more than admission's term"),
        beyond.to_string(),
        "0",
        beyond == 0,
    ));
    outcome
}

/// Intervals in which one that sleeps and wakes at random runs more than [`Server::most_in`] says.
fn random(servers: u32) -> usize {
    let mut numbers = numbers("burst", 0);
    let mut beyond = 0;
    for _ in 0..servers {
        let period = numbers.random_range(5..40u64);
        let task = Task {
            period,
            budget: numbers.random_range(1..=period),
        };
        let mut time = |most| Duration::from_ticks(numbers.random_range(1..most));
        let times: Vec<(Duration, Duration)> = (0..4).map(|_| (time(80), time(30))).collect();
        let runs = runs(task, sleeper(&times), 20 * period);
        let bound = |length| {
            server(task, 0)
                .most_in(Duration::from_ticks(length))
                .as_ticks()
        };
        beyond += (1..4 * period)
            .filter(|length| most(&runs, *length) > bound(*length))
            .count();
    }
    beyond
}
