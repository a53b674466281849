//! Exits in the trace, with what each has cost.

use core::sync::atomic::Ordering;

use super::{Event, Kind, Reason, Ring, Who};
use crate::arch::aarch64::guest::Reason as Cause;
use crate::exit::ExitKind;
use crate::machine::{Cpu, Machine};
use crate::vcpu::Vcpu;

impl Ring {
    /// The guest of a virtual CPU was left at `at`. The value is what the reason says.
    #[inline(always)]
    pub fn left(&self, at: u64, who: Who, reason: Reason, value: u64) {
        self.since.store(at, Ordering::Relaxed);
        self.put(Event {
            at,
            kind: Kind::exit(reason),
            who,
            value,
        });
    }

    /// Its pCPU has waited until `at`: that, and what came before it, is not what the exit costs.
    pub fn waited(&self, at: u64) {
        self.since.store(at, Ordering::Relaxed);
    }

    /// The guest of a virtual CPU is entered at `at`, by an [entry](Kind::entry) of this kind, after its own exit or another one's.
    #[inline(always)]
    pub fn entering(&self, at: u64, who: Who, kind: Kind) {
        if self.is_off() {
            return;
        }
        let cost = at.wrapping_sub(self.since.load(Ordering::Relaxed));
        self.keep(Event {
            at,
            kind,
            who,
            value: cost,
        });
        self.dearest.consider(&self.all, cost);
    }
}

/// The guest of a virtual CPU was left.
#[inline(always)]
pub(crate) fn left<M: Machine>(vcpu: &Vcpu<M>, cause: Cause) {
    let (reason, value) = match cause {
        Cause::Interrupt { acknowledged } => (Reason::Interrupt, acknowledged.into()),
        Cause::Synchronous => (Reason::Synchronous, M::Cpu::exception_syndrome()),
        Cause::SystemError => (Reason::SystemError, M::Cpu::exception_syndrome()),
    };
    if let Some(ring) = Ring::own(vcpu.machine()) {
        ring.left(vcpu.context.entered, who(vcpu), reason, value);
    }
}

/// The calling pCPU has waited for an interrupt.
pub(crate) fn waited<M: Machine>(machine: &M) {
    if let Some(ring) = Ring::own(machine) {
        ring.waited(M::Cpu::now());
    }
}

/// The guest of a virtual CPU is entered after an exit of this kind, its own or another one's.
#[inline(always)]
pub(crate) fn entering<M: Machine>(vcpu: &Vcpu<M>, kind: ExitKind) {
    if let Some(ring) = Ring::own(vcpu.machine()) {
        ring.entering(M::Cpu::now(), who(vcpu), Kind::entry(kind));
    }
}

/// An exit was answered in the short way.
#[inline(always)]
pub(crate) fn short<M: Machine>(vcpu: &Vcpu<M>, kind: ExitKind) {
    super::now(vcpu.machine(), Kind::short(kind), who(vcpu), 0);
}

/// A virtual CPU, as events name it.
#[inline(always)]
pub(crate) const fn who<M: Machine>(vcpu: &Vcpu<M>) -> Who {
    Who::of_word(vcpu.context.who)
}
