//! One virtual CPU as a deferrable server, and whether several fit one physical CPU.

use core::cmp::Ordering;

use embassy_time::Duration;

use crate::account::{Reservation, ReservationError};

/// A budget in each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    period: u64,
    budget: u64,
    /// What the physical CPU loses beyond the budget in each period.
    switch: u64,
    priority: u8,
}

impl Server {
    /// A server; priority 0 is the most urgent. Sums over 2¹⁶ of them stay far below 64 bits of nanoseconds.
    ///
    /// # Errors
    /// [`ReservationError`] for times that are no [`Reservation`].
    pub const fn new(
        period: Duration,
        budget: Duration,
        priority: u8,
    ) -> Result<Self, ReservationError> {
        match Reservation::new(period, budget) {
            Ok(reservation) => Ok(Self {
                period: reservation.period().as_ticks(),
                budget: reservation.budget().as_ticks(),
                switch: 0,
                priority,
            }),
            Err(error) => Err(error),
        }
    }

    /// The same one where its physical CPU loses up to `cost` in each period beyond the budget: from the instant at which a timer should
    /// fire until the next virtual CPU runs. That happens once a period, when the budget ends; other switches are paid from a budget.
    #[must_use]
    pub const fn with_switch_cost(self, cost: Duration) -> Self {
        Self {
            switch: cost.as_ticks(),
            ..self
        }
    }

    /// What it takes from a physical CPU in a period at most.
    const fn most(&self) -> u64 {
        let most = self.budget.saturating_add(self.switch);
        if most < self.period {
            most
        } else {
            self.period
        }
    }

    /// Its share of a physical CPU in millionths, rounded up.
    pub fn utilisation_ppm(&self) -> u64 {
        // A day of nanoseconds times a million needs 67 bits.
        let millionths = u128::from(self.budget) * 1_000_000;
        u64::try_from(millionths.div_ceil(u128::from(self.period))).unwrap_or(u64::MAX)
    }

    /// The order of first-fit decreasing: the larger utilisation first.
    pub fn by_decreasing_utilisation(&self, other: &Self) -> Ordering {
        let share = |one: &Self, of: &Self| u128::from(one.budget) * u128::from(of.period);
        share(other, self).cmp(&share(self, other))
    }

    /// The most that it runs in any interval of this length: a budget at the end of one period, and at once that of the next.
    pub fn most_in(&self, interval: Duration) -> Duration {
        let (length, most) = (interval.as_ticks(), self.most());
        let rest = length.saturating_sub(most);
        let more = rest / self.period * most + (rest % self.period).min(most);
        Duration::from_ticks(length.min(most) + more)
    }

    /// The most that it runs in any interval of this length with deadlines not after the interval's end: whole periods counted back
    /// from there, and before them the end of one more.
    pub fn most_before(&self, interval: Duration) -> Duration {
        let (length, most) = (interval.as_ticks(), self.most());
        let whole = length / self.period * most;
        Duration::from_ticks(whole + (length % self.period).min(most))
    }

    /// What it needs of a physical CPU of its own.
    pub(super) const fn alone(&self) -> Need {
        Need {
            own: Duration::from_ticks(self.budget),
            switching: Duration::from_ticks(0),
            others: Duration::from_ticks(0),
            period: Duration::from_ticks(self.period),
        }
    }

    /// The same, and what it loses by switching where there are others.
    pub(super) const fn among_others(&self) -> Need {
        Need {
            switching: Duration::from_ticks(self.switch),
            ..self.alone()
        }
    }

    /// The most that another one on the same physical CPU takes while this one, in a period of its own, waits for its budget.
    pub fn loses_to(&self, other: &Self) -> Duration {
        let period = Duration::from_ticks(self.period);
        match other.priority.cmp(&self.priority) {
            Ordering::Less => other.most_in(period),
            Ordering::Equal => other.most_before(period),
            Ordering::Greater => Duration::from_ticks(0),
        }
    }
}

/// What one server needs of its physical CPU in each of its periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Its own budget.
    pub own: Duration,
    /// How much later than it should be it may get it: its timer, and the switch to it. Nothing when it is alone.
    pub switching: Duration,
    /// The most that the others there take in the same time.
    pub others: Duration,
    /// Its period.
    pub period: Duration,
}

impl Need {
    /// By how much the period is too short; `None` when the promise is kept.
    pub fn excess(&self) -> Option<Duration> {
        let parts = [self.own, self.switching, self.others].map(|part| part.as_ticks());
        let needed = parts.into_iter().fold(0, u64::saturating_add);
        let excess = needed.saturating_sub(self.period.as_ticks());
        (excess > 0).then(|| Duration::from_ticks(excess))
    }
}

