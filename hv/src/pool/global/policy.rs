//! What a pool of several pCPUs asks of its policy.

use embassy_time::Instant;
use model::time::Budget;
use rtds::{Actions, Counters, Event, PcpuIndex, PcpuSet, Rtds, VcpuIndex};

use crate::pool::budget::parameters;

/// All periods count from the start of the system counter.
pub const START: Instant = Instant::MIN;

/// A policy for several physical CPUs. Virtual CPUs are numbered in the order in which they come.
pub trait GlobalPolicy: Send + Sized {
    /// A virtual CPU comes to it with the time that it is promised and the CPUs on which it may run; it sleeps. False when there is no
    /// room for it, or no such promise is made here.
    fn add(&mut self, time: &Budget, affinity: PcpuSet) -> bool;

    /// Something happened on a physical CPU: as [`Rtds::on`].
    fn on(&mut self, now: Instant, here: PcpuIndex, event: Event) -> Actions;

    /// The counters of a virtual CPU as of the last event; `None` when there is no such one.
    fn counters(&self, vcpu: VcpuIndex) -> Option<&Counters>;
}

impl<const VCPUS: usize, const PCPUS: usize, const AFFINITIES: usize> GlobalPolicy
    for Rtds<VCPUS, PCPUS, AFFINITIES>
{
    fn add(&mut self, time: &Budget, affinity: PcpuSet) -> bool {
        let parameters = parameters(time, affinity);
        parameters.is_some_and(|parameters| Rtds::add(self, parameters).is_ok())
    }

    fn on(&mut self, now: Instant, here: PcpuIndex, event: Event) -> Actions {
        Rtds::on(self, now, here, event)
    }

    fn counters(&self, vcpu: VcpuIndex) -> Option<&Counters> {
        Rtds::counters(self, vcpu)
    }
}
