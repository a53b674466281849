//! What a GICv2 has and a GICv3 with affinity routing has not: targets, and SGIs that know who sent them.

use super::distributor::Target;
use super::interrupt::{Flags, NOBODY};
use super::registers::Register;
use super::{Calls, Hardware, VcpuSet, Vgic, Width};
use crate::ListRegisters;
use model::{IntId, VcpuId};

impl Vgic {
    /// Sends an SGI as a write of `value` to `GICD_SGIR` does (IHI 0048B 4.3.15).
    pub(super) fn write_sgir(&mut self, from: VcpuId, value: u32) -> VcpuSet {
        let intid = IntId::new(value & 0xf);
        let others = !(1_u32.checked_shl(u32::from(from.get())).unwrap_or(0));
        let targets = match value >> 24 & 3 {
            0 => value >> 16,
            1 => others,
            2 => !others,
            _ => 0,
        };
        let mut kicks = VcpuSet::EMPTY;
        for cpu in (0..8).filter(|cpu| targets >> cpu & 1 != 0) {
            kicks |= self.add_sources(intid, VcpuId::new(cpu), 1 << (from.get() & 7));
        }
        kicks
    }

    /// An SGI that was left for the calling virtual CPU arrives from these source CPUs.
    pub(super) fn deliver_from(&mut self, sgi: IntId, sources: u8, caller: impl Calls) -> VcpuSet {
        if sources.is_power_of_two()
            && let Some(grants) = self.grants.get(usize::from(caller.cpu().get()))
            && let source = VcpuId::new(sources.trailing_zeros() as u8)
            && let Some((slot, image)) =
                grants.straight_from(source, sgi, caller.registers().empty())
        {
            caller.registers().write_image(slot, image);
            return VcpuSet::EMPTY;
        }
        let kicks = self.add_sources(sgi, caller.cpu(), sources);
        kicks.without(caller.cpu()) | self.flush(caller)
    }

    /// Makes a GICv2 SGI of `cpu` pending for these source CPUs.
    pub(super) fn add_sources(&mut self, intid: IntId, cpu: VcpuId, sources: u8) -> VcpuSet {
        let Some(interrupt) = self
            .interrupt_mut(intid, cpu)
            .filter(|interrupt| interrupt.is(Flags::SOURCED))
        else {
            return VcpuSet::EMPTY;
        };
        interrupt.sources |= sources;
        if sources != 0 && interrupt.is(Flags::HELD) {
            interrupt.flags |= Flags::NEW;
        }
        self.update(intid, cpu)
    }

    pub(super) fn clear_sources(
        &mut self,
        intid: IntId,
        cpu: VcpuId,
        sources: u8,
        caller: impl Calls,
    ) -> VcpuSet {
        let mut kicks = VcpuSet::EMPTY;
        if sources != 0 {
            kicks |= self.claim(intid, cpu, caller);
            if let Some(interrupt) = self.interrupt_mut(intid, cpu) {
                interrupt.sources &= !sources;
            }
        }
        kicks | self.finish(intid, cpu, caller)
    }

    /// `SPENDSGIR` and `CPENDSGIR`: who has each SGI pending (IHI 0048B 4.3.16).
    pub(super) fn read_sources(&mut self, target: Target, caller: impl Calls) -> (VcpuSet, u32) {
        let sgis = Target {
            register: Register::SetPending,
            at: 0,
            width: Width::Word,
            owner: target.owner,
        };
        (
            self.refresh(sgis, caller),
            self.gather(target, 8, |interrupt| interrupt.sources.into()),
        )
    }

    /// `ITARGETSR`: private interrupts show the reader's own mask; with one CPU all reads as zero (IHI 0048B 4.3.12).
    pub(super) fn read_targets(&self, target: Target) -> u32 {
        if self.geometry.vcpus.len() == 1 {
            return 0;
        }
        let own = target
            .owner
            .map_or(0, |cpu| 1_u32.checked_shl(cpu.get().into()).unwrap_or(0));
        let mut value = self.gather(target, 8, |interrupt| interrupt.route);
        for (index, _) in target
            .interrupts(8)
            .enumerate()
            .filter(|(_, number)| *number < IntId::FIRST_SPI)
        {
            value |= own << (index * 8);
        }
        value
    }

    /// Of several targets the lowest gets the interrupt: exactly one CPU may handle it (IHI 0048B 3.1.1), and which is our choice.
    pub(super) fn set_targets(
        &mut self,
        intid: IntId,
        mask: u32,
        hardware: &impl Hardware,
    ) -> VcpuSet {
        let count = self.geometry.vcpus.len().min(8);
        if !intid.is_spi() || count == 1 {
            return VcpuSet::EMPTY;
        }
        let mask = mask & ((1 << count) - 1);
        let target = if mask == 0 {
            NOBODY
        } else {
            mask.trailing_zeros() as u8
        };
        self.send_to(intid, mask, target, hardware)
    }
}
