//! Short exits: what is answered while most of the guest's registers are still its own.
//!
//! The vectors first store only the registers that a function may change (AAPCS64 6.1.1) and call [`entry`]. What it can answer
//! without the others is answered at once; for the rest it says so, nothing has happened yet, and the vectors store everything and
//! call the handler in [`guest`](super::guest), which answers all that is here too.
//!
//! Meanwhile of [`Context`](super::context::Context) only x0 to x18 and x30 are true, and the return state is in `ELR_EL2` and `SPSR_EL2`.

use gic::virt::SgiRegister;
use gic::{InterruptController, ListRegisters};
use model::device::{VirtualGic, Width};
use model::partition::Vcpu as VcpuConfig;
use model::{IntId, VcpuId};

use super::guest::{UART_PAGE, gic_frame, within};
use super::psci;
use super::sysreg::{self, Answer};
use crate::exit::ExitKind;
use crate::machine::{Cpu, Machine};
use crate::partition::request;
use crate::uart;
use crate::vcpu::{KICK, Vcpu};

/// Bits of `ESR_EL2` (Arm ARM D19.2.37).
mod esr {
    /// `EC`.
    pub(super) const CLASS: u64 = 0x3f << 26;
    pub(super) const HVC64: u64 = 0x16 << 26;
    pub(super) const SMC64: u64 = 0x17 << 26;
    pub(super) const SYSTEM_REGISTER: u64 = 0x18 << 26;
    pub(super) const DATA_ABORT: u64 = 0x24 << 26;
    /// `IL`: a 32-bit instruction.
    pub(super) const LONG: u64 = 1 << 25;
    /// The number in an HVC or SMC.
    pub(super) const IMMEDIATE: u64 = 0xffff;

    /// What tells a plain load from an unmapped page from all other data aborts: EC, IL, ISV, SSE, FnV, EA, CM, S1PTW, WnR and the kind of
    /// fault without its level.
    pub(super) const LOAD_MASK: u64 =
        CLASS | LONG | 1 << 24 | 1 << 21 | 1 << 10 | 1 << 9 | 1 << 8 | 1 << 7 | 1 << 6 | 0x3c;
    /// Its value: valid syndrome, translation fault.
    pub(super) const LOAD: u64 = DATA_ABORT | LONG | 1 << 24 | 0x04;
}

/// For the vectors: 0 when the exit has been answered.
pub(super) extern "C" fn entry<M: Machine>(vcpu: &mut Vcpu<M>) -> usize {
    usize::from(!answer(vcpu))
}

/// Answers the exit if it is a short one.
#[inline(always)]
pub(crate) fn answer<M: Machine>(vcpu: &mut Vcpu<M>) -> bool {
    let syndrome = M::Cpu::exception_syndrome();
    match syndrome & esr::CLASS {
        esr::HVC64 => call(vcpu, syndrome, ExitKind::Hypercall),
        esr::DATA_ABORT => load(vcpu, syndrome),
        esr::SYSTEM_REGISTER => send_sgi(vcpu, syndrome),
        esr::SMC64 => call(vcpu, syndrome, ExitKind::FirmwareCall),
        _ => false,
    }
}

/// True for the registers that are stored. 31 is zero, or nowhere.
const fn is_stored(register: u8) -> bool {
    register <= 18 || register >= 30
}

/// Calls whose answer is a constant.
#[inline(always)]
fn call<M: Machine>(vcpu: &mut Vcpu<M>, syndrome: u64, kind: ExitKind) -> bool {
    let [x0, x1, ..] = vcpu.context.x;
    if syndrome & esr::IMMEDIATE != 0 {
        return false;
    }
    let Some(value) = psci::immediate_answer(x0, x1) else {
        return false;
    };
    let [x0, ..] = &mut vcpu.context.x;
    *x0 = value as u64;
    if kind == ExitKind::FirmwareCall {
        // Unlike HVC, a trapped SMC returns to itself (Arm ARM D1.3.1).
        M::Cpu::step_over();
    }
    vcpu.shared.count_short(kind);
    true
}

/// Loads from registers of the virtual interrupt controller whose value is known here, and from the virtual UART's flag register.
#[inline(never)]
fn load<M: Machine>(vcpu: &mut Vcpu<M>, syndrome: u64) -> bool {
    let register = (syndrome >> 16 & 0x1f) as u8;
    if syndrome & esr::LOAD_MASK != esr::LOAD || !is_stored(register) {
        return false;
    }
    let began = M::Cpu::now();
    let width = match syndrome >> 22 & 3 {
        0 => Width::Byte,
        1 => Width::Half,
        2 => Width::Word,
        _ => Width::Double,
    };
    let ipa = M::Cpu::syndrome().ipa();
    let value = if let Some((frame, offset)) = gic_frame(vcpu, ipa) {
        let devices = vcpu.partition.devices.lock();
        devices.gic.read_plain(frame, offset as u32, width, vcpu.id)
    } else if let Some(console) = &vcpu.partition.config.console
        && within(ipa, console.base, UART_PAGE) == Some(uart::FLAGS)
    {
        uart_flags(vcpu, width)
    } else {
        None
    };
    let Some(value) = value else {
        return false;
    };
    vcpu.context.set_register(register, value);
    M::Cpu::step_over();
    vcpu.shared
        .count(ExitKind::Mmio, M::Cpu::now().wrapping_sub(began));
    true
}

