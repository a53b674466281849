//! No virtual CPU moves between pCPUs.

use gic::Acknowledged;

use crate::machine::Machine;
use crate::pool::counters::Counter;
use crate::vcpu::Vcpu;

impl<M: Machine> Vcpu<M> {
    /// No.
    #[inline(always)]
    pub(super) const fn moves(&self) -> bool {
        false
    }

    /// There is nobody.
    #[inline(always)]
    pub(super) const fn hand_on(&mut self, _acknowledged: Acknowledged) -> bool {
        false
    }

    /// It was not set for a pool.
    #[inline(always)]
    pub(super) const fn pools_alarm_rang(&mut self) -> bool {
        false
    }

    /// It is about this virtual CPU alone.
    #[inline(always)]
    pub(super) const fn pool_was_called(&mut self) {}

    /// Nobody counts.
    #[inline(always)]
    pub(super) const fn pools_counter(&self, _counter: Counter) -> Option<u64> {
        None
    }

    /// They are its own.
    #[inline(always)]
    pub(super) const fn borrow_floating_point(&mut self) -> bool {
        false
    }
}

/// It goes on.
#[inline(always)]
pub(super) fn schedule<M: Machine>(vcpu: &'static mut Vcpu<M>) -> &'static mut Vcpu<M> {
    vcpu
}
