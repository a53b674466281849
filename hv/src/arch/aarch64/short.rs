//! Short exits: what is answered while most of the guest's registers are still its own.
//!
//! The vectors first store only the registers that a function may change (AAPCS64 6.1.1) and call [`entry`]. What it can answer
//! without the others is answered at once; for the rest it says so, nothing has happened yet, and the vectors store everything and
//! call the handler in [`guest`](super::guest), which answers all that is here too.
//!
//! Meanwhile of [`Context`](super::context::Context) only x0 to x18 and x30 are true, and the return state is in `ELR_EL2` and `SPSR_EL2`.

#[cfg(any(feature = "v2", feature = "legacy"))]
mod gicv2;
#[cfg(feature = "v3")]
mod gicv3;

use super::frames::{UART_PAGE, gic_frame, within};
#[cfg(feature = "v2")]
use super::guest::stand_by;
use super::psci;
use crate::exit::ExitKind;
use crate::machine::{Cpu, Machine};
use crate::uart;
use crate::vcpu::Vcpu;

/// Bits of `ESR_EL2` (Arm ARM D19.2.37).
mod esr {
    /// `EC`.
    pub(super) const CLASS_SHIFT: u32 = 26;
    #[cfg(feature = "v2")]
    pub(super) const WAIT: u64 = 0x01;
    #[cfg(feature = "v3")]
    pub(super) const SYSTEM_REGISTER: u64 = 0x18;
    pub(super) const DATA_ABORT: u64 = 0x24;
    /// `IL`: a 32-bit instruction.
    pub(super) const LONG: u64 = 1 << 25;
    /// `HVC #0` and `SMC #0` of AArch64.
    pub(super) const HVC: u64 = 0x16 << CLASS_SHIFT | LONG;
    pub(super) const SMC: u64 = 0x17 << CLASS_SHIFT | LONG;

    /// What tells a plain load of a word from an unmapped page from all other data aborts: EC, IL, ISV, SAS, SSE, FnV, EA, CM, S1PTW, WnR and the kind of
    /// fault without its level.
    pub(super) const LOAD_MASK: u64 = 0x3f << CLASS_SHIFT
        | LONG
        | 1 << 24
        | 0b11 << 22
        | 1 << 21
        | 1 << 10
        | 1 << 9
        | 1 << 8
        | 1 << 7
        | 1 << 6
        | 0x3c;
    /// Its value: valid syndrome, a word, translation fault.
    pub(super) const LOAD: u64 = DATA_ABORT << CLASS_SHIFT | LONG | 1 << 24 | 0b10 << 22 | 0x04;
    /// The same of a store: with WnR.
    #[cfg(any(feature = "v2", feature = "legacy"))]
    pub(super) const STORE: u64 = LOAD | 1 << 6;
}

/// What the vectors are told.
#[repr(usize)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The exit is answered: back to the guest.
    Answered = 0,
    /// Nothing has happened yet: store everything and call the handler.
    Left = 1,
}

/// For the vectors.
pub(super) extern "C" fn entry<M: Machine>(vcpu: &mut Vcpu<M>) -> Verdict {
    answer(vcpu)
}

/// Answers the exit if it is a short one.
#[inline(always)]
pub(crate) fn answer<M: Machine>(vcpu: &mut Vcpu<M>) -> Verdict {
    let syndrome = M::Cpu::exception_syndrome();
    if syndrome == esr::HVC {
        return call(vcpu, ExitKind::Hypercall);
    }
    match syndrome >> esr::CLASS_SHIFT & 0x3f {
        esr::DATA_ABORT => load(vcpu, syndrome),
        #[cfg(feature = "v3")]
        esr::SYSTEM_REGISTER => gicv3::send_sgi(vcpu, syndrome),
        _ if syndrome == esr::SMC => call(vcpu, ExitKind::FirmwareCall),
        #[cfg(feature = "v2")]
        _ => wait(vcpu, syndrome),
        #[cfg(not(feature = "v2"))]
        _ => Verdict::Left,
    }
}

/// True for the registers that are stored. 31 is zero, or nowhere.
const fn is_stored(register: u8) -> bool {
    register <= 18 || register >= 30
}

