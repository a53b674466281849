//! How often a device is heard: a token bucket, so that neither a storm of faults nor a partition that starts again and again to make
//! one takes more than a bounded share of the pCPU that hears it.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Faults of one device that are told in a row.
pub const MOST_HEARD: u32 = 16;
/// Faults of one device that are told each second in the long run, beside one at each start of its partition.
pub const PER_SECOND: u64 = 16;

/// What is left of the attention that a device gets.
pub struct Attention {
    left: AtomicU32,
    /// When it last grew, in ticks of the system counter.
    since: AtomicU64,
}

impl Attention {
    /// All of it.
    pub const fn new() -> Self {
        Self {
            left: AtomicU32::new(MOST_HEARD),
            since: AtomicU64::new(0),
        }
    }

    /// The device's partition starts, at `now`, with a system counter of `frequency` ticks a second: it is heard once at least, and as
    /// often as time has passed.
    pub fn renew(&self, now: u64, frequency: u64) {
        let each = (frequency / PER_SECOND).max(1);
        let since = self.since.load(Ordering::Relaxed);
        let gained = now.saturating_sub(since) / each;
        self.since
            .store(since.saturating_add(gained * each), Ordering::Relaxed);
        let left = u64::from(self.left.load(Ordering::Relaxed)).saturating_add(gained);
        let left = left.clamp(1, u64::from(MOST_HEARD)) as u32;
        self.left.store(left, Ordering::Relaxed);
    }

    /// The device is heard: how often it may be after this; `None` when this was not to be told.
    pub fn take(&self) -> Option<u32> {
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            });
        taken.ok().map(|before| before - 1)
    }
}

impl Default for Attention {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 62_500_000;

    fn drain(attention: &Attention) -> u32 {
        (0..2 * MOST_HEARD).filter_map(|_| attention.take()).count() as u32
    }

    #[test]
    fn device_is_heard_so_often_in_a_row_and_then_no_more() {
        let attention = Attention::new();
        let left: Vec<Option<u32>> = (0..=MOST_HEARD).map(|_| attention.take()).collect();
        assert_eq!(left[0], Some(MOST_HEARD - 1));
        assert_eq!(left[MOST_HEARD as usize - 1], Some(0));
        assert_eq!(left[MOST_HEARD as usize], None);
    }

    #[test]
    fn start_in_no_time_gives_one_more_and_one_after_a_second_all_of_it() {
        let attention = Attention::new();
        attention.renew(SECOND, SECOND);
        drain(&attention);
        attention.renew(SECOND + 1, SECOND);
        assert_eq!(drain(&attention), 1);
        attention.renew(2 * SECOND, SECOND);
        assert_eq!(drain(&attention), MOST_HEARD);
    }

    #[test]
    fn time_between_starts_adds_up() {
        let attention = Attention::new();
        attention.renew(SECOND, SECOND);
        drain(&attention);
        // A tenth of a second is 1.6 faults: 8 starts give 12, and not 8.
        let heard: u32 = (1..=8)
            .map(|tenth| {
                attention.renew(SECOND + tenth * SECOND / 10, SECOND);
                drain(&attention)
            })
            .sum();
        assert_eq!(heard, 12);
    }

    #[test]
    fn extreme_clocks_neither_overflow_nor_divide_by_zero() {
        let attention = Attention::new();
        for (now, frequency) in [(u64::MAX, 1), (0, 0), (u64::MAX, u64::MAX)] {
            attention.renew(now, frequency);
        }
        assert!(drain(&attention) <= MOST_HEARD);
    }
}
