//! What one virtual CPU gets beside company that runs at the worst moments: the longest time without, and the least in any interval,
//! against the bound of a periodic resource (Shin, Lee, "Periodic resource model for compositional real-time guarantees", RTSS 2003).

use embassy_time::{Duration, Instant};
use rand::RngExt;
use rtds::admission::{Server, need};
use rtds::sim::{Blackout, Costs, Simulation, Step, Wake, busy, sleeper};
use rtds::{Rtds, VcpuIndex};

use crate::random::{Task, numbers};
use crate::{Chart, Extent, Line, Outcome, Row};

const PERIOD: u64 = 10_000_000;

/// The least that a periodic resource gives in any interval of this length.
fn bound(task: &Task, length: u64) -> u64 {
    let slack = task.period - task.budget;
    let Some(rest) = length.checked_sub(slack) else {
        return 0;
    };
    let whole = rest / task.period * task.budget;
    whole + (rest % task.period).saturating_sub(slack)
}

/// The least that ran in any interval of this length. Such an interval begins where a run ends, or ends where one begins.
fn least(runs: &[(u64, u64)], length: u64, end: u64) -> u64 {
    let mut sums = vec![0];
    for (from, to) in runs {
        sums.push(sums.last().copied().unwrap_or(0) + (to - from));
    }
    let before = |at: u64| {
        let whole = runs.partition_point(|(_, to)| *to <= at);
        sums[whole]
            + runs
                .get(whole)
                .map_or(0, |(from, _)| at.saturating_sub(*from))
    };
    let first = runs.first().map_or(0, |(from, _)| *from);
    let starts = runs
        .iter()
        .flat_map(|(from, to)| [Some(*to), from.checked_sub(length)])
        .flatten();
    let inside = starts.filter(|start| *start >= first && start + length <= end);
    inside
        .map(|start| before(start + length) - before(start))
        .min()
        .unwrap_or(u64::MAX)
}

/// What one that is always busy gets beside another one.
struct Watched {
    task: Task,
    longest: u64,
    runs: Vec<(u64, u64)>,
    end: u64,
}

fn watch(task: Task, other: Task, steps: impl Iterator<Item = Step>, periods: u64) -> Watched {
    let start = Instant::from_ticks(0);
    let mut simulation = Simulation::new(Rtds::<2, 1>::new(start), start, Costs::default());
    simulation
        .add(task.parameters(), busy(start))
        .expect("the pool has room for two");
    simulation
        .add(other.parameters(), steps)
        .expect("the pool has room for two");
    let mut blackout = Blackout::new(VcpuIndex::new(0));
    let end = periods * task.period;
    simulation.run_until(Instant::from_ticks(end), &mut blackout);
    Watched {
        task,
        longest: blackout.longest.as_ticks(),
        runs: blackout.runs,
        end,
    }
}

/// The other one sleeps until the watched one has had its budget, and then has deadlines just before its.
fn adversary(budget: u64) -> Watched {
    let task = Task {
        period: PERIOD,
        budget,
    };
    let other = Task {
        period: PERIOD - 1_000,
        budget: PERIOD - 1_000 - budget,
    };
    let wake = Step {
        wake: Wake::At(Instant::from_ticks(budget)),
        work: rtds::sim::ENDLESS,
    };
    watch(task, other, std::iter::once(wake), 100)
}

fn fits(task: &Task, other: &Task) -> bool {
    let server = |task: &Task| {
        let [period, budget] = [task.period, task.budget].map(Duration::from_ticks);
        Server::new(period, budget, 0).expect("a task makes a server")
    };
    need(&server(task), [&server(other)]).excess().is_none()
}

