//! Nothing is recorded.

use embassy_time::Instant;

use super::Scheduler;
use crate::machine::Machine;
use crate::partition::Partition;
use crate::report::Line;

/// The events of one virtual CPU: none.
#[derive(Debug)]
pub struct Ring;

impl Ring {
    /// Empty.
    pub const fn new() -> Self {
        Self
    }

    /// Stays as it is.
    pub const fn freeze(&self) {}
}

impl<M: Machine> Scheduler<M> {
    /// Records nothing.
    #[inline(always)]
    pub(super) const fn trace(&self, _at: Instant, _run: Option<usize>) {}
}

/// No line is about events.
pub const fn report(_partition: &Partition, _index: usize, _line: &mut Line) -> bool {
    false
}