/// Calls whose answer is a constant. The commonest by itself, so that it does not pay for telling the others apart.
#[inline(always)]
fn call<M: Machine>(vcpu: &mut Vcpu<M>, kind: ExitKind) -> Verdict {
    let [x0, ..] = vcpu.context.x;
    if x0 as u32 == psci::VERSION {
        answer_call(vcpu, kind, psci::PSCI_VERSION)
    } else {
        rarer_call(vcpu, kind)
    }
}

#[inline(never)]
fn rarer_call<M: Machine>(vcpu: &mut Vcpu<M>, kind: ExitKind) -> Verdict {
    let [x0, x1, ..] = vcpu.context.x;
    match psci::immediate_answer(x0, x1) {
        Some(value) => answer_call(vcpu, kind, value),
        None => Verdict::Left,
    }
}

#[inline(always)]
fn answer_call<M: Machine>(vcpu: &mut Vcpu<M>, kind: ExitKind, value: i64) -> Verdict {
    let [x0, ..] = &mut vcpu.context.x;
    *x0 = value as u64;
    if kind == ExitKind::FirmwareCall {
        // Unlike HVC, a trapped SMC returns to itself (Arm ARM D1.3.1).
        M::Cpu::step_over();
    }
    count(vcpu, kind);
    Verdict::Answered
}

/// Counts an exit that was answered.
#[inline(always)]
fn count<M: Machine>(vcpu: &Vcpu<M>, kind: ExitKind) {
    vcpu.shared.count_short(kind);
    #[cfg(feature = "trace")]
    crate::trace::short(vcpu, kind);
}

/// Loads of a word whose value is known without a lock: from the virtual UART's flag register, and from the virtual interrupt controller.
#[inline(never)]
fn load<M: Machine>(vcpu: &mut Vcpu<M>, syndrome: u64) -> Verdict {
    let register = (syndrome >> 16 & 0x1f) as u8;
    if !is_stored(register) {
        return left();
    }
    match syndrome & esr::LOAD_MASK {
        esr::LOAD => {}
        #[cfg(any(feature = "v2", feature = "legacy"))]
        esr::STORE => return gicv2::store(vcpu, register),
        _ => return left(),
    }
    let ipa = M::Cpu::fault_address();
    let value = if let Some(console) = &vcpu.partition.config.console
        && let Some(offset) = within(ipa, console.base, UART_PAGE)
    {
        if offset == uart::FLAGS {
            uart_flags(vcpu)
        } else {
            None
        }
    } else if let Some((frame, offset)) = gic_frame(vcpu, ipa) {
        vcpu.partition.shown.read_word(frame, offset as u32)
    } else {
        None
    };
    let Some(value) = value else {
        return left();
    };
    vcpu.context.set_register(register, value.into());
    M::Cpu::step_over();
    count(vcpu, ExitKind::Mmio);
    Verdict::Answered
}

/// The rare end of [`load`], away from its usual one: merged they cost the usual one three instructions.
#[cold]
#[inline(never)]
fn left() -> Verdict {
    Verdict::Left
}

/// `UARTFR`, whose reading changes nothing; `None` when the guest has typed bytes to be given first.
#[inline(always)]
fn uart_flags<M: Machine>(vcpu: &Vcpu<M>) -> Option<u32> {
    if vcpu.machine().console().has_input(vcpu.partition.id) {
        return None;
    }
    let room = vcpu.output.map_or(usize::MAX, crate::console::Ring::free);
    Some(vcpu.partition.uart_flags(room))
}

/// A trapped WFI where the pCPU is this virtual CPU's own; asked for last, to cost the others nothing. What ends the wait is taken by the vectors when the guest goes on.
#[cfg(feature = "v2")]
#[inline(never)]
fn wait<M: Machine>(vcpu: &mut Vcpu<M>, syndrome: u64) -> Verdict {
    if syndrome >> esr::CLASS_SHIFT != esr::WAIT || vcpu.takes_turns() {
        return Verdict::Left;
    }
    stand_by(vcpu);
    M::Cpu::step_over();
    count(vcpu, ExitKind::Wait);
    Verdict::Answered
}

#[cfg(test)]
mod tests;
