//! What is counted for each virtual CPU.

use embassy_time::Duration;

/// Counters of one virtual CPU since the pool began. Times are in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Periods that ended while it was awake.
    pub periods: u64,
    /// What it was charged in the last of them.
    pub last_supply: u64,
    /// The least that it was charged in a period through which it was awake; [`u64::MAX`] before the first one.
    pub least_supply: u64,
    /// How often its budget was used up.
    pub depletions: u64,
    /// How often it had to give way with budget left.
    pub preemptions: u64,
    /// How often it went on, on another physical CPU than the one before.
    pub migrations: u64,
    /// The longest time for which it was awake without running. One that lasts still is not in it.
    pub longest_blackout: u64,
    /// The longest time that it ran beyond a budget, until it was stopped.
    pub longest_overrun: u64,
    /// Periods that were over before their budget was replenished.
    pub late_replenishments: u64,
}

impl Counters {
    /// Nothing has happened.
    pub const NONE: Self = Self {
        periods: 0,
        last_supply: 0,
        least_supply: u64::MAX,
        depletions: 0,
        preemptions: 0,
        migrations: 0,
        longest_blackout: 0,
        longest_overrun: 0,
        late_replenishments: 0,
    };

    /// The least that it was charged in a period through which it was awake; `None` before the first such period.
    pub const fn least_supply(&self) -> Option<Duration> {
        if self.least_supply == u64::MAX {
            return None;
        }
        Some(Duration::from_ticks(self.least_supply))
    }

    /// A period ended; `whole` when it was awake through all of it.
    pub(crate) fn ended_period(&mut self, supply: u64, whole: bool) {
        self.periods += 1;
        self.last_supply = supply;
        if whole {
            self.least_supply = self.least_supply.min(supply);
        }
    }
}
