//! The policy beside a model of the reference's rules, where these are right: without extra time, and without affinities.

use proptest::prelude::*;

use super::*;
use crate::Rtds;
use crate::sim::{Costs, Policy, Reference, Runs, Simulation, sleeper};

/// Ticks that are simulated.
const END: u64 = 600;

/// No two of these periods end at the same tick before [`END`]: among equal deadlines either one is right.
const PERIODS: [u64; 7] = [23, 29, 31, 37, 41, 43, 47];

/// A period, a budget, and the times for which one sleeps and works, all in ticks.
type Member = (u64, u64, Vec<(Duration, Duration)>);

fn members() -> impl Strategy<Value = Vec<Member>> {
    let ticks = |range| Strategy::prop_map(range, Duration::from_ticks);
    let times = prop::collection::vec((ticks(0u64..60), ticks(1u64..40)), 1..6);
    let periods = prop::sample::subsequence(&PERIODS, 1..6).prop_shuffle();
    let others = prop::collection::vec((1u64..40, times), 6);
    (periods, others).prop_map(|(periods, others)| {
        let pairs = periods.into_iter().zip(others);
        pairs
            .map(|(period, (budget, times))| (period, budget.min(period), times))
            .collect()
    })
}

/// Who runs at each tick, in ascending order.
fn running(policy: impl Policy, members: &[Member]) -> Vec<Vec<VcpuIndex>> {
    let mut simulation = Simulation::new(policy, ms(0), Costs::default());
    for (period, budget, times) in members {
        let [period, budget] = [*period, *budget].map(Duration::from_ticks);
        let parameters = Parameters {
            reservation: Reservation::new(period, budget).unwrap(),
            ..parameters(1, 1)
        };
        simulation.add(parameters, sleeper(times)).unwrap();
    }
    let mut runs = Runs::default();
    simulation.run_until(Instant::from_ticks(END), &mut runs);
    let mut running = vec![Vec::new(); END as usize];
    for run in runs.0 {
        for tick in run.from.as_ticks()..run.to.as_ticks() {
            running[tick as usize].push(run.vcpu);
        }
    }
    running.iter_mut().for_each(|tick| tick.sort_unstable());
    running
}

/// The first tick at which others run, and who they are.
fn difference(ours: impl Policy, reference: impl Policy, members: &[Member]) -> Option<String> {
    let (ours, reference) = (running(ours, members), running(reference, members));
    let differ = ours
        .iter()
        .zip(&reference)
        .position(|(one, other)| one != other)?;
    Some(format!(
        "at {differ}: {:?}, reference {:?}",
        ours[differ], reference[differ]
    ))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn one_cpu_runs_whom_the_reference_runs(members in members()) {
        let (ours, reference) = (Rtds::<6, 1>::new(ms(0)), Reference::new(ms(0), 1));
        prop_assert_eq!(difference(ours, reference, &members), None);
    }

    #[test]
    fn two_cpus_run_whom_the_reference_runs(members in members()) {
        let (ours, reference) = (Rtds::<6, 2>::new(ms(0)), Reference::new(ms(0), 2));
        prop_assert_eq!(difference(ours, reference, &members), None);
    }
}
