//! Sending an SGI through GICv2's distributor.

use gic::{InterruptController, ListRegisters};
use model::device::VirtualGic;
use model::{IntId, VcpuId};

use super::{Verdict, count};
use crate::exit::ExitKind;
use crate::machine::{Cpu, Machine};
use crate::partition::request;
use crate::vcpu::Vcpu;

/// A store of a word to `GICD_SGIR` of a GICv2 that names one virtual CPU (IHI 0048B 4.3.15); as a write of GICv3's `ICC_SGI1R_EL1`, with the sender as the SGI's source.
#[inline(never)]
pub(super) fn store<M: Machine>(vcpu: &mut Vcpu<M>, register: u8) -> Verdict {
    const SGIR: u64 = 0xf00;
    let VirtualGic::V2 { distributor, .. } = vcpu.partition.config.gic else {
        return Verdict::Left;
    };
    if M::Cpu::fault_address().offset_from(distributor) != Some(SGIR) {
        return Verdict::Left;
    }
    let value = vcpu.context.register(register) as u32;
    let list = (value >> 16) as u8;
    let target = match value >> 24 & 3 {
        0 if list.is_power_of_two() => VcpuId::new(list.trailing_zeros() as u8),
        2 => vcpu.id,
        _ => return Verdict::Left,
    };
    let sgi = IntId::new(value & 0xf);
    let gic = vcpu.machine().gic();
    if target == vcpu.id {
        let grants = vcpu.context.grants;
        let Some((slot, image)) = grants.straight_from(vcpu.id, sgi, gic.empty()) else {
            return Verdict::Left;
        };
        gic.write_image(slot, image);
        #[cfg(feature = "monitor")]
        vcpu.shared.count_arrived(1);
    } else {
        let Some(shared) = vcpu.partition.vcpus.get(usize::from(target.get())) else {
            return Verdict::Left;
        };
        let what = 1 << (request::FIRST_SGI + sgi.get());
        if shared
            .call
            .is_needed(shared.request_from(vcpu.id, sgi), what)
        {
            gic.kick(shared.pcpu(), shared.call.sgi());
        }
    }
    M::Cpu::step_over();
    count(vcpu, ExitKind::Mmio);
    Verdict::Answered
}
