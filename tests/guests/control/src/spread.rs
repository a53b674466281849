//! How samples are spread.

use core::fmt;

/// Sorted samples.
pub struct Spread<'a>(&'a [u64]);

impl<'a> Spread<'a> {
    /// Of these samples, which it sorts.
    pub fn of(samples: &'a mut [u64]) -> Self {
        samples.sort_unstable();
        Self(samples)
    }

    /// The smallest sample that at least so many per cent of all do not exceed; 0 without samples.
    fn percentile(&self, percent: usize) -> u64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or(0)
    }
}

impl fmt::Display for Spread<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [min, p50, p99, max] = [0, 50, 99, 100].map(|percent| self.percentile(percent));
        write!(f, "min={min} p50={p50} p99={p99} max={max}")
    }
}
