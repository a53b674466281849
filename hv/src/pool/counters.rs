//! What is counted of virtual CPUs that share a pCPU, and how others get to know it.
//!
//! Counters belong to the scheduler of a pCPU, which alone touches them: counting costs no more than an addition. For a report each shared
//! pCPU is called once, and lays a copy of its counters where all may read them.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use gic::InterruptController;
use model::PcpuId;
pub use model::counter::Counter;

use super::Common;
#[cfg(feature = "trace")]
use super::trace::Ends;
use crate::machine::Machine;
use crate::partition::{Partition, VcpuShared};
use crate::report::Line;
use crate::vcpu::Hypervisor;

/// A counter that there is nothing to say of.
const UNKNOWN: u64 = u64::MAX;

/// What others may know of a virtual CPU's turns.
#[derive(Debug)]
pub struct Published {
    entries: AtomicU64,
    counters: [AtomicU64; Counter::ALL.len()],
    /// Which call for counters they answer.
    answers: AtomicU32,
    #[cfg(feature = "trace")]
    ends: Ends,
}

impl Published {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            entries: AtomicU64::new(0),
            counters: [const { AtomicU64::new(UNKNOWN) }; Counter::ALL.len()],
            answers: AtomicU32::new(0),
            #[cfg(feature = "trace")]
            ends: Ends::new(),
        }
    }

    /// The scheduler was entered while the virtual CPU was loaded: told by its own pCPU alone.
    #[inline(always)]
    pub fn count_entry(&self) {
        let entries = self.entries.load(Ordering::Relaxed);
        self.entries.store(entries + 1, Ordering::Relaxed);
    }

    /// How often that was so.
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// What was traced of the ends of its budgets and periods.
    #[cfg(feature = "trace")]
    pub(super) const fn ends(&self) -> &Ends {
        &self.ends
    }

    /// Its pCPU answers a call for counters: the policy has this value of each, or none.
    pub fn answer(&self, call: u32, value: impl Fn(Counter) -> Option<u64>) {
        for (place, counter) in self.counters.iter().zip(Counter::ALL) {
            place.store(value(counter).unwrap_or(UNKNOWN), Ordering::Relaxed);
        }
        self.answers.store(call, Ordering::Release);
    }

    /// Which call was answered last: 0, none.
    pub fn answered(&self) -> u32 {
        self.answers.load(Ordering::Acquire)
    }

    /// A report's line on the turns of this virtual CPU of a partition.
    pub fn tell(&self, partition: &str, vcpu: usize, pcpu: PcpuId, line: &mut Line) {
        line.put(format_args!(
            "report turns partition={partition} vcpu={vcpu} pcpu={} entries={}",
            pcpu.get(),
            self.entries(),
        ));
        for (counter, value) in self.values() {
            line.put(format_args!(" {}={value}", counter.name()));
        }
        line.put(format_args!("\n"));
    }

    /// What was answered about a counter; `None` when there was nothing to say.
    #[cfg(feature = "monitor")]
    pub(crate) fn value(&self, counter: Counter) -> Option<u64> {
        let value = self.counters.get(counter as usize)?;
        let value = value.load(Ordering::Relaxed);
        (value != UNKNOWN).then_some(value)
    }

    fn values(&self) -> impl Iterator<Item = (Counter, u64)> {
        let values = Counter::ALL.into_iter().zip(&self.counters);
        let values = values.map(|(counter, value)| (counter, value.load(Ordering::Relaxed)));
        values.filter(|(counter, value)| *counter != Counter::Entries && *value != UNKNOWN)
    }
}

impl Default for Published {
    fn default() -> Self {
        Self::new()
    }
}

impl Common {
    /// Which call for counters was the last.
    pub(super) fn called_for(&self) -> u32 {
        self.called_for.load(Ordering::Acquire)
    }

    /// True when all shared pCPUs have answered the last call for counters.
    pub fn has_counters(&self, partitions: &[Partition]) -> bool {
        let mut vcpus = partitions.iter().flat_map(|partition| partition.vcpus);
        vcpus.all(|vcpu| !vcpu.call.is_shared() || self.has_counters_of(vcpu))
    }

    /// True when its shared pCPU has.
    pub(crate) fn has_counters_of(&self, vcpu: &VcpuShared) -> bool {
        vcpu.turns.answered() == self.called_for()
    }
}

impl<M: Machine> Hypervisor<M> {
    /// A report begins: every shared pCPU is to lay its counters where the report finds them.
    pub fn call_for_counters(&self) {
        self.common.called_for.fetch_add(1, Ordering::Release);
        let vcpus = self.partitions.iter().flat_map(|partition| partition.vcpus);
        for vcpu in vcpus.filter(|vcpu| vcpu.call.is_shared()) {
            self.machine.gic().kick(vcpu.pcpu(), vcpu.call.sgi());
        }
    }
}

/// What a report says at its end of schedulers: nothing, every virtual CPU has its own line.
pub const SUMMARY: &str = "";

/// A report's line on the turns of a partition's virtual CPUs: one for each of them. False behind the last.
pub fn report(partition: &Partition, index: usize, line: &mut Line) -> bool {
    let (Some(vcpu), Some(config)) = (
        partition.vcpus.get(index),
        partition.config.vcpus.get(index),
    ) else {
        return false;
    };
    let name = partition.config.name;
    vcpu.turns.tell(name, index, config.pcpu, line);
    true
}

#[cfg(test)]
mod tests;
