//! Turns are not recorded.

use embassy_time::Instant;
use hv::pool::Kind;
use hv::pool::dispatcher::Decided;
use hv::pool::policy::Policy;

use super::member::Member;
use crate::run::Vcpu;
use crate::world::World;

/// Who records nothing.
pub struct Clerk;

/// The same.
pub const fn clerk(_at: u64) -> Clerk {
    Clerk
}

/// Somebody wakes or blocks.
pub const fn note<G: World>(_clerk: &Clerk, _kind: Kind, _vcpu: &Vcpu<G>) {}

/// Nothing is remembered.
pub struct Recorder;

impl Recorder {
    /// The same.
    pub const fn new() -> Self {
        Self
    }

    /// A decision.
    pub const fn decided<G: World>(
        &self,
        _clerk: &Clerk,
        _decided: Decided,
        _policy: &impl Policy,
        _members: &[Option<Member<G>>],
    ) {
    }

    /// What the policy wants to see.
    pub const fn expect(&self, _next: Option<Instant>) {}
}
