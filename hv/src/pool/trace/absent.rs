//! Nothing is recorded.

use embassy_time::Instant;
use model::VcpuId;

use super::Scheduler;
use crate::machine::Machine;
use crate::partition::Partition;
use crate::vcpu::Hypervisor;

/// What would have happened.
pub struct Kind;

impl Kind {
    /// It has something to do.
    pub const WAKE: Self = Self;
    /// It has nothing to do.
    pub const BLOCK: Self = Self;
}

/// A decision.
pub struct Clerk;

impl Clerk {
    /// Whenever it is.
    #[inline(always)]
    pub const fn new<M: Machine>(_hypervisor: &Hypervisor<M>, _at: u64) -> Self {
        Self
    }

    /// Nothing is recorded.
    #[inline(always)]
    pub const fn note(&self, _kind: Kind, _partition: &Partition, _vcpu: VcpuId) {}
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
    pub(super) const fn trace(&mut self, _clerk: &Clerk, _at: Instant, _run: Option<usize>) {}
}
