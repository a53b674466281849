//! GICv3's `GICD_IROUTER<n>` (IHI 0069H 12.9.22): which virtual CPU an SPI is for, by its affinity.

use super::distributor::Target;
use super::interrupt::NOBODY;
use super::{Hardware, VcpuSet, Vgic, Width};
use model::{IntId, Mpidr, VcpuId};

/// Aff3.Aff2.Aff1.Aff0 in 32 bits.
pub(super) const fn packed_affinity(mpidr: Mpidr) -> u32 {
    (mpidr.affinity(3) as u32) << 24 | mpidr.get() as u32 & 0xff_ffff
}

impl Vgic {
    pub(super) fn read_route(&self, target: Target) -> u64 {
        let intid = IntId::new(IntId::FIRST_SPI + target.at / 8);
        let packed = self
            .interrupt(intid, VcpuId::new(0))
            .map_or(0, |interrupt| interrupt.route);
        let register = u64::from(packed & 0xff_ffff) | u64::from(packed >> 24) << 32;
        narrow(register, target)
    }

    /// `IROUTER`, whole or half: bits 39:32 and 23:0 are the affinity; `Interrupt_Routing_Mode` is fixed to 0 (`TYPER.No1N`). An affinity that
    /// no CPU has keeps the interrupt pending (IHI 0069H 12.9.22).
    pub(super) fn write_route(
        &mut self,
        target: Target,
        value: u64,
        hardware: &impl Hardware,
    ) -> VcpuSet {
        let intid = IntId::new(IntId::FIRST_SPI + target.at / 8);
        let Some(before) = self
            .interrupt(intid, VcpuId::new(0))
            .map(|interrupt| interrupt.route)
        else {
            return VcpuSet::EMPTY;
        };
        let upper = |bits: u64| (bits as u32 & 0xff) << 24;
        let route = match (target.width, target.at % 8) {
            (Width::Double, _) => upper(value >> 32) | value as u32 & 0xff_ffff,
            (_, 0) => before & 0xff00_0000 | value as u32 & 0xff_ffff,
            _ => upper(value) | before & 0xff_ffff,
        };
        let found = self
            .geometry
            .vcpus
            .iter()
            .position(|vcpu| packed_affinity(vcpu.mpidr) == route);
        self.send_to(
            intid,
            route,
            found.map_or(NOBODY, |index| index as u8),
            hardware,
        )
    }
}

/// The accessed part of a 64-bit register.
pub(super) fn narrow(register: u64, target: Target) -> u64 {
    match (target.width, target.at % 8) {
        (Width::Double, _) => register,
        (_, 0) => register & 0xffff_ffff,
        _ => register >> 32,
    }
}
