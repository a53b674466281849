//! Sending an SGI through GICv3's system register.

use gic::{InterruptController, ListRegisters};
use model::device::VirtualGic;
use model::partition::Vcpu as VcpuConfig;
use model::{IntId, VcpuId};

use super::{Verdict, count, esr, is_stored};
use crate::exit::ExitKind;
use crate::machine::{Cpu, Machine};
use crate::partition::request;
use crate::vcpu::Vcpu;

/// A write of `ICC_SGI1R_EL1` for one virtual CPU.
///
/// To itself: delivered by a grant, as the vectors do. To another: noted among its requests, and its pCPU kicked, whose vectors do the rest.
/// Neither needs the lock: see [`gic::virt::Grants`] and [`request::SGIS`].
#[inline(never)]
pub(super) fn send_sgi<M: Machine>(vcpu: &mut Vcpu<M>, syndrome: u64) -> Verdict {
    const REGISTER: u64 = 0x1f << 5;
    let register = (syndrome >> 5 & 0x1f) as u8;
    if syndrome & !REGISTER != SGI1R || !is_stored(register) {
        return Verdict::Left;
    }
    // Not for XZR, which names nobody.
    let Some(&value) = vcpu.context.x.get(usize::from(register)) else {
        return Verdict::Left;
    };
    let Some(target) = sole_target(vcpu.partition.config.vcpus, value) else {
        return Verdict::Left;
    };
    let sgi = (value >> 24 & 0xf) as u32;
    let gic = vcpu.machine().gic();
    if target == vcpu.id {
        // With a GICv2 there is none, and the register is undefined.
        let Some((slot, image)) = vcpu.context.grants.straight(IntId::new(sgi), gic.empty()) else {
            return Verdict::Left;
        };
        gic.write_image(slot, image);
        #[cfg(feature = "monitor")]
        vcpu.shared.count_arrived(1);
    } else {
        let gic_is_v3 = matches!(vcpu.partition.config.gic, VirtualGic::V3 { .. });
        let Some(shared) = vcpu
            .partition
            .vcpus
            .get(usize::from(target.get()))
            .filter(|_| gic_is_v3)
        else {
            return Verdict::Left;
        };
        let what = 1 << (request::FIRST_SGI + sgi);
        if shared.call.is_needed(shared.request(what), what) {
            gic.kick(shared.pcpu(), shared.call.sgi());
        }
    }
    M::Cpu::step_over();
    count(vcpu, ExitKind::SystemRegister);
    Verdict::Answered
}

/// The syndrome of `MSR ICC_SGI1R_EL1, X0`: Op0 3, Op1 0, CRn 12, CRm 11, Op2 5 (Arm ARM D19.2.37, ISS of EC 0x18).
pub(super) const SGI1R: u64 =
    esr::SYSTEM_REGISTER << esr::CLASS_SHIFT | esr::LONG | 3 << 20 | 5 << 17 | 12 << 10 | 11 << 1;

/// The one virtual CPU that a value of `ICC_SGI1R_EL1` names, when it names one whose number is its Aff0 (IHI 0069H 12.2.20).
#[inline]
pub(super) fn sole_target(vcpus: &[VcpuConfig], value: u64) -> Option<VcpuId> {
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
