//! When a virtual CPU runs.

#[cfg(feature = "shared")]
pub use embassy_time::Duration;

#[cfg(feature = "shared")]
use crate::ids::PcpuId;

/// The time that a virtual CPU is promised on its physical CPU, or on several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeShare {
    /// All of it: the physical CPU is its own.
    Always,
    /// A budget in each period, in an `rtds` pool.
    #[cfg(feature = "shared")]
    Budget(Budget),
    /// Windows of the major frame, in a `cyclic` pool: sorted by start, at least one, without overlap with any other window on the
    /// same physical CPU.
    #[cfg(feature = "shared")]
    Windows(&'static [Window]),
    /// A budget in each period, on any of these physical CPUs of an `rtds` pool with `placement = "global"`.
    #[cfg(feature = "shared")]
    Global {
        /// The budget.
        budget: Budget,
        /// The physical CPUs on which it may run: at least one, each once.
        pcpus: &'static [PcpuId],
    },
}

/// A budget of time that is full again at the start of each period.
#[cfg(feature = "shared")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How often the budget is full again; more than zero.
    pub period: Duration,
    /// How long the virtual CPU runs in each period at most; more than zero, at most the period.
    pub budget: Duration,
    /// 0 is the most urgent.
    pub priority: u8,
    /// It may run on without a budget while nobody waits who has one.
    pub extra_time: bool,
}

/// A window of a major frame.
#[cfg(feature = "shared")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// When it begins, from the start of the frame.
    pub start: Duration,
    /// How long it lasts; more than zero. It ends with the frame at the latest.
    pub length: Duration,
}
