//! The timer of a virtual local APIC (Intel SDM volume 3, 11.5.4): counts down from the initial count, once or again and again. Undivided it counts
//! at the rate of the time stamp counter, whose ticks all times here are.
//!
//! It is looked at when somebody asks, however late that is: periods that have ended meanwhile are one interrupt, as pending ones are, and its phase
//! stays.

/// The timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// Periodic mode of its local vector table entry.
    pub periodic: bool,
    initial: u32,
    divide: u32,
    /// When the count is 0 next. `None`: it stands.
    deadline: Option<u64>,
}

impl Timer {
    /// After reset: it stands, and divides by 2.
    pub const RESET: Self = Self {
        periodic: false,
        initial: 0,
        divide: 0,
        deadline: None,
    };

    /// How far a tick of the time stamp counter is shifted, 0 to 7: bits 3, 1 and 0 of the divide configuration register (figure 11-10).
    const fn shift(&self) -> u32 {
        let value = self.divide >> 1 & 0b100 | self.divide & 0b11;
        (value + 1) & 7
    }

    const fn ticks(&self, count: u32) -> u64 {
        (count as u64) << self.shift()
    }

    /// The initial count register.
    pub const fn initial(&self) -> u32 {
        self.initial
    }

    /// The divide configuration register.
    pub const fn divide(&self) -> u32 {
        self.divide
    }

    /// A write to the initial count register at `now` begins to count; 0 stops.
    pub const fn start(&mut self, count: u32, now: u64) {
        self.initial = count;
        self.deadline = match count {
            0 => None,
            _ => Some(now.saturating_add(self.ticks(count))),
        };
    }

    /// A write to the divide configuration register, of the bits that it has: what is left is counted at the new rate.
    pub fn set_divide(&mut self, divide: u32, now: u64) {
        let left = self.current(now);
        self.divide = divide;
        if self.deadline.is_some() && left > 0 {
            self.deadline = Some(now.saturating_add(self.ticks(left)));
        }
    }

    /// The current count register at `now`.
    pub fn current(&self, now: u64) -> u32 {
        let Some(deadline) = self.deadline else {
            return 0;
        };
        let left = match deadline.checked_sub(now) {
            Some(left) => left,
            None if self.periodic => self.following(deadline, now) - now,
            None => 0,
        };
        // What is left of a count, down to the last tick of it, is one.
        left.div_ceil(1 << self.shift()) as u32
    }

    /// The first end of a period behind `now`, for one that ended at `deadline`.
    const fn following(&self, deadline: u64, now: u64) -> u64 {
        let period = self.ticks(self.initial);
        let past = now.saturating_sub(deadline);
        match past.checked_div(period) {
            Some(whole) => deadline.saturating_add((whole + 1).saturating_mul(period)),
            None => u64::MAX,
        }
    }

    /// True when its count has come to 0 by `now` since this was asked last.
    pub fn has_ended(&mut self, now: u64) -> bool {
        let ended = self.deadline.filter(|deadline| *deadline <= now);
        if let Some(deadline) = ended {
            let following = self.following(deadline, now);
            self.deadline = self.periodic.then_some(following);
        }
        ended.is_some()
    }

    /// When its count is 0 next; [`u64::MAX`]: never.
    pub fn deadline(&self) -> u64 {
        self.deadline.unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Divides by 1.
    const BY_1: u32 = 0b1011;

    fn timer(periodic: bool, divide: u32, count: u32, now: u64) -> Timer {
        let mut timer = Timer {
            periodic,
            ..Timer::RESET
        };
        timer.set_divide(divide, now);
        timer.start(count, now);
        timer
    }

    #[test]
    fn divide_register_has_the_values_of_the_manual() {
        for (value, factor) in [
            (0b0000, 2),
            (0b0001, 4),
            (0b0010, 8),
            (0b0011, 16),
            (0b1000, 32),
            (0b1001, 64),
            (0b1010, 128),
            (0b1011, 1),
        ] {
            assert_eq!(timer(false, value, 10, 5).deadline(), 5 + 10 * factor);
        }
    }

    #[test]
    fn one_shot_ends_once_and_reads_as_zero_then() {
        let mut timer = timer(false, BY_1, 100, 1_000);
        assert_eq!(timer.current(1_040), 60);
        assert!(!timer.has_ended(1_099));
        assert!(timer.has_ended(1_100));
        assert!(!timer.has_ended(2_000));
        assert_eq!((timer.current(2_000), timer.deadline()), (0, u64::MAX));
    }

    #[test]
    fn periods_keep_their_phase_however_late_they_are_seen() {
        let mut timer = timer(true, BY_1, 100, 0);
        assert!(timer.has_ended(1_234_567));
        assert!(!timer.has_ended(1_234_568));
        assert_eq!(timer.deadline(), 1_234_600);
        assert_eq!(timer.current(1_234_570), 30);
        // Not looked at for several periods.
        assert_eq!(timer.current(1_234_770), 30);
    }

    #[test]
    fn shortest_period_since_the_beginning_of_time_takes_one_step() {
        let mut timer = timer(true, BY_1, 1, 0);
        assert!(timer.has_ended(u64::MAX - 1));
        assert_eq!(timer.deadline(), u64::MAX);
    }

    #[test]
    fn new_divider_counts_what_is_left() {
        let mut timer = timer(false, BY_1, 100, 0);
        timer.set_divide(0b0011, 40);
        assert_eq!(timer.deadline(), 40 + 60 * 16);
    }

    #[test]
    fn count_of_zero_stops() {
        let mut timer = timer(true, BY_1, 100, 0);
        timer.start(0, 10);
        assert!(!timer.has_ended(1_000));
        assert_eq!(timer.current(20), 0);
    }
}
