//! What a GICv2 has and a GICv3 with affinity routing has not: targets, and SGIs that know who sent them.

use super::distributor::Target;
use super::interrupt::{Flags, Gate, Interrupt, NOBODY};
use super::registers::Register;
use super::{Calls, Hardware, VcpuSet, Vgic, Width};
use crate::{ListRegister, ListRegisters, LrState};
use model::{IntId, VcpuId};

impl Interrupt {
    /// Chooses the source CPU that an SGI is presented with, if it may be, and says whether it is pending now and whether more comes later; `None` for
    /// other interrupts. While one is active, only the same source may become pending again in its register; another source waits for the end.
    pub(super) fn present_source(&mut self, admitted: bool, active: bool) -> Option<(bool, bool)> {
        if !self.is(Flags::SOURCED) {
            return None;
        }
        if !admitted {
            return Some((false, self.sources != 0));
        }
        if !active {
            self.source = self.sources.trailing_zeros() as u8 & 7;
        }
        let bit = 1 << self.source;
        let taken = self.sources & bit != 0;
        self.sources &= !bit;
        Some((taken, self.sources != 0))
    }

    /// [`join`](Self::join) of what may be an SGI.
    pub(super) fn join_or_reload(
        &mut self,
        id: IntId,
        now: ListRegister,
        gate: Gate,
    ) -> Option<ListRegister> {
        if self.is(Flags::SOURCED) {
            self.reload(id, now.state, gate)
        } else {
            self.join(id, now)
        }
    }

    /// Loads a GICv2 SGI that the guest has ended into the register that still is its home. `None` when there is more to it.
    fn reload(&mut self, id: IntId, now: LrState, gate: Gate) -> Option<ListRegister> {
        const NOTED: Flags = Flags::LATER
            .union(Flags::DROP_PENDING)
            .union(Flags::DROP_ACTIVE)
            .union(Flags::SET_ACTIVE);
        if now != LrState::Empty || self.flags.intersects(NOTED) {
            return None;
        }
        self.flags -= Flags::HELD | Flags::NEW | Flags::PENDING | Flags::ACTIVE;
        Some(self.load(id, self.holder, self.slot, gate))
    }

    /// Keeps what the register that held an SGI said of its source CPU.
    pub(super) fn keep_source(&mut self, source: u8, pending: bool) {
        if self.is(Flags::SOURCED) {
            if pending {
                self.sources |= 1 << (source & 7);
            }
            self.source = source;
            self.put(Flags::PENDING, false);
        }
    }
}

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

    /// True for an SGI: `ISPENDR` and `ICPENDR` show it and do not change it (IHI 0048B 4.3.7); `SPENDSGIR` and `CPENDSGIR` name the source.
    pub(super) fn is_sourced(&self, intid: IntId, cpu: VcpuId) -> bool {
        let interrupt = self.interrupt(intid, cpu);
        interrupt.is_some_and(|interrupt| interrupt.is(Flags::SOURCED))
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
