//! The two orders of the `rtds` policy.
//!
//! A virtual CPU waits in up to two queues: for a physical CPU, in the order of [`RunKey`], and for its next budget, in the order of
//! [`ReplenishKey`]. Sorting replenishments by the run order is a known defect of Xen's `rt.c`: a raised level then delays a
//! replenishment. Two types make that mistake a compile error; neither converts into the other.

use core::cmp::Ordering;

use embassy_time::Instant;

use crate::queue::Key;

/// Priority level: 0 comes first. A vCPU with extra time that has used up its budget goes up by one, behind all who have not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(u8);

impl Level {
    /// The level of a vCPU that runs on its own budget.
    pub const FIRST: Self = Self(0);

    /// The next level; the last one stays.
    #[must_use]
    pub const fn next(self) -> Self {
        self.up(1)
    }

    /// The level that is so many above this one; the last one stays.
    #[must_use]
    pub const fn up(self, levels: u64) -> Self {
        let room = u8::MAX - self.0;
        if levels < room as u64 {
            Self(self.0 + levels as u8)
        } else {
            Self(u8::MAX)
        }
    }

    /// The bare number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// Position in the order in which vCPUs came to a queue; it decides between equals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival(u64);

impl Arrival {
    /// The first one.
    pub const FIRST: Self = Self(0);

    /// The one that follows. At one arrival per nanosecond the numbers last for 584 years.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// Order in which vCPUs run: lower level first, then the more urgent priority, then earlier deadline, then who came first.
///
/// The level comes before the priority: whoever has used up its budget waits for all who have not, however urgent it is. Admission
/// relies on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunKey {
    /// Priority level: how many budgets of its current period are used up.
    pub level: Level,
    /// Priority by the system file: 0 is the most urgent.
    pub priority: u8,
    /// End of the current period.
    pub deadline: Instant,
    /// When it came.
    pub arrival: Arrival,
}

impl RunKey {
    /// Level, priority and deadline as one number: less is more urgent.
    pub fn rank(&self) -> u128 {
        let class = u128::from(self.level.0) << 8 | u128::from(self.priority);
        class << 64 | u128::from(self.deadline.as_ticks())
    }

    /// True when a vCPU with this key must displace a running one with `other`. Among equals the running one stays: a switch would
    /// cost time and gain nothing.
    pub fn outranks(&self, other: &Self) -> bool {
        self.rank() < other.rank()
    }
}

impl Key for RunKey {
    const UNUSED: Self = Self {
        level: Level::FIRST,
        priority: 0,
        deadline: Instant::MIN,
        arrival: Arrival::FIRST,
    };
}

impl Ord for RunKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = self.rank().cmp(&other.rank());
        rank.then(self.arrival.cmp(&other.arrival))
    }
}

impl PartialOrd for RunKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Order in which budgets are replenished: by time alone, whatever the level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplenishKey {
    /// When the budget is full again: the end of the current period.
    pub at: Instant,
}

impl Key for ReplenishKey {
    const UNUSED: Self = Self { at: Instant::MIN };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(n: u64) -> Arrival {
        Arrival(n)
    }

    fn run(level: u8, deadline: u64, came: u64) -> RunKey {
        RunKey {
            level: Level(level),
            priority: 0,
            deadline: Instant::from_ticks(deadline),
            arrival: arrival(came),
        }
    }

    #[test]
    fn lower_level_runs_before_an_earlier_deadline() {
        assert!(run(0, 100, 9) < run(1, 10, 0));
    }

    #[test]
    fn more_urgent_priority_runs_before_an_earlier_deadline_but_not_before_a_lower_level() {
        let priority = |priority, key| RunKey { priority, ..key };
        assert!(run(0, 100, 9) < priority(1, run(0, 10, 0)));
        assert!(priority(1, run(0, 100, 9)) < run(1, 10, 0));
    }

    #[test]
    fn earlier_deadline_runs_first_within_a_level() {
        assert!(run(0, 10, 9) < run(0, 11, 0));
    }

    #[test]
    fn equal_keys_run_in_the_order_of_arrival() {
        assert!(run(0, 10, 0) < run(0, 10, 1));
    }

    #[test]
    fn equal_level_and_deadline_do_not_displace_a_running_vcpu() {
        assert!(!run(0, 10, 0).outranks(&run(0, 10, 1)));
        assert!(run(0, 9, 1).outranks(&run(0, 10, 0)));
        assert!(run(0, 99, 1).outranks(&run(1, 10, 0)));
    }

    #[test]
    fn replenishments_are_ordered_by_time() {
        let key = |at| ReplenishKey {
            at: Instant::from_ticks(at),
        };
        assert!(key(10) < key(20));
    }

    #[test]
    fn last_level_does_not_wrap_around() {
        assert_eq!(Level(u8::MAX).next(), Level(u8::MAX));
        assert_eq!(Level::FIRST.next().get(), 1);
        assert_eq!(Level(250).up(u64::MAX), Level(u8::MAX));
        assert_eq!(Level(250).up(4).get(), 254);
    }

    #[test]
    fn arrivals_follow_one_another() {
        assert!(Arrival::default() < Arrival::default().next());
    }
}
