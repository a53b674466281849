//! How many random sets are schedulable: the test of Goossens, Funk and Baruah, first-fit decreasing partitions, and simulated global
//! earliest-deadline-first, beside published figures for the same distributions.

use embassy_time::Instant;
use rtds::Rtds;
use rtds::admission::global::utilisations_fit;
use rtds::sim::{Costs, Nobody, Simulation, busy};

use crate::random::{Distribution, Task, numbers};
use crate::{Chart, Extent, Line, Outcome, Row};

/// Physical CPUs.
const PCPUS: usize = 5;
/// Total utilisations.
const TOTALS: [f64; 7] = [2.3, 2.9, 3.5, 3.8, 4.1, 4.4, 4.7];
/// What is asked for, in points of a per cent: of the mean of a curve, and of each point but for chance.
const TOLERANCE: f64 = 5.0;
/// Sets behind each published figure, and how many standard deviations chance explains.
const PUBLISHED_SETS: f64 = 100.0;
const DEVIATIONS: f64 = 3.0;

/// The test, the partitions, the simulation.
type Shares = [f64; 3];

const METHODS: [&str; 3] = ["GFB test", "first-fit decreasing", "simulated global EDF"];

/// Each distribution with the published per cent of schedulable sets for each total.
const PUBLISHED: [(Distribution, [Shares; 7]); 5] = [
    (
        Distribution {
            name: "uniform medium",
            ranges: &[(1, 0.1, 0.4)],
        },
        [
            [100., 100., 100.],
            [100., 100., 100.],
            [25., 100., 100.],
            [0., 100., 100.],
            [0., 100., 100.],
            [0., 100., 100.],
            [0., 100., 99.],
        ],
    ),
    (
        Distribution {
            name: "uniform heavy",
            ranges: &[(1, 0.5, 0.9)],
        },
        [
            [10., 100., 100.],
            [0., 100., 100.],
            [0., 93., 95.],
            [0., 74., 70.],
            [0., 19., 28.],
            [0., 2., 6.],
            [0., 0., 0.],
        ],
    ),
    (
        Distribution {
            name: "bimodal light",
            ranges: &[(8, 0.001, 0.5), (1, 0.5, 0.9)],
        },
        [
            [60., 100., 100.],
            [37., 100., 96.],
            [3., 100., 89.],
            [0., 100., 79.],
            [0., 100., 69.],
            [0., 100., 54.],
            [0., 96., 37.],
        ],
    ),
    (
        Distribution {
            name: "bimodal medium",
            ranges: &[(6, 0.001, 0.5), (3, 0.5, 0.9)],
        },
        [
            [32., 100., 100.],
            [4., 100., 97.],
            [0., 100., 79.],
            [0., 99., 62.],
            [0., 96., 57.],
            [0., 94., 29.],
            [0., 71., 12.],
        ],
    ),
    (
        Distribution {
            name: "bimodal heavy",
            ranges: &[(4, 0.001, 0.5), (5, 0.5, 0.9)],
        },
        [
            [15., 100., 100.],
            [0., 100., 98.],
            [0., 100., 84.],
            [0., 94., 67.],
            [0., 87., 38.],
            [0., 67., 19.],
            [0., 33., 7.],
        ],
    ),
];

/// Sets for each point: more than were published, so that most of the chance is theirs.
const SETS: u32 = 500;

/// The experiment.
pub fn run(extent: Extent) -> Outcome {
    let sets = extent.of(SETS, 4);
    let seconds = extent.of(60, 5);
    let mut outcome = Outcome {
        name: "curves",
        method: format!(
            "{sets} random sets for each of {} totals, {PCPUS} CPUs, periods of 350 to 850 ms, {seconds} s simulated",
            TOTALS.len()
        ),
        ..Outcome::default()
    };
    let mut chances = Vec::new();
    let mut beyond = 0;
    for (index, (distribution, published)) in PUBLISHED.iter().enumerate() {
        let shares: Vec<Shares> = (TOTALS.iter().enumerate())
            .map(|(point, total)| {
                let part = (index * TOTALS.len() + point) as u64;
                measure(distribution, *total, sets, seconds, part)
            })
            .collect();
        for (method, name) in METHODS.iter().enumerate() {
            let ours = shares.iter().map(|share| share[method]);
            let theirs = published.iter().map(|share| share[method]);
            let pairs: Vec<(f64, f64)> = ours.zip(theirs).collect();
            beyond += pairs.iter().filter(|pair| is_beyond(pair)).count();
            chances.extend(pairs.iter().map(|(ours, _)| chance_of_beyond(*ours)));
            let title = format!("{}, {name}", distribution.name);
            outcome.rows.push(compare(title, &pairs, sets));
        }
        outcome
            .charts
            .push(chart(distribution.name, &shares, published));
    }
    outcome.rows.push(all_points(beyond, &chances));
    outcome
}

