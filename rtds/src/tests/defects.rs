//! The known defects of the reference, each with what the reference does and what is right.
//!
//! | defect of the reference | test |
//! |---|---|
//! | no preemption when one that waits on extra time is replenished | `one_that_is_replenished_while_it_waits_on_extra_time_preempts_at_once` |
//! | replenishments in the order of levels | `replenishments_come_in_the_order_of_time_whatever_the_level` |
//! | only the queue's head is considered | `one_behind_a_head_that_may_not_run_here_is_considered` |
//! | the old period's budget charged to the new one | `time_after_the_deadline_is_charged_to_the_new_period` |
//! | depletion lost when replenished in mid-switch | `budget_that_ends_while_the_replenishment_is_handled_late_is_not_lost` |
//! | several wakes told to one pCPU | `wakes_that_come_together_call_a_pcpu_each` |
//! | level counter wraps | `levels_of_one_that_never_stops_stay_in_range` |
//! | idle chosen while work was queued | `waiting_one_gets_the_cpu_before_the_cpu_idles` |
//! | parameters unchecked | `parameters_are_checked` |
//!
//! Time read before the lock was taken is the shell's matter: its events come with times that never go back, which the policy's property tests hold.

use super::*;
use crate::sim::{Costs, Observer, PerWindow, Policy, Reference, Simulation, Step, busy};
use crate::sim::{ENDLESS, Wake};
use crate::{Event, Rtds, Standing};

fn at(time: u64, work: Duration) -> Step {
    Step {
        wake: Wake::At(ms(time)),
        work,
    }
}

fn milliseconds(ran: &[u64]) -> Vec<u64> {
    ran.iter().map(|ticks| ticks / 1_000_000).collect()
}

/// V1 (10, 2) and V4 (100, 50), both with extra time and always busy: what V1 runs in each window of 10 ms.
fn supply_beside_a_busy_one_with_extra_time(policy: impl Policy) -> Vec<u64> {
    let mut simulation = Simulation::new(policy, ms(0), Costs::default());
    let watched = simulation.add(with_extra_time(10, 2), busy(ms(0))).unwrap();
    simulation
        .add(with_extra_time(100, 50), busy(ms(0)))
        .unwrap();
    let mut windows = PerWindow::new(watched, ms(0), Duration::from_millis(10));
    simulation.run_until(ms(1000), &mut windows);
    milliseconds(&windows.ran)
}

#[test]
fn one_that_is_replenished_while_it_waits_on_extra_time_preempts_at_once() {
    let ran = supply_beside_a_busy_one_with_extra_time(Rtds::<2, 1>::new(ms(0)));
    assert_eq!(ran.len(), 100);
    assert!(ran.iter().all(|ran| *ran >= 2), "{ran:?}");
}

#[test]
fn reference_leaves_one_that_is_replenished_on_extra_time_waiting() {
    let ran = supply_beside_a_busy_one_with_extra_time(Reference::new(ms(0), 1));
    assert_eq!(ran[..11], [2, 0, 0, 0, 0, 4, 0, 0, 0, 0, 2]);
}

/// When one virtual CPU got a new deadline.
struct Replenishments {
    vcpu: VcpuIndex,
    deadline: Instant,
    at: Vec<u64>,
}

impl Observer for Replenishments {
    fn stands(&mut self, vcpu: VcpuIndex, standing: Standing, at: Instant) {
        if vcpu == self.vcpu && standing.deadline != self.deadline {
            self.deadline = standing.deadline;
            self.at.push(at.as_millis());
        }
    }

    fn wants_standings(&self) -> bool {
        true
    }
}

/// V1 (10, 2) with extra time sleeps from 17 to 18 ms, V2 (100, 10) is always busy, V3 (20, 13) wakes at 20 ms.
fn replenishments_of_one_on_extra_time(policy: impl Policy) -> Vec<u64> {
    let mut simulation = Simulation::new(policy, ms(0), Costs::default());
    // 7 ms of its own until 17 ms: V2 takes the other 10.
    let steps = [at(0, Duration::from_millis(7)), at(18, ENDLESS)];
    let watched = simulation
        .add(with_extra_time(10, 2), steps.into_iter())
        .unwrap();
    simulation.add(parameters(100, 10), busy(ms(0))).unwrap();
    simulation.add(parameters(20, 13), busy(ms(20))).unwrap();
    let mut seen = Replenishments {
        vcpu: watched,
        deadline: ms(0),
        at: Vec::new(),
    };
    simulation.run_until(ms(125), &mut seen);
    seen.at
}

#[test]
fn replenishments_come_in_the_order_of_time_whatever_the_level() {
    let seen = replenishments_of_one_on_extra_time(Rtds::<3, 1>::new(ms(0)));
    assert_eq!(seen, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120]);
}

#[test]
fn reference_delays_a_replenishment_by_a_raised_level() {
    let seen = replenishments_of_one_on_extra_time(Reference::new(ms(0), 1));
    assert_eq!(seen, [0, 10, 100, 110, 120]);
}

