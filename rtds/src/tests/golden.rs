//! Golden traces: who runs when, worked out by hand from the rules.

use super::*;
use crate::Rtds;
use crate::sim::{Costs, ENDLESS, Policy, Runs, Simulation, Step, Wake};

/// When one wakes and how long it works then, in milliseconds; 0 for ever.
type Jobs = &'static [(u64, u64)];

/// The runs in the first milliseconds, a line for each CPU: `0-4 V0, 4-10 V1`.
fn trace(policy: impl Policy, end: u64, members: &[(Parameters, Jobs)]) -> Vec<String> {
    let pcpus = policy.pcpus();
    let mut simulation = Simulation::new(policy, ms(0), Costs::default());
    for (parameters, jobs) in members {
        let steps = jobs.iter().map(|(at, work)| Step {
            wake: Wake::At(ms(*at)),
            work: if *work == 0 {
                ENDLESS
            } else {
                Duration::from_millis(*work)
            },
        });
        simulation.add(*parameters, steps).unwrap();
    }
    let mut runs = Runs::default();
    simulation.run_until(ms(end), &mut runs);
    let line = |pcpu| {
        let here = runs.0.iter().filter(|run| run.pcpu.get() == pcpu);
        let runs = here.map(|run| {
            format!(
                "{}-{} V{}",
                run.from.as_millis(),
                run.to.as_millis(),
                run.vcpu.get()
            )
        });
        runs.collect::<Vec<_>>().join(", ")
    };
    (0..pcpus).map(line).collect()
}

/// One CPU.
fn one(end: u64, members: &[(Parameters, Jobs)]) -> String {
    trace(Rtds::<4, 1>::new(ms(0)), end, members).remove(0)
}

const BUSY: Jobs = &[(0, 0)];

#[test]
fn busy_one_runs_its_budget_at_the_start_of_each_period() {
    let ran = one(25, &[(parameters(10, 4), BUSY)]);
    assert_eq!(ran, "0-4 V0, 10-14 V0, 20-24 V0");
}

#[test]
fn earlier_deadline_runs_first_and_equal_deadlines_do_not_preempt() {
    // At 10 both have the deadline 20, and V1 runs on; at 12 it has used up its budget.
    let ran = one(24, &[(parameters(10, 4), BUSY), (parameters(20, 8), BUSY)]);
    assert_eq!(ran, "0-4 V0, 4-12 V1, 12-16 V0, 20-24 V0");
}

#[test]
fn unused_budget_stays_until_the_deadline_and_makes_a_burst_across_it() {
    let ran = one(20, &[(parameters(10, 4), &[(6, 0)])]);
    assert_eq!(ran, "6-14 V0");
}

#[test]
fn unused_budget_is_lost_at_the_deadline() {
    let ran = one(40, &[(parameters(10, 4), &[(0, 1), (20, 0)])]);
    assert_eq!(ran, "0-1 V0, 20-24 V0, 30-34 V0");
}

#[test]
fn more_urgent_priority_runs_before_an_earlier_deadline() {
    let other = Parameters {
        priority: 1,
        ..parameters(10, 4)
    };
    let ran = one(16, &[(parameters(100, 5), &[(2, 0)]), (other, BUSY)]);
    assert_eq!(ran, "0-2 V1, 2-7 V0, 7-9 V1, 10-14 V1");
}

#[test]
fn extra_time_goes_to_the_lowest_level_then_to_the_earliest_deadline() {
    // At 8 both are on level 1. At 10 V0 has a budget again; at 14 both have level 1 and the deadline 20, so V0 runs on for a budget.
    let ran = one(
        20,
        &[
            (with_extra_time(10, 4), BUSY),
            (with_extra_time(20, 4), BUSY),
        ],
    );
    assert_eq!(ran, "0-4 V0, 4-8 V1, 8-18 V0, 18-20 V1");
}

#[test]
fn budget_comes_before_extra_time_of_a_more_urgent_priority() {
    let own = Parameters {
        priority: 1,
        ..parameters(20, 8)
    };
    let ran = one(20, &[(with_extra_time(10, 2), BUSY), (own, BUSY)]);
    assert_eq!(ran, "0-2 V0, 2-10 V1, 10-20 V0");
}

#[test]
fn two_cpus_run_the_two_earliest_deadlines() {
    let members = [
        (parameters(10, 4), BUSY),
        (parameters(20, 10), BUSY),
        (parameters(30, 20), BUSY),
    ];
    let ran = trace(Rtds::<3, 2>::new(ms(0)), 20, &members);
    // At 10 the second CPU is free, so V0 goes there and V2 stays where it is.
    assert_eq!(ran, ["0-4 V0, 4-20 V2", "0-10 V1, 10-14 V0"]);
}
