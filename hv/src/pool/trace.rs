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
        Self::of(Ring::own(&hypervisor.machine), at)
    }

    /// Of a decision at `at` of the pCPU that has this ring.
    #[inline(always)]
    pub const fn of(ring: Option<&'static Ring>, at: u64) -> Self {
        Self { ring, at }
    }

    /// It is about this virtual CPU.
    #[inline(always)]
    pub fn note(&self, kind: Kind, partition: &Partition, vcpu: VcpuId) {
        self.put(kind, Who::vcpu(partition.id, vcpu));
    }

    /// The same, by the name that it has in events.
    #[inline(always)]
    pub fn put(&self, kind: Kind, who: Who) {
        if let Some(ring) = self.ring {
            ring.put(Event {
                at: self.at,
                kind,
                who,
                value: 0,
            });
        }
    }

    /// So often its budget was used up, and so many of its periods have ended: notes what is new.
    pub fn follow(&self, partition: &Partition, vcpu: VcpuId, counted: [u64; 2]) {
        if let Some(shared) = partition.vcpus.get(usize::from(vcpu.get())) {
            let who = Who::vcpu(partition.id, vcpu);
            shared.turns.ends().follow(self, who, counted);
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

    /// So often its budget was used up, and so many of its periods have ended, as [`Policy::ends`] says: notes what is new.
    pub fn follow(&self, clerk: &Clerk, who: Who, [depletions, periods]: [u64; 2]) {
        if self.depletions.swap(depletions, Ordering::Relaxed) != depletions {
            clerk.put(Kind::BUDGET_END, who);
        }
        if self.periods.swap(periods, Ordering::Relaxed) != periods {
            clerk.put(Kind::REPLENISH, who);
        }
    }
}

impl Default for Ends {
    fn default() -> Self {
        Self::new()
    }
}

/// What who decides remembers from one decision to the next.
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

    /// A decision at `at`: budgets or periods may have ended by then.
    #[inline(always)]
    pub fn is_due(&self, at: Instant) -> bool {
        self.next.is_some_and(|next| next <= at)
    }

    /// Whose turn has ended and whose has begun, now that `run` has its turn: both `None` when nothing has changed.
    #[inline(always)]
    pub fn change(&mut self, run: Option<usize>) -> [(Kind, Option<usize>); 2] {
        let before = core::mem::replace(&mut self.run, run);
        let changed = before != run;
        [(Kind::STOP, before), (Kind::RUN, run)]
            .map(|(kind, index)| (kind, index.filter(|_| changed)))
    }
}

impl Default for Tracer {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Machine> Scheduler<M> {
    /// Records what a decision at `at` has changed: `run` has its turn.
    #[inline(always)]
    pub(super) fn trace(&mut self, clerk: &Clerk, at: Instant, run: Option<usize>) {
        let tracer = self.tracer();
        let changes = tracer.change(run);
        if tracer.is_due(at) {
            self.trace_ends(clerk);
        }
        for (kind, index) in changes {
            if let Some((partition, vcpu)) = index.and_then(|index| self.who(index)) {
                clerk.note(kind, partition, vcpu);
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