/// The experiment.
pub fn run(extent: Extent) -> Outcome {
    let mut outcome = Outcome {
        name: "supply",
        method: "one that is always busy beside an adversary with deadlines just before its, and beside random ones".to_owned(),
        ..Outcome::default()
    };
    let lengths: Vec<u64> = (1..=50).map(|step| step * PERIOD / 10).collect();
    for share in [1, 3, 5, 8] {
        let watched = adversary(PERIOD * share / 10);
        let limit = 2 * (PERIOD - watched.task.budget);
        outcome.rows.push(Row::new(
            format!("longest blackout of (10, {share}) ms beside the adversary"),
            format!("{:.3} ms", watched.longest as f64 / 1e6),
            format!("at most {:.3} ms", limit as f64 / 1e6),
            watched.longest <= limit,
        ));
        let below = lengths.iter().filter(|length| {
            least(&watched.runs, **length, watched.end) < bound(&watched.task, **length)
        });
        let below = below.count();
        outcome.rows.push(Row::new(
            format!("intervals in which (10, {share}) ms gets less than the bound"),
            format!("{below} of {} lengths", lengths.len()),
            "0",
            below == 0,
        ));
        if share == 3 {
            outcome.charts.push(chart(&watched, &lengths));
        }
    }
    outcome.rows.extend(random(extent.of(20_000, 100)));
    outcome
}

fn chart(watched: &Watched, lengths: &[u64]) -> Chart {
    let line = |name: &str, value: &dyn Fn(u64) -> u64| Line {
        name: name.to_owned(),
        points: lengths
            .iter()
            .map(|length| (*length as f64 / 1e6, value(*length) as f64 / 1e6))
            .collect(),
    };
    Chart {
        name: "supply".to_owned(),
        title: "Least time in any interval, (10, 3) ms beside an adversary".to_owned(),
        x: "length of the interval (ms)".to_owned(),
        y: "least time that it runs (ms)".to_owned(),
        logarithmic: false,
        lines: vec![
            line("simulated", &|length| {
                least(&watched.runs, length, watched.end)
            }),
            line("periodic resource bound", &|length| {
                bound(&watched.task, length)
            }),
        ],
    }
}

/// Random admitted pairs, the other one sleeping and waking at random.
fn random(pairs: u32) -> Vec<Row> {
    let mut numbers = numbers("supply", 0);
    let (mut tried, mut most, mut below) = (0, 0.0f64, 0);
    while tried < pairs {
        let mut task = || {
            let period = numbers.random_range(5..50u64);
            Task {
                period,
                budget: numbers.random_range(1..=period),
            }
        };
        let (task, other) = (task(), task());
        if task.budget == task.period || !fits(&task, &other) {
            continue;
        }
        tried += 1;
        let mut time = |most| Duration::from_ticks(numbers.random_range(1..most));
        let times: Vec<(Duration, Duration)> = (0..4).map(|_| (time(80), time(30))).collect();
        let watched = watch(task, other, sleeper(&times), 40);
        most = most.max(watched.longest as f64 / (2 * (task.period - task.budget)) as f64);
        let lengths = (1..8).map(|step| step * task.period / 2);
        below += lengths
            .filter(|length| least(&watched.runs, *length, watched.end) < bound(&task, *length))
            .count();
    }
    vec![
        Row::new(
            format!("longest blackout of {pairs} random admitted ones, of its bound"),
            format!("{:.1} %", most * 100.0),
            "at most 100 %",
            most <= 1.0,
        ),
        Row::new(
            "intervals in which one of them gets less than the bound",
            below.to_string(),
            "0",
            below == 0,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bound_begins_after_twice_the_slack() {
        let task = Task {
            period: 10,
            budget: 3,
        };
        assert_eq!(bound(&task, 14), 0);
        assert_eq!(bound(&task, 17), 3);
        assert_eq!(bound(&task, 24), 3);
        assert_eq!(bound(&task, 27), 6);
    }

    #[test]
    fn least_interval_is_found_between_runs() {
        let runs = [(0, 3), (17, 20), (20, 23)];
        assert_eq!(least(&runs, 14, 23), 0);
        assert_eq!(least(&runs, 15, 23), 1);
        assert_eq!(least(&runs, 20, 23), 6);
    }
}
