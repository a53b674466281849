//! The account of one virtual CPU: what it may run in its current period, what it has run, and what it was promised.

use embassy_time::Duration;

use crate::counters::Counters;
use crate::ids::{PcpuIndex, PcpuSet};
use crate::key::Level;

/// A budget in each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    period: u64,
    budget: u64,
}

/// Why times make no reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReservationError {
    /// A budget or a period of nothing.
    #[error("the budget or the period is zero")]
    Zero,
    /// More time than there is.
    #[error("the budget is longer than the period")]
    BudgetBeyondPeriod,
    /// A period of more than [`Reservation::LONGEST`].
    #[error("the period is too long")]
    TooLong,
}

impl Reservation {
    /// The longest period: a day.
    pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

    /// A reservation.
    ///
    /// # Errors
    /// [`ReservationError`] unless 0 < budget ≤ period ≤ [`Reservation::LONGEST`].
    pub const fn new(period: Duration, budget: Duration) -> Result<Self, ReservationError> {
        let (period, budget) = (period.as_ticks(), budget.as_ticks());
        if period == 0 || budget == 0 {
            return Err(ReservationError::Zero);
        }
        if budget > period {
            return Err(ReservationError::BudgetBeyondPeriod);
        }
        if period > Self::LONGEST.as_ticks() {
            return Err(ReservationError::TooLong);
        }
        Ok(Self { period, budget })
    }

    /// How long a period is.
    pub const fn period(&self) -> Duration {
        Duration::from_ticks(self.period)
    }

    /// What may be run in each.
    pub const fn budget(&self) -> Duration {
        Duration::from_ticks(self.budget)
    }
}

/// What the system file says of a virtual CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Its budget and period.
    pub reservation: Reservation,
    /// 0 is the most urgent.
    pub priority: u8,
    /// Whether it runs on when its budget is used up and nobody waits who still has one.
    pub extra_time: bool,
    /// The physical CPUs of the pool on which it may run.
    pub affinity: PcpuSet,
}

impl Parameters {
    /// Of nobody.
    pub(crate) const NONE: Self = Self {
        reservation: Reservation {
            period: 1,
            budget: 1,
        },
        priority: 0,
        extra_time: false,
        affinity: PcpuSet::EMPTY,
    };
}

/// The account. Times are ticks of the clock, in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub parameters: Parameters,
    pub level: Level,
    /// End of the current period.
    pub deadline: u64,
    /// What is left of the budget.
    pub left: u64,
    /// True from wake to block.
    pub awake: bool,
    /// The physical CPU that has its registers: it runs there, or did until a moment ago.
    pub held: Option<PcpuIndex>,
    /// The physical CPU that had them last, counted only where there are several.
    last_held: Option<PcpuIndex>,
    /// The physical CPU whose time it pays for.
    pub pays: Option<PcpuIndex>,
    /// Up to when it has paid.
    charged: u64,
    /// Since when it has been awake without running.
    waits_since: Option<u64>,
    /// What it was charged in the current period.
    supply: u64,
    /// What of that came after its budget was used up.
    overrun: u64,
    /// True when it has been awake since the current period began.
    whole: bool,
    pub counters: Counters,
}

impl Account {
    /// An account of one that sleeps; its periods begin at `start` and every period from there.
    pub const fn new(parameters: Parameters, start: u64) -> Self {
        Self {
            parameters,
            level: Level::FIRST,
            deadline: start,
            left: 0,
            awake: false,
            held: None,
            last_held: None,
            pays: None,
            charged: start,
            waits_since: None,
            supply: 0,
            overrun: 0,
            whole: false,
            counters: Counters::NONE,
        }
    }

    /// Brings the account up to `now`. Time that is run after the deadline belongs to the new period, not to the old one. Returns true
    /// when the budget was used up or replenished.
    #[inline(always)]
    pub fn settle(&mut self, now: u64) -> bool {
        let replenished = now >= self.deadline;
        let mut changed = replenished;
        if replenished {
            self.charge(self.deadline);
            self.replenish(now);
        }
        changed |= self.charge(now);
        changed
    }

    /// Charges what it has to pay for up to `until`. Returns true when the budget was used up.
    #[inline]
    fn charge(&mut self, until: u64) -> bool {
        if self.pays.is_none() {
            return false;
        }
        let spent = until.saturating_sub(self.charged);
        if spent >= self.left {
            return self.exhaust(spent);
        }
        self.charged += spent;
        self.supply += spent;
        self.left -= spent;
        false
    }

