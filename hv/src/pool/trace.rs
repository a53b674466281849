//! What the turns of virtual CPUs leave in the [trace](crate::trace), on the pCPU that decides.

use core::sync::atomic::{AtomicU64, Ordering};

use embassy_time::Instant;
use model::VcpuId;

use super::Scheduler;
use super::policy::Policy;
use crate::machine::Machine;
use crate::partition::Partition;
pub use crate::trace::Kind;
use crate::trace::{Event, Ring, Who};
use crate::vcpu::Hypervisor;

/// A decision, or what comes of one.
pub struct Clerk {
    ring: Option<&'static Ring>,
    /// When, in ticks of the system counter.
    at: u64,
}

impl Clerk {
    /// Of a decision of the calling pCPU at `at`, in ticks of the system counter.
    #[inline(always)]
    pub fn new<M: Machine>(hypervisor: &Hypervisor<M>, at: u64) -> Self {
        let ring = Ring::own(&hypervisor.machine);
        Self { ring, at }
    }

    /// It is about this virtual CPU.
    #[inline(always)]
    pub fn note(&self, kind: Kind, partition: &Partition, vcpu: VcpuId) {
        if let Some(ring) = self.ring {
            ring.put(Event {
                at: self.at,
                kind,
                who: Who::vcpu(partition.id, vcpu),
                value: 0,
            });
        }
    }

    /// So often its budget was used up, and so many of its periods have ended: notes what is new.
    pub fn follow(&self, partition: &Partition, vcpu: VcpuId, [depletions, periods]: [u64; 2]) {
        let Some(shared) = partition.vcpus.get(usize::from(vcpu.get())) else {
            return;
        };
        let ends = shared.turns.ends();
        if ends.depletions.swap(depletions, Ordering::Relaxed) != depletions {
            self.note(Kind::BUDGET_END, partition, vcpu);
        }
        if ends.periods.swap(periods, Ordering::Relaxed) != periods {
            self.note(Kind::REPLENISH, partition, vcpu);
        }
    }
}

/// The ends of a virtual CPU's budgets and periods that were noted. One at a time writes.
#[derive(Debug)]
pub struct Ends {
    depletions: AtomicU64,
    periods: AtomicU64,
}

impl Ends {
    /// None.
    pub const fn new() -> Self {
        Self {
            depletions: AtomicU64::new(0),
            periods: AtomicU64::new(0),
        }
    }
}

/// What a scheduler remembers from one decision to the next.
#[derive(Debug)]
pub struct Tracer {
    /// Whose turn it was.
    run: Option<usize>,
    /// Before this no budget is used up, and no period ends of one that has something to do.
    next: Option<Instant>,
}

impl Tracer {
    /// Nobody has had a turn.
    pub const fn new() -> Self {
        Self {
            run: None,
            next: None,
        }
    }

    /// The policy wants to look again at `next`.
    #[inline(always)]
    pub fn expect(&mut self, next: Option<Instant>) {
        self.next = next;
    }
}

impl<M: Machine> Scheduler<M> {
    /// Records what a decision at `at` has changed: `run` has its turn.
    #[inline(always)]
    pub(super) fn trace(&mut self, clerk: &Clerk, at: Instant, run: Option<usize>) {
        let tracer = self.tracer();
        let before = core::mem::replace(&mut tracer.run, run);
        if tracer.next.is_some_and(|next| next <= at) {
            self.trace_ends(clerk);
        }
        if before != run {
            for (kind, index) in [(Kind::STOP, before), (Kind::RUN, run)] {
                if let Some((partition, vcpu)) = index.and_then(|index| self.who(index)) {
                    clerk.note(kind, partition, vcpu);
                }
            }
        }
    }

    /// Records whose budget or period has ended.
    fn trace_ends(&self, clerk: &Clerk) {
        let mut index = 0;
        while let Some((partition, vcpu)) = self.who(index) {
            clerk.follow(partition, vcpu, self.policy().ends(index));
            index += 1;
        }
    }
}

#[cfg(test)]
mod tests;