/// How many points are farther off than a single one is asked to be, beside how many are when the published sets are drawn anew from our own shares: so
/// many as chance alone explains.
fn all_points(beyond: usize, chances: &[f64]) -> Row {
    let expected: f64 = chances.iter().sum();
    let variance: f64 = chances.iter().map(|chance| chance * (1.0 - chance)).sum();
    let most = expected + DEVIATIONS * variance.sqrt();
    Row::new(
        format!("points beyond ±{TOLERANCE:.0}"),
        format!("{beyond} of {}", chances.len()),
        format!(
            "≤ {most:.1}: another draw of {PUBLISHED_SETS:.0} sets has {expected:.1} of them by chance, {DEVIATIONS:.0} σ more at most"
        ),
        beyond as f64 <= most,
    )
}

fn is_beyond((ours, theirs): &(f64, f64)) -> bool {
    (ours - theirs).abs() > TOLERANCE
}

/// How likely the published number of sets shows a share that is farther than the tolerance from the true one, of so many per cent: the tails of the
/// binomial distribution.
fn chance_of_beyond(percent: f64) -> f64 {
    let share = (percent / 100.0).clamp(0.0, 1.0);
    let mut choices = 1.0;
    let mut within = 0.0;
    for hits in 0..=PUBLISHED_SETS as i32 {
        let misses = PUBLISHED_SETS as i32 - hits;
        let shown = f64::from(hits) * 100.0 / PUBLISHED_SETS;
        if !is_beyond(&(percent, shown)) {
            within += choices * share.powi(hits) * (1.0 - share).powi(misses);
        }
        choices *= f64::from(misses) / f64::from(hits + 1);
    }
    (1.0 - within).clamp(0.0, 1.0)
}

/// A curve beside the published one.
fn compare(title: String, pairs: &[(f64, f64)], sets: u32) -> Row {
    let distances: Vec<f64> = pairs.iter().map(|(ours, theirs)| ours - theirs).collect();
    let mean =
        distances.iter().map(|distance| distance.abs()).sum::<f64>() / distances.len() as f64;
    let (worst, total) = distances
        .iter()
        .zip(TOTALS)
        .max_by(|one, other| one.0.abs().total_cmp(&other.0.abs()))
        .unwrap_or((&0.0, 0.0));
    let beyond = pairs.iter().filter(|pair| is_beyond(pair)).count();
    let by_chance =
        |(ours, theirs): &(f64, f64)| (ours - theirs).abs() <= TOLERANCE.max(chance(*ours, sets));
    Row::new(
        title,
        format!(
            "mean difference {mean:.1} points, largest {worst:+.0} at U = {total}, {beyond} of {} beyond ±{TOLERANCE:.0}",
            pairs.len()
        ),
        format!(
            "mean ≤ {TOLERANCE:.0}, each within ±{TOLERANCE:.0} or {DEVIATIONS:.0} σ of the {PUBLISHED_SETS:.0} published sets"
        ),
        mean <= TOLERANCE && pairs.iter().all(by_chance),
    )
}

/// How far two shares of the same true value may be apart by chance, in points: theirs of their sets, ours of ours.
fn chance(percent: f64, sets: u32) -> f64 {
    let share = (percent / 100.0).clamp(0.0, 1.0);
    let variance = share * (1.0 - share) * (1.0 / PUBLISHED_SETS + 1.0 / f64::from(sets));
    DEVIATIONS * variance.sqrt() * 100.0
}

fn chart(name: &str, shares: &[Shares], published: &[Shares]) -> Chart {
    let line = |method: usize, what: &str, shares: &[Shares]| Line {
        name: format!("{}{what}", METHODS[method]),
        points: TOTALS
            .iter()
            .zip(shares)
            .map(|(total, share)| (*total, share[method]))
            .collect(),
    };
    Chart {
        name: format!("curves-{}", name.replace(' ', "-")),
        title: format!("Schedulable sets, {name} utilisations, 5 CPUs"),
        x: "total utilisation".to_owned(),
        y: "schedulable sets (%)".to_owned(),
        logarithmic: false,
        lines: (0..METHODS.len())
            .flat_map(|method| {
                [
                    line(method, "", shares),
                    line(method, ", published", published),
                ]
            })
            .collect(),
    }
}