    /// Charges what uses the budget up. Returns false when it was used up before and nothing more is spent.
    fn exhaust(&mut self, spent: u64) -> bool {
        if spent == 0 {
            return false;
        }
        let beyond = spent.saturating_sub(self.left);
        self.charged += spent;
        self.supply += spent;
        self.counters.depletions += u64::from(self.left > 0);
        if self.parameters.extra_time {
            let budget = self.parameters.reservation.budget;
            // A budget is never 0: without the checks the image would have a panic for it.
            let more = beyond.checked_div(budget).unwrap_or(0);
            self.level = self.level.up(1 + more);
            self.left = budget - (beyond - more * budget);
        } else {
            self.left = 0;
            self.overrun += beyond;
            self.counters.longest_overrun = self.counters.longest_overrun.max(self.overrun);
        }
        true
    }

    /// Begins the period in which `now` lies: the periods keep their phase, however late this is.
    #[inline]
    fn replenish(&mut self, now: u64) {
        let Reservation { period, budget } = self.parameters.reservation;
        let late = now - self.deadline;
        // A division costs as much as all the rest, and next to never there is something to divide.
        let missed = if late < period {
            0
        } else {
            late.checked_div(period).unwrap_or(0)
        };
        let begin = self.deadline + missed * period;
        if self.awake {
            self.counters.ended_period(self.supply, self.whole);
            if missed > 0 {
                self.counters.late_replenishments += missed;
                let supply = if self.pays.is_some() { period } else { 0 };
                self.counters.ended_period(supply, true);
            }
        }
        self.charged = self.charged.max(begin);
        self.deadline = begin + period;
        self.left = budget;
        self.level = Level::FIRST;
        (self.supply, self.overrun) = (0, 0);
        self.whole = self.awake;
    }

    /// It wants to run from now on. A period that has ended is followed by one with a full budget.
    #[inline]
    pub fn wake(&mut self, now: u64) {
        if now >= self.deadline {
            self.settle(now);
        }
        self.awake = true;
        self.whole = self.deadline == now + self.parameters.reservation.period;
        if self.held.is_none() {
            self.waits_since = Some(now);
        }
    }

    /// It no longer wants to run. What is left of its budget stays until the deadline.
    #[inline]
    pub fn block(&mut self, now: u64) {
        self.awake = false;
        self.whole = false;
        self.served(now);
    }

    /// From now on it pays for a physical CPU.
    pub const fn pay(&mut self, pcpu: PcpuIndex, now: u64) {
        self.charged = now;
        self.pays = Some(pcpu);
    }

    /// It pays up to now, and no more. Nothing of it was due before.
    #[inline]
    pub fn stop_paying(&mut self, now: u64) {
        self.charge(now);
        self.pays = None;
    }

    /// When its budget ends or is full again. It pays.
    #[inline]
    pub fn due(&self) -> u64 {
        self.deadline.min(self.budget_end())
    }

    /// What is left of its budget. Nothing of it was due before.
    pub fn left_at(&self, now: u64) -> u64 {
        let unpaid = self.pays.map_or(0, |_| now.saturating_sub(self.charged));
        self.left.saturating_sub(unpaid)
    }

    /// Its registers are loaded on a physical CPU.
    #[inline]
    pub fn take_up(&mut self, pcpu: PcpuIndex, now: u64) {
        self.held = Some(pcpu);
        self.served(now);
    }

    /// Its registers are loaded on one of several physical CPUs.
    pub fn arrive(&mut self, pcpu: PcpuIndex) {
        let before = self.last_held.replace(pcpu);
        self.counters.migrations += u64::from(before.is_some_and(|before| before != pcpu));
    }

    /// Its registers are saved.
    #[inline]
    pub fn put_down(&mut self, now: u64) {
        self.held = None;
        if self.awake {
            self.counters.preemptions += u64::from(self.left > 0);
            self.waits_since = Some(now);
        }
    }

    /// When its budget ends if it goes on paying.
    pub const fn budget_end(&self) -> u64 {
        self.charged.saturating_add(self.left)
    }

    fn served(&mut self, now: u64) {
        if let Some(since) = self.waits_since.take() {
            let blackout = now.saturating_sub(since);
            self.counters.longest_blackout = self.counters.longest_blackout.max(blackout);
        }
    }
}
