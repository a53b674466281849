//! The policy of a physical CPU: one of those that the image has.

use embassy_time::Instant;
use model::time::TimeShare;

#[cfg(feature = "rtds")]
use super::budget::Budgets;
use super::counters::Counter;
use super::policy::{Decision, Event, Policy};
#[cfg(feature = "cyclic")]
use super::windows::Windows;

/// Any policy for up to `VCPUS` virtual CPUs.
#[allow(
    clippy::large_enum_variant,
    reason = "one for each pCPU, in static memory"
)]
pub enum Choice<const VCPUS: usize> {
    /// `rtds`.
    #[cfg(feature = "rtds")]
    Budgets(Budgets<VCPUS>),
    /// `cyclic`.
    #[cfg(feature = "cyclic")]
    Windows(Windows<VCPUS>),
}

/// Asks whichever it is.
macro_rules! either {
    ($self:ident, $policy:ident => $answer:expr) => {
        match $self {
            #[cfg(feature = "rtds")]
            Self::Budgets($policy) => $answer,
            #[cfg(feature = "cyclic")]
            Self::Windows($policy) => $answer,
        }
    };
}

impl<const VCPUS: usize> Policy for Choice<VCPUS> {
    fn add(&mut self, time: &TimeShare) -> bool {
        either!(self, policy => policy.add(time))
    }

    fn begin(&mut self) -> bool {
        either!(self, policy => policy.begin())
    }

    #[inline(always)]
    fn on(&mut self, now: Instant, event: Event) -> Decision {
        either!(self, policy => policy.on(now, event))
    }

    #[inline(always)]
    fn taken(&mut self, now: Instant) -> Decision {
        either!(self, policy => policy.taken(now))
    }

    fn counter(&self, vcpu: usize, counter: Counter) -> Option<u64> {
        either!(self, policy => policy.counter(vcpu, counter))
    }

    #[cfg(feature = "trace")]
    #[inline(always)]
    fn ends(&self, vcpu: usize) -> [u64; 2] {
        either!(self, policy => policy.ends(vcpu))
    }
}