/// The per cent of sets that each method calls schedulable.
fn measure(distribution: &Distribution, total: f64, sets: u32, seconds: u32, part: u64) -> Shares {
    let mut numbers = numbers("curves", part);
    let mut found = [0u32; 3];
    for _ in 0..sets {
        let tasks = distribution.tasks(total, &mut numbers);
        let ppm: Vec<u64> = tasks.iter().map(Task::utilisation_ppm).collect();
        found[0] += u32::from(utilisations_fit(&ppm, PCPUS as u64));
        found[1] += u32::from(first_fit_decreasing(&ppm));
        found[2] += u32::from(meets_all_deadlines(&tasks, u64::from(seconds)));
    }
    found.map(|found| f64::from(found) * 100.0 / f64::from(sets))
}

/// Whether each task finds a CPU on which the utilisations stay at or below 1, the largest task first.
fn first_fit_decreasing(ppm: &[u64]) -> bool {
    let mut order = ppm.to_vec();
    order.sort_unstable_by(|a, b| b.cmp(a));
    let mut loads = [0u64; PCPUS];
    order.into_iter().all(|ppm| {
        let free = loads.iter_mut().find(|load| **load + ppm <= 1_000_000);
        free.map(|load| *load += ppm).is_some()
    })
}

/// Simulates tasks that are all released at the start, each with its budget to run in each period.
fn meets_all_deadlines(tasks: &[Task], seconds: u64) -> bool {
    const MOST: usize = 256;
    let start = Instant::from_ticks(0);
    let pool = Box::new(Rtds::<MOST, PCPUS>::new(start));
    let mut simulation = Simulation::new(pool, start, Costs::default());
    let mut vcpus = Vec::new();
    for task in tasks {
        match simulation.add(task.parameters(), busy(start)) {
            Ok(vcpu) => vcpus.push((vcpu, task.budget)),
            Err(_) => return false,
        }
    }
    // A miss shows early, most of the time.
    (1..=seconds).all(|second| {
        simulation.run_until(Instant::from_secs(second), &mut Nobody);
        vcpus.iter().all(|(vcpu, budget)| {
            let counters = simulation.policy().counters(*vcpu);
            counters.is_some_and(|counters| counters.least_supply >= *budget)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_fit_decreasing_packs_the_largest_first() {
        assert!(first_fit_decreasing(&[500_000; 10]));
        assert!(!first_fit_decreasing(&[500_001; 6]));
        assert!(first_fit_decreasing(&[
            400_000, 600_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000
        ]));
    }

    #[test]
    fn chance_is_largest_in_the_middle_and_nothing_at_the_ends() {
        assert!((chance(50.0, 100) - 21.2).abs() < 0.1);
        assert!(chance(90.0, 100) < chance(50.0, 100));
        assert_eq!(chance(100.0, 100), 0.0);
    }

    #[test]
    fn share_of_a_half_is_often_shown_beyond_five_points_and_a_sure_one_never() {
        // P(45 ≤ X ≤ 55) = 0.7287 for 100 throws of a coin.
        assert!((chance_of_beyond(50.0) - 0.2713).abs() < 1e-3);
        assert!(chance_of_beyond(100.0) < 1e-9);
        assert!(chance_of_beyond(0.0) < 1e-9);
    }

    #[test]
    fn more_points_beyond_than_chance_explains_do_not_pass() {
        let chances = [0.25; 16];
        assert!(all_points(9, &chances).pass);
        assert!(!all_points(10, &chances).pass);
    }

    #[test]
    fn simulation_sees_the_effect_of_dhall() {
        // Five light tasks keep all CPUs busy just before a heavy one needs a whole CPU.
        let light = Task {
            period: 10_000_000,
            budget: 1_000_000,
        };
        let heavy = Task {
            period: 10_500_000,
            budget: 10_000_000,
        };
        let mut tasks = vec![light; PCPUS];
        tasks.push(heavy);
        assert!(!meets_all_deadlines(&tasks, 1));
        assert!(meets_all_deadlines(&tasks[1..], 1));
    }
}
