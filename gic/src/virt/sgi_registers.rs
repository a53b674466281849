//! The system registers by which a GICv3 sends software-generated interrupts.

use super::interrupt::Flags;
use super::{VcpuSet, Vgic};
use model::{IntId, VcpuId};

/// Which system register a guest wrote to send an SGI (IHI 0069H 12.2.20, 12.2.5, 12.2.19).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SgiRegister {
    /// `ICC_SGI1R_EL1`.
    Sgi1r,
    /// `ICC_ASGI1R_EL1`: the other security state's group 1, which with one security state means group 0 only.
    Asgi1r,
    /// `ICC_SGI0R_EL1`: group 0 only.
    Sgi0r,
}

impl Vgic {
    /// Sends an SGI as GICv3's system registers do, to the virtual CPUs that `value` names: a target list of 16 within one Aff3.Aff2.Aff1
    /// and range, or all but the sender. Targets that do not exist are ignored.
    pub fn send_sgi(&mut self, from: VcpuId, register: SgiRegister, value: u64) -> VcpuSet {
        let intid = IntId::new((value >> 24) as u32 & 0xf);
        let broadcast = value >> 40 & 1 != 0;
        let range = (value >> 44 & 0xf) as u8;
        let cluster = [
            (value >> 48) as u8,
            (value >> 32) as u8,
            (value >> 16) as u8,
        ];
        let list = value as u16;
        let mut kicks = VcpuSet::EMPTY;
        for (index, vcpu) in self.geometry.vcpus.iter().enumerate() {
            let cpu = VcpuId::new(index as u8);
            let [aff3, aff2, aff1, aff0] = [3, 2, 1, 0].map(|level| vcpu.mpidr.affinity(level));
            let listed = [aff3, aff2, aff1] == cluster
                && aff0 >> 4 == range
                && list >> (aff0 & 0xf) & 1 != 0;
            let meant = if broadcast { cpu != from } else { listed };
            if meant {
                kicks |= self.pend_sgi(intid, cpu, register);
            }
        }
        kicks
    }

    fn pend_sgi(&mut self, intid: IntId, cpu: VcpuId, register: SgiRegister) -> VcpuSet {
        let Some(interrupt) = self.interrupt_mut(intid, cpu) else {
            return VcpuSet::EMPTY;
        };
        if interrupt.is(Flags::GROUP1) && register != SgiRegister::Sgi1r {
            return VcpuSet::EMPTY;
        }
        self.raise(intid, cpu)
    }
}
