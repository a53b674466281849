//! Wake-up lateness: every sample of the measurement, and the histogram's classes.

use core::fmt;

use heapless::Vec;

/// Samples of one measurement.
pub const SAMPLES: usize = 2_000;
/// The end of the first class; each further class is twice as wide, the last is open.
const FIRST_CLASS_END: u64 = 1_024;
/// Classes of the histogram: the last begins at 2^29 ns.
pub const CLASSES: usize = 21;

/// The lateness of each period, in nanoseconds.
#[derive(Default)]
pub struct Jitter {
    samples: Vec<u64, SAMPLES>,
}

/// The figures of a whole measurement, in nanoseconds.
#[derive(Clone, Copy)]
pub struct Summary {
    /// Smallest sample.
    pub min: u64,
    /// Mean, rounded down.
    pub mean: u64,
    /// Smallest sample that at least 99 % of all do not exceed.
    pub p99: u64,
    /// Largest sample.
    pub max: u64,
    /// Number of samples.
    pub count: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            min,
            mean,
            p99,
            max,
            count,
        } = self;
        write!(
            f,
            "min={min} mean={mean} p99={p99} max={max} ns over {count} periods"
        )
    }
}

impl Jitter {
    /// No samples yet.
    pub const fn new() -> Self {
        Self {
            samples: Vec::new(),
        }
    }

    /// Adds a sample in nanoseconds; says whether the measurement is complete.
    pub fn add(&mut self, lateness: u64) -> bool {
        // A full measurement takes no more; the samples it has are what is reported.
        let _ = self.samples.push(lateness);
        self.samples.is_full()
    }

    /// Sorts the samples and sums them up; `None` without samples.
    pub fn summary(&mut self) -> Option<Summary> {
        self.samples.sort_unstable();
        let count = self.samples.len();
        Some(Summary {
            min: *self.samples.first()?,
            mean: self.samples.iter().sum::<u64>() / count as u64,
            p99: *self.samples.get((count * 99).div_ceil(100) - 1)?,
            max: *self.samples.last()?,
            count,
        })
    }

    /// Bounds of a class, low included and high not, and its number of samples.
    pub fn class(&self, class: usize) -> (u64, u64, usize) {
        let low = if class == 0 {
            0
        } else {
            FIRST_CLASS_END << (class - 1)
        };
        let high = if class + 1 < CLASSES {
            FIRST_CLASS_END << class
        } else {
            u64::MAX
        };
        (
            low,
            high,
            self.samples
                .iter()
                .filter(|&&sample| (low..high).contains(&sample))
                .count(),
        )
    }
}
