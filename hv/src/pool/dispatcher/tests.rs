//! Two contenders on a CPU that is no Arm's: a counter and an alarm are all that it has.

use std::cell::Cell;

use model::time::{Budget, Duration, TimeShare};

use super::*;
use crate::pool::budget::Budgets;

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
    static ALARM: Cell<Option<u64>> = const { Cell::new(None) };
}

enum Bare {}

impl AlarmClock for Bare {
    fn now() -> u64 {
        NOW.get()
    }

    fn set_alarm(at: u64) {
        ALARM.set(Some(at));
    }

    fn clear_alarm() {
        ALARM.set(None);
    }
}

struct Guest {
    sleep: Sleep,
    called: bool,
}

impl Contender for Guest {
    fn sleep(&mut self) -> &mut Sleep {
        &mut self.sleep
    }

    fn has_requests(&self) -> bool {
        self.called
    }
}

/// Both sleep, with 300 and 500 of each 1,000 ns; the counter counts nanoseconds.
struct Two {
    dispatcher: Dispatcher<Budgets<2>>,
    guests: [Guest; 2],
}

impl Two {
    fn new() -> Self {
        NOW.set(0);
        ALARM.set(None);
        let mut policy = Budgets::new();
        for budget in [300, 500] {
            assert!(policy.add(&TimeShare::Budget(Budget {
                period: Duration::from_ticks(1_000),
                budget: Duration::from_ticks(budget),
                priority: 0,
                extra_time: false,
            })));
        }
        let guest = || Guest {
            sleep: Sleep::NEW,
            called: false,
        };
        Self {
            dispatcher: Dispatcher::new(policy, 1_000_000_000),
            guests: [guest(), guest()],
        }
    }

    /// Decides at `now`, and does it.
    fn turn(&mut self, now: u64, has_work: bool, other: u64) -> Option<usize> {
        NOW.set(now);
        let moment = Moment {
            decided: now,
            ticks: now,
        };
        let guests = self.guests.iter_mut();
        let decided = self.dispatcher.decide(moment, has_work, guests, |_, _| ());
        if let Some(run) = decided.run {
            self.dispatcher.loaded = run;
        }
        let guests = self.guests.iter_mut();
        self.dispatcher.done::<Bare, _>(decided.run, guests, other);
        decided.run
    }
}

#[test]
fn nobody_runs_until_a_call_and_the_budget_sets_the_alarm() {
    let mut two = Two::new();
    assert_eq!(two.turn(10, false, u64::MAX), None);
    two.guests[1].called = true;
    assert_eq!(two.turn(20, false, u64::MAX), Some(1));
    assert_eq!(ALARM.get(), Some(520));
}

#[test]
fn timer_of_a_sleeper_rings_and_wakes_it() {
    let mut two = Two::new();
    two.guests[1].sleep.timer = 700;
    assert_eq!(two.turn(10, false, u64::MAX), None);
    assert_eq!(ALARM.get(), Some(700));
    two.dispatcher.rang();
    assert_eq!(two.turn(700, false, u64::MAX), Some(1));
    assert!(two.guests[1].sleep.awake);
    assert_eq!(two.guests[1].sleep.timer, u64::MAX);
}

#[test]
fn end_of_a_budget_gives_the_turn_to_the_other() {
    let mut two = Two::new();
    two.guests[1].called = true;
    assert_eq!(two.turn(0, true, u64::MAX), Some(0));
    two.guests[1].called = false;
    assert_eq!(ALARM.get(), Some(300));
    two.dispatcher.rang();
    assert_eq!(two.turn(300, true, u64::MAX), Some(1));
    // It has nothing to do any more, and the other one no budget.
    assert_eq!(two.turn(400, false, u64::MAX), None);
    assert_eq!(ALARM.get(), Some(1_000));
}

#[test]
fn alarm_is_set_for_what_else_there_is_when_that_is_earlier() {
    let mut two = Two::new();
    assert_eq!(two.turn(0, true, 250), Some(0));
    assert_eq!(ALARM.get(), Some(250));
    two.dispatcher.ring_by::<Bare>(200);
    assert_eq!((ALARM.get(), two.dispatcher.armed()), (Some(200), 200));
    two.dispatcher.ring_by::<Bare>(600);
    assert_eq!(ALARM.get(), Some(200));
}
