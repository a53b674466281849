//! How often a partition's failures are told: a token bucket, so that a storm of them costs its author's records and nobody else's.

use core::sync::atomic::{AtomicU64, Ordering};

/// Failures that are told in a row.
pub const MOST: u64 = 16;
/// Failures that are told each second in the long run.
pub const PER_SECOND: u64 = 4;

/// What is left, kept as the time from which on it has grown: one word, so that any pCPU may take from it.
#[derive(Debug)]
pub struct Bucket {
    /// In ticks. The bucket is full when that is [`MOST`] times the time for one token ago.
    since: AtomicU64,
}

impl Bucket {
    /// A full one.
    pub const fn new() -> Self {
        Self {
            since: AtomicU64::new(0),
        }
    }

    /// Takes a token at `now`, in ticks of a counter of `frequency` Hz. False when there is none.
    pub fn take(&self, now: u64, frequency: u64) -> bool {
        let each = (frequency / PER_SECOND).max(1);
        // Time before the counter's start fills the bucket too.
        let now = now.saturating_add(MOST * each);
        let full = now.saturating_sub(MOST * each);
        let taken = self
            .since
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |since| {
                let after = since.max(full).saturating_add(each);
                (after <= now).then_some(after)
            });
        taken.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 62_500_000;

    fn drain(bucket: &Bucket, now: u64) -> u64 {
        (0..2 * MOST).filter(|_| bucket.take(now, SECOND)).count() as u64
    }

    #[test]
    fn full_bucket_gives_so_many_in_a_row_and_then_no_more() {
        let bucket = Bucket::new();
        assert_eq!(drain(&bucket, 0), MOST);
        assert_eq!(drain(&bucket, 0), 0);
    }

    #[test]
    fn empty_bucket_grows_with_time_and_not_beyond_its_size() {
        let bucket = Bucket::new();
        drain(&bucket, SECOND);
        assert_eq!(drain(&bucket, 2 * SECOND), PER_SECOND);
        assert_eq!(drain(&bucket, 1_000 * SECOND), MOST);
    }

    #[test]
    fn bucket_far_in_the_future_neither_overflows_nor_fails() {
        let bucket = Bucket::new();
        assert!(drain(&bucket, u64::MAX - 1) <= 2 * MOST);
    }

    #[test]
    fn counter_slower_than_the_bucket_counts_as_one_tick_a_token() {
        let bucket = Bucket::new();
        assert!((0..MOST).all(|_| bucket.take(0, 1)));
        assert!(!bucket.take(0, 1));
    }
}