/// `UARTFR`, whose reading changes nothing; `None` when the guest has typed bytes to be given first.
#[inline(always)]
fn uart_flags<M: Machine>(vcpu: &Vcpu<M>, width: Width) -> Option<u64> {
    let console = vcpu.machine().console();
    if width != Width::Word || console.has_input(vcpu.partition.id) {
        return None;
    }
    let room = vcpu.output.map_or(usize::MAX, crate::console::Ring::free);
    Some(vcpu.partition.devices.lock().uart.flags(room).into())
}

/// A write of `ICC_SGI1R_EL1` for one virtual CPU.
///
/// To itself: delivered by a grant, as the vectors do. To another: noted among its requests, and its pCPU kicked, whose vectors do the rest.
/// Neither needs the lock: see [`gic::virt::Grants`] and [`request::SGIS`].
#[inline(never)]
fn send_sgi<M: Machine>(vcpu: &mut Vcpu<M>, syndrome: u64) -> bool {
    const SGI1R: u64 = sgi1r_write();
    const REGISTER: u64 = 0x1f << 5;
    let register = (syndrome >> 5 & 0x1f) as u8;
    if syndrome & !REGISTER != SGI1R
        || !is_stored(register)
        || !matches!(vcpu.partition.config.gic, VirtualGic::V3 { .. })
    {
        return false;
    }
    let value = vcpu.context.register(register);
    let Some(target) = sole_target(vcpu.partition.config.vcpus, value) else {
        return false;
    };
    let sgi = (value >> 24 & 0xf) as u32;
    let gic = vcpu.machine().gic();
    if target == vcpu.id {
        let Some((slot, image)) = vcpu.context.grants.straight(IntId::new(sgi), gic.empty()) else {
            return false;
        };
        gic.write_image(slot, image);
    } else {
        let Some(shared) = vcpu.partition.vcpus.get(usize::from(target.get())) else {
            return false;
        };
        shared.request(1 << (request::FIRST_SGI + sgi));
        gic.kick(shared.pcpu, KICK);
    }
    M::Cpu::step_over();
    vcpu.shared.count_short(ExitKind::SystemRegister);
    true
}

/// The syndrome of `MSR ICC_SGI1R_EL1, X0`.
const fn sgi1r_write() -> u64 {
    const ENCODING: u64 = sysreg::register(3, 0, 12, 11, 5) as u64;
    assert!(matches!(
        sysreg::answer(ENCODING as u16, true),
        Answer::SendSgi(SgiRegister::Sgi1r)
    ));
    let (op0, op1, crn, crm, op2) = (
        ENCODING >> 14,
        ENCODING >> 11 & 7,
        ENCODING >> 7 & 0xf,
        ENCODING >> 3 & 0xf,
        ENCODING & 7,
    );
    esr::SYSTEM_REGISTER | esr::LONG | op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | crm << 1
}

/// The one virtual CPU that a value of `ICC_SGI1R_EL1` names, when it names one whose number is its Aff0 (IHI 0069H 12.2.20).
#[inline]
fn sole_target(vcpus: &[VcpuConfig], value: u64) -> Option<VcpuId> {
    const TO_ALL_OTHERS: u64 = 1 << 40;
    let list = value as u16;
    if !list.is_power_of_two() || value & TO_ALL_OTHERS != 0 {
        return None;
    }
    let aff0 = (value >> 44 & 0xf) * 16 + u64::from(list.trailing_zeros());
    let above = (value >> 48 & 0xff) << 32 | (value >> 32 & 0xff) << 16 | (value >> 16 & 0xff) << 8;
    let named = vcpus.get(aff0 as usize)?;
    (named.mpidr.get() == above | aff0).then_some(VcpuId::new(aff0 as u8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Mpidr, PcpuId};

    fn vcpus(affinities: &[u64]) -> Vec<VcpuConfig> {
        affinities
            .iter()
            .map(|affinity| VcpuConfig {
                pcpu: PcpuId::new(0),
                mpidr: Mpidr::new(*affinity),
            })
            .collect()
    }

    #[test]
    fn sole_target_is_found_by_its_whole_affinity() {
        let list = vcpus(&[0, 1, 2]);
        assert_eq!(sole_target(&list, 1 << 24 | 1 << 2), Some(VcpuId::new(2)));
        for elsewhere in [1 << 16, 1 << 32, 1 << 48, 1 << 44, 1 << 40] {
            assert_eq!(sole_target(&list, elsewhere | 1 << 2), None);
        }
    }

    #[test]
    fn several_targets_none_and_absent_ones_are_left_to_the_full_path() {
        let list = vcpus(&[0, 1, 2]);
        for value in [0, 0b11, 1 << 3, 0xffff] {
            assert_eq!(sole_target(&list, value), None);
        }
    }

    #[test]
    fn virtual_cpu_whose_affinity_is_not_its_number_is_left_to_the_full_path() {
        assert_eq!(sole_target(&vcpus(&[0, 0x100]), 1 << 1), None);
        assert_eq!(sole_target(&vcpus(&[0, 0x100]), 1 << 16 | 1), None);
    }

    #[test]
    fn registers_that_a_called_function_must_keep_are_not_stored() {
        assert!((0..=18).chain([30, 31]).all(is_stored));
        assert!(!(19..=29).any(is_stored));
    }
}
