//! How much time a guest that never sleeps gets in each period.
//!
//! It reads the counter in a loop. What lies between two readings was its own time if it is short, and somebody else's otherwise.
//! Periods count from the counter's start, as the hypervisor counts them.

use core::fmt;

/// Periods that are measured.
const PERIODS: u64 = 50;

/// What was measured, in ticks of the counter until it is [converted](Self::map).
pub struct Supply {
    least: u64,
    mean: u64,
    most: u64,
    longest_gap: u64,
}

impl Supply {
    /// Measures by the counter `now`. More ticks than `short` between two readings were not spent in the loop.
    #[inline(always)]
    pub fn measure(now: impl Fn() -> u64, period: u64, short: u64) -> Self {
        let mut last = now();
        // The first period is not whole.
        let first = last / period + 1;
        let (mut least, mut most, mut total, mut longest_gap) = (u64::MAX, 0, 0, 0);
        let (mut current, mut supply) = (first - 1, 0);
        while current < first + PERIODS {
            let now = now();
            let passed = now - last;
            if passed > short && current >= first {
                longest_gap = longest_gap.max(passed);
            }
            if now / period == current {
                if passed <= short {
                    supply += passed;
                }
            } else {
                if current >= first {
                    least = least.min(supply);
                    most = most.max(supply);
                    total += supply;
                }
                current = now / period;
                supply = 0;
            }
            last = now;
        }
        Self {
            least,
            mean: total / PERIODS,
            most,
            longest_gap,
        }
    }

    /// The same in another unit.
    pub fn map(self, convert: impl Fn(u64) -> u64) -> Self {
        Self {
            least: convert(self.least),
            mean: convert(self.mean),
            most: convert(self.most),
            longest_gap: convert(self.longest_gap),
        }
    }
}

impl fmt::Display for Supply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            least,
            mean,
            most,
            longest_gap,
        } = self;
        write!(
            f,
            "supply min={least} mean={mean} max={most} gap={longest_gap}"
        )
    }
}
