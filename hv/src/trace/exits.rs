//! Exits in the trace, with what each has cost.

use core::sync::atomic::Ordering;

use super::{Event, Kind, Reason, Ring, Who};
use crate::arch::aarch64::guest::Reason as Cause;
use crate::exit::ExitKind;
use crate::machine::{Cpu, Machine};
use crate::vcpu::Vcpu;

/// The guest of a virtual CPU was left.
#[inline(always)]
pub(crate) fn left<M: Machine>(vcpu: &Vcpu<M>, cause: Cause) {
    let (reason, value) = match cause {
        Cause::Interrupt { acknowledged } => (Reason::Interrupt, acknowledged.into()),
        Cause::Synchronous => (Reason::Synchronous, M::Cpu::exception_syndrome()),
        Cause::SystemError => (Reason::SystemError, M::Cpu::exception_syndrome()),
    };
    if let Some(ring) = Ring::own(vcpu.machine()) {
        let at = vcpu.context.entered;
        ring.since.store(at, Ordering::Relaxed);
        ring.put(Event {
            at,
            kind: Kind::exit(reason),
            who: who(vcpu),
            value,
        });
    }
}

/// The calling pCPU has waited for an interrupt: that, and what came before it, is not what the exit costs.
pub(crate) fn waited<M: Machine>(machine: &M) {
    if let Some(ring) = Ring::own(machine) {
        ring.since.store(M::Cpu::now(), Ordering::Relaxed);
    }
}

/// The guest of a virtual CPU is entered after an exit of this kind, its own or another one's.
#[inline(always)]
pub(crate) fn entering<M: Machine>(vcpu: &Vcpu<M>, kind: ExitKind) {
    let Some(ring) = Ring::own(vcpu.machine()) else {
        return;
    };
    let at = M::Cpu::now();
    let cost = at.wrapping_sub(ring.since.load(Ordering::Relaxed));
    ring.put(Event {
        at,
        kind: Kind::entry(kind),
        who: who(vcpu),
        value: cost,
    });
    ring.entered(cost);
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
