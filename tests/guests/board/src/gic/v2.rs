//! GICv2 (Arm IHI 0048).

use super::{PRIORITY, offset};
use crate::{Region, mmio};

/// Offset of GICD_SGIR in the distributor.
pub const GICD_SGIR: u64 = 0xf00;
const GICC_CTLR: u64 = 0x00;
const GICC_PMR: u64 = 0x04;
const GICC_IAR: u64 = 0x0c;
const GICC_EOIR: u64 = 0x10;

/// A GICv2 by its two register frames.
#[derive(Clone, Copy, Debug)]
pub struct GicV2 {
    /// GICD.
    pub distributor: Region,
    /// GICC.
    pub cpu_interface: Region,
}

impl GicV2 {
    fn read(&self, offset: u64) -> u32 {
        // SAFETY: the device tree says that a distributor is here; no register read here has a side effect.
        unsafe { mmio::read32(self.distributor.base + offset) }
    }

    fn write(&self, offset: u64, value: u32) {
        // SAFETY: as above; the distributor does not touch memory.
        unsafe { mmio::write32(self.distributor.base + offset, value) }
    }

    fn write_interface(&self, offset: u64, value: u32) {
        // SAFETY: as above, for the CPU interface.
        unsafe { mmio::write32(self.cpu_interface.base + offset, value) }
    }

    pub(super) fn init_distributor(&self) {
        self.write(offset::CTLR, 0);
        let words = u64::from(self.read(offset::TYPER) & 0x1f) + 1;
        for word in 1..words {
            self.write(offset::ICENABLER + word * 4, !0);
            self.write(offset::ICPENDR + word * 4, !0);
            self.write(offset::ICACTIVER + word * 4, !0);
            self.write(offset::IGROUPR + word * 4, 0);
        }
        for word in 8..words * 8 {
            self.write(
                offset::IPRIORITYR + word * 4,
                u32::from_ne_bytes([PRIORITY; 4]),
            );
        }
        self.write(offset::CTLR, 1);
    }

    pub(super) fn init_cpu(&self) {
        self.write(offset::ICENABLER, 0xffff_0000);
        self.write(offset::ICPENDR, 0xffff_0000);
        self.write(offset::ICACTIVER, !0);
        self.write(offset::IGROUPR, 0);
        for word in 0..8 {
            self.write(
                offset::IPRIORITYR + word * 4,
                u32::from_ne_bytes([PRIORITY; 4]),
            );
        }
        self.write(offset::ISENABLER, 0xffff);
        self.write_interface(GICC_PMR, 0xff);
        self.write_interface(GICC_CTLR, 1);
    }

    pub(super) fn enable(&self, intid: u32) {
        if intid >= 32 {
            // ITARGETSR0 to 7 read as this CPU's own interface.
            let own = self.read(offset::ITARGETSR) & 0xff;
            let address = offset::ITARGETSR + u64::from(intid & !3);
            let shift = 8 * (intid & 3);
            let others = self.read(address) & !(0xff << shift);
            self.write(address, others | own << shift);
        }
        self.write(
            offset::ISENABLER + u64::from(intid / 32) * 4,
            1 << (intid % 32),
        );
    }

    /// What to write to GICD_SGIR to send the SGI `intid` to the CPU interfaces of the mask `targets`.
    pub fn sgi_value(targets: u32, intid: u32) -> u32 {
        (targets & 0xff) << 16 | intid & 0xf
    }

    pub(super) fn send(&self, targets: u32, intid: u32) {
        // SAFETY: DSB makes what the sender wrote visible to who takes the interrupt.
        unsafe { core::arch::asm!("dsb ishst", options(nostack)) };
        self.write(GICD_SGIR, Self::sgi_value(targets, intid));
    }

    pub(super) fn acknowledge(&self) -> u32 {
        // SAFETY: the device tree says that a CPU interface is here; reading IAR acknowledges, which is meant.
        unsafe { mmio::read32(self.cpu_interface.base + GICC_IAR) }
    }

    pub(super) fn end(&self, acknowledged: u32) {
        self.write_interface(GICC_EOIR, acknowledged);
    }
}
