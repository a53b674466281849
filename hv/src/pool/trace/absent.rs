//! Nothing is recorded.

use embassy_time::Instant;

use super::Scheduler;
use crate::machine::Machine;
use crate::partition::Partition;
use crate::report::Line;

/// What would have happened.
pub enum Kind {
    /// It has something to do.
    Wake,
    /// It has nothing to do.
    Block,
}

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

    /// Nothing is recorded.
    #[inline(always)]
    pub const fn record(&self, _at: Instant, _kind: Kind) {}
}

/// Nothing is remembered.
#[derive(Debug)]
pub struct Tracer;

impl Tracer {
    /// Nothing.
    pub const fn new() -> Self {
        Self
    }

    /// Nothing is expected.
    #[inline(always)]
    pub const fn expect(&mut self, _next: Option<Instant>) {}
}

impl<M: Machine> Scheduler<M> {
    /// Records nothing.
    #[inline(always)]
    pub(super) const fn trace(&mut self, _at: Instant, _run: Option<usize>) {}
}

/// No line is about events.
pub const fn report(_partition: &Partition, _index: usize, _line: &mut Line) -> bool {
    false
}
