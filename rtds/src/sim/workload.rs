//! What virtual CPUs do in a simulation.

use alloc::boxed::Box;

use embassy_time::{Duration, Instant};

/// When a step begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// At an instant, at once if that has passed.
    At(Instant),
    /// So long after the step before ended.
    After(Duration),
}

/// It sleeps, wakes, and works until it sleeps again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// When it wakes.
    pub wake: Wake,
    /// How long it runs then; [`ENDLESS`] for ever.
    pub work: Duration,
}

/// Work without end.
pub const ENDLESS: Duration = Duration::MAX;

/// Step after step. After the last one it sleeps for ever.
pub type Workload<'a> = Box<dyn Iterator<Item = Step> + 'a>;

/// Wakes at `at` and never sleeps again.
pub fn busy(at: Instant) -> impl Iterator<Item = Step> {
    core::iter::once(Step {
        wake: Wake::At(at),
        work: ENDLESS,
    })
}

/// Wakes every `period` from `first` on, and works for `work` each time.
pub fn periodic(first: Instant, period: Duration, work: Duration) -> impl Iterator<Item = Step> {
    (0..u64::MAX).map_while(move |count| {
        let after = period.as_ticks().checked_mul(count)?;
        let at = first.as_ticks().checked_add(after)?;
        Some(Step {
            wake: Wake::At(Instant::from_ticks(at)),
            work,
        })
    })
}

/// Sleeps and works in turn for the times of a list, which comes again for ever.
pub fn sleeper(times: &[(Duration, Duration)]) -> impl Iterator<Item = Step> {
    times.iter().cycle().map(|(sleep, work)| Step {
        wake: Wake::After(*sleep),
        work: *work,
    })
}
