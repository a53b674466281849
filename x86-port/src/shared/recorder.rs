//! The turns of a shared pCPU in the [trace](crate::trace). In an image without it [nothing](absent.rs) stands in its place.

use embassy_time::Instant;
use hv::pool::dispatcher::Decided;
use hv::pool::policy::Policy;
use hv::pool::{Clerk, Ends, Kind, Tracer};

use super::MOST;
use super::member::Member;
use crate::run::Vcpu;
use crate::trace;
use crate::world::World;

/// Who records a decision at `at`, in ticks.
#[inline(always)]
pub fn clerk(at: u64) -> Clerk {
    Clerk::of(trace::own(), at)
}

/// Records who wakes or blocks.
#[inline(always)]
pub fn note<G: World>(clerk: &Clerk, kind: Kind, vcpu: &Vcpu<G>) {
    clerk.put(kind, vcpu.recorder.who);
}

/// What is remembered from one decision to the next.
pub struct Recorder {
    tracer: Tracer,
    /// In the order of the virtual CPUs.
    ends: [Ends; MOST],
}

impl Recorder {
    /// Nobody has had a turn.
    pub const fn new() -> Self {
        Self {
            tracer: Tracer::new(),
            ends: [const { Ends::new() }; MOST],
        }
    }

    /// Records what a decision has changed.
    #[inline(always)]
    pub fn decided<G: World>(
        &mut self,
        clerk: &Clerk,
        decided: Decided,
        policy: &impl Policy,
        members: &[Option<Member<G>>],
    ) {
        if self.tracer.is_due(decided.at) {
            let members = members.iter().map_while(Option::as_ref);
            for ((index, member), ends) in members.enumerate().zip(&self.ends) {
                ends.follow(clerk, member.vcpu.recorder.who, policy.ends(index));
            }
        }
        for (kind, index) in self.tracer.change(decided.run) {
            let member = index.and_then(|index| members.get(index)?.as_ref());
            if let Some(member) = member {
                clerk.put(kind, member.vcpu.recorder.who);
            }
        }
    }

    /// The policy wants to look again at `next`.
    pub fn expect(&mut self, next: Option<Instant>) {
        self.tracer.expect(next);
    }
}
