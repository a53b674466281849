//! The system registers of a GICv3's CPU interface that trap (IHI 0069H 12.2).

use gic::virt::SgiRegister;
use gic::{CommonRegister, InterruptController};

use super::guest::deactivate;
use super::sysreg::register;
use crate::exit::RegisterTransfer;
use crate::machine::Machine;
use crate::vcpu::Vcpu;

/// What a register does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// Writes send software-generated interrupts; the value is in the form of `ICC_SGI1R_EL1`.
    SendSgi(SgiRegister),
    /// Writes deactivate an interrupt: `ICC_DIR_EL1`. Trapped only while the interrupt may be in no list register.
    Deactivate,
    /// A register of the virtual CPU interface that some hardware can only trap together with `ICC_DIR_EL1`.
    Common(CommonRegister),
    /// `ICC_SRE_EL1`: the system registers are on, and stay so.
    Enable,
}

/// `ICC_SRE_EL1`: SRE, DFB and DIB, all of them fixed (IHI 0069H 12.2.24).
const ICC_SRE_ON: u64 = 0b111;

/// The register with this encoding, if it is one of these and can be written, or read, as is asked.
pub const fn find(encoding: u16, write: bool) -> Option<Register> {
    const ICC_SGI1R: u16 = register(3, 0, 12, 11, 5);
    const ICC_ASGI1R: u16 = register(3, 0, 12, 11, 6);
    const ICC_SGI0R: u16 = register(3, 0, 12, 11, 7);
    const ICC_SRE: u16 = register(3, 0, 12, 12, 5);
    const ICC_DIR: u16 = register(3, 0, 12, 11, 1);
    const ICC_RPR: u16 = register(3, 0, 12, 11, 3);
    const ICC_PMR: u16 = register(3, 0, 4, 6, 0);
    const ICC_CTLR: u16 = register(3, 0, 12, 12, 4);
    Some(match encoding {
        ICC_SGI1R if write => Register::SendSgi(SgiRegister::Sgi1r),
        ICC_ASGI1R if write => Register::SendSgi(SgiRegister::Asgi1r),
        ICC_SGI0R if write => Register::SendSgi(SgiRegister::Sgi0r),
        ICC_SRE => Register::Enable,
        ICC_DIR if write => Register::Deactivate,
        ICC_RPR if !write => Register::Common(CommonRegister::RunningPriority),
        ICC_PMR => Register::Common(CommonRegister::PriorityMask),
        ICC_CTLR => Register::Common(CommonRegister::Control),
        _ => return None,
    })
}

/// An access by a guest that sees a GICv3. The value that a read gives.
pub(super) fn access<M: Machine>(
    vcpu: &mut Vcpu<M>,
    register: Register,
    transfer: RegisterTransfer,
) -> Option<u64> {
    match register {
        Register::SendSgi(register) => {
            let value = vcpu.context.register(transfer.register);
            let kicked = {
                let gic = &mut vcpu.partition.devices.lock().gic;
                gic.send_sgi(vcpu.id, register, value)
            };
            vcpu.kick_others(kicked);
            None
        }
        Register::Deactivate => {
            deactivate(vcpu, transfer.register);
            None
        }
        Register::Common(register) => {
            let stored = vcpu.context.register(transfer.register);
            let written = transfer.write.then_some(stored);
            Some(vcpu.machine().gic().common_register(register, written))
        }
        Register::Enable => Some(ICC_SRE_ON),
    }
}