/// CPU 0 runs V0 (10, 10) from 5 ms on, CPU 1 runs V1 (14, 14). V2 (15, 2), for CPU 1 only, heads the queue; V3 (16, 1), for CPU 0,
/// is next. At 10 ms V0 gets the deadline 20 ms, and V3 has 16. Returns what V3 runs in each millisecond.
fn supply_behind_a_head_that_may_not_run_here(policy: impl Policy) -> Vec<u64> {
    let on = |pcpu, parameters| Parameters {
        affinity: PcpuSet::EMPTY.with(p(pcpu)),
        ..parameters
    };
    let mut simulation = Simulation::new(policy, ms(0), Costs::default());
    let mut add = |parameters, wakes| simulation.add(parameters, busy(ms(wakes))).unwrap();
    add(on(0, parameters(10, 10)), 5);
    add(on(1, parameters(14, 14)), 0);
    add(on(1, parameters(15, 2)), 6);
    let watched = add(on(0, parameters(16, 1)), 6);
    let mut windows = PerWindow::new(watched, ms(0), Duration::from_millis(1));
    simulation.run_until(ms(16), &mut windows);
    milliseconds(&windows.ran)
}

#[test]
fn one_behind_a_head_that_may_not_run_here_is_considered() {
    let ran = supply_behind_a_head_that_may_not_run_here(Rtds::<4, 2, 2>::new(ms(0)));
    assert_eq!(ran, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
}

#[test]
fn reference_considers_only_the_head_of_its_queue() {
    let ran = supply_behind_a_head_that_may_not_run_here(Reference::new(ms(0), 2));
    // It waits until the budget of the running one ends.
    assert_eq!(ran, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
}

#[test]
fn time_after_the_deadline_is_charged_to_the_new_period() {
    let mut pool = Rtds::<1, 1>::new(ms(0));
    pool.add(parameters(10, 6)).unwrap();
    pool.on(ms(8), p(0), Event::Wake(v(0)));
    pool.on(ms(8), p(0), Event::Saved);
    // It runs from 8 to 11: two in the old period, one in the new one.
    let actions = pool.on(ms(11), p(0), Event::Look);
    assert_eq!(actions.timer, Some(ms(16)));
    assert_eq!(pool.counters(v(0)).unwrap().last_supply, 2_000_000);
}

#[test]
fn budget_that_ends_while_the_replenishment_is_handled_late_is_not_lost() {
    let mut pool = Rtds::<1, 1>::new(ms(0));
    pool.add(parameters(10, 4)).unwrap();
    pool.on(ms(0), p(0), Event::Wake(v(0)));
    pool.on(ms(0), p(0), Event::Saved);
    // Told to stop at 4, saved at 15 only: the new period's budget is used up too.
    assert_eq!(pool.on(ms(4), p(0), Event::Look).run, None);
    let saved = pool.on(ms(15), p(0), Event::Saved);
    assert_eq!((saved.run, saved.timer), (None, Some(ms(20))));
}

#[test]
fn wakes_that_come_together_call_a_pcpu_each() {
    let mut pool = Rtds::<3, 3>::new(ms(0));
    let mut called = PcpuSet::EMPTY;
    for _ in 0..3 {
        pool.add(parameters(10, 4)).unwrap();
    }
    // The first pCPU hears of all three before any other one has looked.
    for vcpu in 0..3 {
        let actions = pool.on(ms(1), p(0), Event::Wake(v(vcpu)));
        called = actions.kick.iter().fold(called, PcpuSet::with);
    }
    assert_eq!(called, PcpuSet::EMPTY.with(p(1)).with(p(2)));
    let mut running: Vec<_> = (0..3)
        .map(|pcpu| pool.on(ms(1), p(pcpu), Event::Look).run.unwrap().get())
        .collect();
    running.sort_unstable();
    assert_eq!(running, [0, 1, 2]);
}

#[test]
fn parameters_are_checked() {
    let reservation = |period, budget| {
        Reservation::new(Duration::from_millis(period), Duration::from_millis(budget))
    };
    assert!(reservation(10, 11).is_err());
    assert!(reservation(0, 0).is_err());
    assert!(reservation(10, 0).is_err());
    assert!(reservation(1_000 * 60 * 60 * 25, 1).is_err());
    assert!(reservation(10, 10).is_ok());
}

#[test]
fn waiting_one_gets_the_cpu_before_the_cpu_idles() {
    let mut pool = Rtds::<2, 1>::new(ms(0));
    pool.add(parameters(10, 4)).unwrap();
    pool.add(parameters(20, 4)).unwrap();
    pool.on(ms(0), p(0), Event::Wake(v(0)));
    pool.on(ms(0), p(0), Event::Saved);
    pool.on(ms(1), p(0), Event::Wake(v(1)));
    assert_eq!(pool.on(ms(2), p(0), Event::Block(v(0))).run, Some(v(1)));
}

#[test]
fn levels_of_one_that_never_stops_stay_in_range() {
    let mut pool = Rtds::<1, 1>::new(ms(0));
    pool.add(Parameters {
        reservation: Reservation::new(Duration::from_millis(1000), Duration::from_ticks(1))
            .unwrap(),
        ..with_extra_time(10, 4)
    })
    .unwrap();
    pool.on(ms(0), p(0), Event::Wake(v(0)));
    pool.on(ms(0), p(0), Event::Saved);
    pool.on(ms(999), p(0), Event::Look);
    let standing = pool.standing(v(0)).unwrap();
    assert_eq!(standing.level.get(), u8::MAX);
    assert_eq!(standing.left, Duration::from_ticks(1));
}