/// What `server` needs beside `others` on the same physical CPU.
pub fn need<'a>(server: &Server, others: impl IntoIterator<Item = &'a Server>) -> Need {
    let mut need = server.alone();
    for other in others {
        need.switching = server.among_others().switching;
        let taken = server.loses_to(other).as_ticks();
        need.others = Duration::from_ticks(need.others.as_ticks().saturating_add(taken));
    }
    need
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    fn server(period: u64, budget: u64, priority: u8) -> Server {
        Server::new(ms(period), ms(budget), priority).unwrap()
    }

    #[test]
    fn server_without_time_or_with_more_than_there_is_is_refused() {
        assert_eq!(Server::new(ms(0), ms(0), 0), Err(ReservationError::Zero));
        assert_eq!(Server::new(ms(10), ms(0), 0), Err(ReservationError::Zero));
        let too_much = Server::new(ms(10), ms(11), 0);
        assert_eq!(too_much, Err(ReservationError::BudgetBeyondPeriod));
        let endless = Server::new(Duration::from_ticks(u64::MAX), ms(1), 0);
        assert_eq!(endless, Err(ReservationError::TooLong));
        assert!(Server::new(ms(10), ms(10), 0).is_ok());
    }

    #[test]
    fn two_budgets_can_follow_one_another_at_once() {
        let one = server(10, 4, 0);
        assert_eq!(one.most_in(ms(3)), ms(3));
        assert_eq!(one.most_in(ms(8)), ms(8));
        assert_eq!(one.most_in(ms(14)), ms(8));
        assert_eq!(one.most_in(ms(16)), ms(10));
    }

    #[test]
    fn only_the_end_of_an_earlier_period_comes_before_whole_ones() {
        let one = server(10, 4, 0);
        assert_eq!(one.most_before(ms(3)), ms(3));
        assert_eq!(one.most_before(ms(10)), ms(4));
        assert_eq!(one.most_before(ms(12)), ms(6));
        assert_eq!(one.most_before(ms(19)), ms(8));
    }

    #[test]
    fn late_waker_of_equal_priority_breaks_the_promise_to_a_short_period() {
        let (short, long) = (server(10, 2, 0), server(100, 50, 0));
        assert_eq!(need(&short, [&long]).excess(), Some(ms(2)));
        assert_eq!(need(&long, [&short]).excess(), None);
    }

    #[test]
    fn more_urgent_priority_keeps_the_promise_to_a_short_period() {
        let (short, long) = (server(10, 2, 0), server(100, 50, 1));
        assert_eq!(need(&short, [&long]).others, ms(0));
        assert_eq!(need(&long, [&short]).others, ms(22));
        assert_eq!(need(&long, [&short]).excess(), None);
    }

    #[test]
    fn equal_periods_fill_a_physical_cpu_completely() {
        let half = server(10, 5, 0);
        assert_eq!(need(&half, [&half]).excess(), None);
        assert_eq!(
            need(&half, [&half, &server(10, 1, 0)]).excess(),
            Some(ms(1))
        );
    }

    #[test]
    fn switch_costs_are_added_to_what_each_one_takes_once_a_period() {
        let cost = Duration::from_millis(1);
        let half = server(10, 4, 0).with_switch_cost(cost);
        assert_eq!(half.most_in(ms(10)), ms(10));
        assert_eq!(half.most_before(ms(20)), ms(10));
        assert_eq!(need(&half, [&half]).excess(), None);
        let more = server(10, 5, 0).with_switch_cost(cost);
        assert_eq!(need(&half, [&more]).excess(), Some(ms(1)));
    }

    #[test]
    fn switching_costs_nothing_to_one_that_is_alone() {
        let whole = server(10, 10, 0).with_switch_cost(ms(1));
        assert_eq!(need(&whole, []).excess(), None);
    }

    #[test]
    fn larger_utilisation_comes_first_and_is_rounded_up() {
        let (third, half) = (server(3, 1, 0), server(1000, 500, 0));
        assert_eq!(half.by_decreasing_utilisation(&third), Ordering::Less);
        assert_eq!(third.utilisation_ppm(), 333_334);
        assert_eq!(half.utilisation_ppm(), 500_000);
    }

    /// What a server of this period and budget can run in `[from, to)` when it takes all that it may, its periods beginning at
    /// multiples of its period plus `phase`. With `whole`, only periods that end by `to` count.
    fn greedy(period: u64, budget: u64, phase: u64, from: u64, to: u64, whole: bool) -> u64 {
        let mut total = 0;
        let mut begin = phase;
        while begin < to {
            let end = begin + period;
            let inside = end.min(to).saturating_sub(begin.max(from));
            if !(whole && end > to) {
                total += inside.min(budget);
            }
            begin = end;
        }
        total
    }

    proptest! {
        #[test]
        fn bounds_cover_every_phase_and_are_reached(period in 1u64..40, part in 1u64..40, length in 0u64..200) {
            let budget = part.min(period);
            let ticks = Duration::from_ticks;
            let server = Server::new(ticks(period), ticks(budget), 0).unwrap();
            let (from, to) = (period, period + length);
            let worst = |whole| (0..period).map(|phase| greedy(period, budget, phase, from, to, whole)).max().unwrap();
            prop_assert_eq!(server.most_in(ticks(length)), ticks(worst(false)));
            prop_assert_eq!(server.most_before(ticks(length)), ticks(worst(true)));
        }

        #[test]
        fn linear_bound_of_ghazalie_and_baker_is_never_below(period in 1u64..1000, part in 1u64..1000, length in 0u64..5000) {
            let budget = part.min(period);
            let server = Server::new(Duration::from_ticks(period), Duration::from_ticks(budget), 0).unwrap();
            let linear = budget * (length + period - budget);
            prop_assert!(server.most_before(Duration::from_ticks(length)).as_ticks() * period <= linear);
        }
    }
}
