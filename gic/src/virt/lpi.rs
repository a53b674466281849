//! LPIs: where each goes, whether it is let through, and what the redistributors show of them (IHI 0069H, chapter 6).
//!
//! An LPI is an edge-triggered [`Interrupt`](super::Interrupt) like others, but has no active state: taken back from a list register only its
//! pending state stays. Enable bit and priority are copies of its byte in the guest's configuration table, read when a command says so.

use super::interrupt::{Flags, Interrupt, NOBODY};
use super::its::{Change, Its, Memory, Part};
use super::{Calls, Hardware, MOST_LPIS, VcpuSet, Vgic};
use model::{IntId, VcpuId};

/// `GICR_CTLR.EnableLPIs`.
const ENABLE_LPIS: u32 = 1;
/// `GICR_PROPBASER` but for its reserved bits: OuterCache, address, Shareability, InnerCache, IDbits.
const PROPERTIES_KEPT: u64 = 0x070f_ffff_ffff_ff9f;
/// `GICR_PENDBASER` the same; `PTZ` reads as zero.
const PENDING_KEPT: u64 = 0x070f_ffff_ffff_0f80;
/// The address in `GICR_PROPBASER`.
const PROPERTIES_ADDRESS: u64 = 0xf_ffff_ffff_f000;
/// `GICD_TYPER.LPIS`, 14 bits of INTID, and the number of LPIs as a power of two less one.
const KIND: u32 = 1 << 17 | (13 - 9) << 19 | (MOST_LPIS.ilog2() - 1) << 11;

/// The number that the guest gives its LPI `index`.
pub(super) const fn lpi_number(index: usize) -> IntId {
    IntId::new(IntId::FIRST_LPI + index as u32)
}

impl Vgic {
    /// Adds an ITS to a GICv3, with its LPIs: [`MOST_LPIS`] of them, whose physical interrupts begin at `its`'s first.
    pub fn with_its(mut self, its: Its, lpis: &'static mut [Interrupt]) -> Self {
        self.first_lpi = its.first_lpi();
        self.its = its;
        self.lpis = lpis;
        self.shown.set_kind(self.shown.kind() + KIND);
        self.reset_state();
        self
    }

    /// The LPI behind which `physical` stands, if the guest has given it to an event of its devices.
    pub fn lpi(&self, physical: IntId) -> Option<IntId> {
        let index = physical.get().checked_sub(self.first_lpi)? as usize;
        self.its.is_mapped(index).then_some(lpi_number(index))
    }

    /// Sends an LPI where its collection goes now; to nobody while it has none, or LPIs are disabled there.
    pub(super) fn place_lpi(&mut self, lpi: usize, hardware: &impl Hardware) -> VcpuSet {
        let target = self
            .its
            .target(lpi)
            .filter(|cpu| self.its.enables_lpis(*cpu))
            .unwrap_or(NOBODY);
        self.send_to(lpi_number(lpi), 0, target, hardware)
    }

    /// The same for all.
    pub(super) fn place_lpis(&mut self, hardware: &impl Hardware) -> VcpuSet {
        (0..self.lpis.len()).fold(VcpuSet::EMPTY, |kicks, lpi| {
            kicks | self.place_lpi(lpi, hardware)
        })
    }

    /// Reads the configuration of a mapped LPI. Where there is no table, or it is not memory of the partition, the LPI is disabled.
    pub(super) fn configure_lpi(
        &mut self,
        lpi: usize,
        memory: &impl Memory,
        caller: impl Calls,
    ) -> VcpuSet {
        let intid = lpi_number(lpi);
        let byte = self.properties_of(lpi, memory).unwrap_or(0);
        let enabled = byte & 1 != 0;
        let cpu = VcpuId::new(0);
        let mut kicks = self.set_priority(intid, cpu, byte & 0xfc);
        let Some(interrupt) = self.lpis.get_mut(lpi) else {
            return kicks;
        };
        if interrupt.is(Flags::ENABLED) == enabled {
            return kicks;
        }
        interrupt.put(Flags::ENABLED, enabled);
        if let Some((device, event, collection)) = self.its.event(lpi) {
            caller.hardware().translate(Change::Enable {
                device,
                event,
                lpi: self.physical(intid),
                collection,
                enabled,
            });
        }
        if !enabled {
            // What the guest has not seen comes back.
            kicks |= self.claim(intid, cpu, caller);
        }
        kicks | self.finish(intid, cpu, caller)
    }

    /// The byte of an LPI in the configuration table (6.1.2): bits 7:2 are the priority, bit 0 enables.
    fn properties_of(&self, lpi: usize, memory: &impl Memory) -> Option<u8> {
        let properties = self.its.properties;
        let end = 2_u64 << (properties & 0x1f);
        if IntId::FIRST_LPI as u64 + lpi as u64 >= end {
            return None;
        }
        let at = (properties & PROPERTIES_ADDRESS) + lpi as u64;
        let word = memory.read(at & !7)?;
        Some((word >> (at % 8 * 8)) as u8)
    }

    pub(super) fn read_lpi_control(&self, owner: Option<VcpuId>) -> u32 {
        u32::from(owner.is_some_and(|cpu| self.its.enables_lpis(cpu.get())))
    }

    /// `GICR_CTLR`: `EnableLPIs` may be cleared again, though `CES` (12.11.2) does not promise it.
    pub(super) fn write_lpi_control(
        &mut self,
        owner: Option<VcpuId>,
        value: u32,
        caller: impl Calls,
    ) -> VcpuSet {
        let enabled = value & ENABLE_LPIS != 0;
        match owner.and_then(|cpu| self.its.redistributor(cpu)) {
            Some(redistributor) if redistributor.enabled != enabled => {
                redistributor.enabled = enabled;
            }
            _ => return VcpuSet::EMPTY,
        }
        self.place_lpis(caller.hardware())
    }

    /// `GICR_PROPBASER` at 0, `GICR_PENDBASER` at 8.
    pub(super) fn read_lpi_tables(&self, owner: Option<VcpuId>, at: u32) -> u64 {
        match owner {
            Some(_) if at < 8 => self.its.properties,
            Some(cpu) => self.its.pending_table(cpu),
            None => 0,
        }
    }

    /// Not while LPIs are enabled there (12.11.27, 12.11.26): then a write is UNPREDICTABLE, and here without effect.
    pub(super) fn write_lpi_tables(
        &mut self,
        owner: Option<VcpuId>,
        at: u32,
        part: Part,
        value: u64,
    ) {
        let mut properties = self.its.properties;
        let Some(redistributor) = owner
            .and_then(|cpu| self.its.redistributor(cpu))
            .filter(|redistributor| !redistributor.enabled)
        else {
            return;
        };
        if at < 8 {
            properties = part.put(properties, value) & PROPERTIES_KEPT;
        } else {
            redistributor.pending = part.put(redistributor.pending, value) & PENDING_KEPT;
        }
        self.its.properties = properties;
    }
}
