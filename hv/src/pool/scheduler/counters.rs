//! What a scheduler tells of its counters: to a report, and to the guest that runs.

use super::Scheduler;
use crate::machine::Machine;
#[cfg(feature = "trace")]
use crate::partition::Partition;
use crate::pool::counters::Counter;
use crate::pool::policy::Policy;
#[cfg(feature = "trace")]
use crate::pool::trace::Tracer;
use crate::vcpu::Vcpu;
#[cfg(feature = "trace")]
use model::VcpuId;

#[cfg(feature = "trace")]
impl<M: Machine> Scheduler<M> {
    /// What decides.
    pub(in crate::pool) const fn policy(&self) -> &M::Policy {
        &self.dispatcher.policy
    }

    /// A virtual CPU and its partition; `None` behind the last.
    #[inline(always)]
    pub(in crate::pool) fn who(&self, index: usize) -> Option<(&'static Partition, VcpuId)> {
        let member = self.members.get(index)?.as_ref()?;
        Some((member.partition, member.id))
    }

    /// What is remembered for the events.
    pub(in crate::pool) const fn tracer(&mut self) -> &mut Tracer {
        &mut self.tracer
    }
}

impl<M: Machine> Scheduler<M> {
    /// Answers a call for counters, if there is one that was not answered yet.
    pub(super) fn publish(&mut self) -> bool {
        let call = self.hypervisor.common.called_for();
        if call == self.answered {
            return false;
        }
        self.answered = call;
        for (index, member) in self.members.iter().flatten().enumerate() {
            let value = |counter| self.dispatcher.policy.counter(index, counter);
            member.shared.turns.answer(call, value);
        }
        true
    }
}

impl<M: Machine> Vcpu<M> {
    /// A counter of this virtual CPU as of the last decision; `None` when its policy does not have it, or not yet.
    pub fn counter(&self, counter: Counter) -> Option<u64> {
        if counter == Counter::Entries {
            return Some(self.shared.turns.entries());
        }
        let Some(scheduler) = &self.turn.scheduler else {
            return self.pools_counter(counter);
        };
        let dispatcher = &scheduler.dispatcher;
        dispatcher.policy.counter(dispatcher.loaded, counter)
    }
}
