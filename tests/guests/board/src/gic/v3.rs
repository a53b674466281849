//! GICv3 (Arm IHI 0069), affinity routing, Group 1. LPIs are a guest's own affair.

use super::{PRIORITY, offset};
use crate::{Region, cpu, mmio, read_register, timer, write_register};

const GICD_CTLR_ENABLE_GRP1: u32 = 1 << 1;
const GICD_CTLR_ARE: u32 = 1 << 4;
const GICD_CTLR_RWP: u32 = 1 << 31;
const GICD_IROUTER: u64 = 0x6000;
const GICR_TYPER: u64 = 0x08;
const GICR_TYPER_LAST: u64 = 1 << 4;
const GICR_WAKER: u64 = 0x14;
const GICR_WAKER_PROCESSOR_SLEEP: u32 = 1 << 1;
const GICR_WAKER_CHILDREN_ASLEEP: u32 = 1 << 2;

/// One CPU's redistributor: the RD frame and the SGI frame, 64 KiB each.
pub const REDISTRIBUTOR_STRIDE: u64 = 0x2_0000;
/// Offset of the SGI frame in a redistributor.
pub const SGI_FRAME: u64 = 0x1_0000;
/// No device needs longer to take a register write.
const WRITE_TIMEOUT_US: u64 = 100_000;

/// A GICv3 by its register frames.
#[derive(Clone, Copy, Debug)]
pub struct GicV3 {
    /// GICD.
    pub distributor: Region,
    /// The first region of redistributors.
    pub redistributors: Region,
}

impl GicV3 {
    /// The redistributor's base address of the CPU with this affinity, found by GICR_TYPER.
    pub fn redistributor(&self, affinity: u64) -> Option<u64> {
        let packed = (affinity >> 8 & 0xff00_0000) | affinity & 0xff_ffff;
        let mut frame = self.redistributors.base;
        while frame < self.redistributors.end() {
            // SAFETY: the device tree has redistributors here up to the one marked last; reading GICR_TYPER has no side effect.
            let kind = unsafe { mmio::read64(frame + GICR_TYPER) };
            if kind >> 32 == packed {
                return Some(frame);
            }
            if kind & GICR_TYPER_LAST != 0 {
                return None;
            }
            frame += REDISTRIBUTOR_STRIDE;
        }
        None
    }

    fn read(&self, offset: u64) -> u32 {
        // SAFETY: the device tree says that a distributor is here; no register read here has a side effect.
        unsafe { mmio::read32(self.distributor.base + offset) }
    }

    fn write(&self, offset: u64, value: u32) {
        // SAFETY: as above; without LPIs the GIC does not touch memory.
        unsafe { mmio::write32(self.distributor.base + offset, value) }
    }

    fn wait_for_writes(&self) {
        timer::wait_until(WRITE_TIMEOUT_US, || {
            self.read(offset::CTLR) & GICD_CTLR_RWP == 0
        });
    }

    pub(super) fn init_distributor(&self) {
        self.write(offset::CTLR, 0);
        self.wait_for_writes();
        let words = u64::from(self.read(offset::TYPER) & 0x1f) + 1;
        for word in 1..words {
            self.write(offset::ICENABLER + word * 4, !0);
            self.write(offset::ICPENDR + word * 4, !0);
            self.write(offset::ICACTIVER + word * 4, !0);
            self.write(offset::IGROUPR + word * 4, !0);
        }
        for word in 8..words * 8 {
            self.write(
                offset::IPRIORITYR + word * 4,
                u32::from_ne_bytes([PRIORITY; 4]),
            );
        }
        self.wait_for_writes();
        self.write(offset::CTLR, GICD_CTLR_ARE | GICD_CTLR_ENABLE_GRP1);
        self.wait_for_writes();
    }

    pub(super) fn init_cpu(&self) {
        if let Some(frame) = self.redistributor(cpu::affinity()) {
            // SAFETY: the frame was found in the device tree's region by its own GICR_TYPER, and belongs to this CPU.
            unsafe {
                let waker = mmio::read32(frame + GICR_WAKER) & !GICR_WAKER_PROCESSOR_SLEEP;
                mmio::write32(frame + GICR_WAKER, waker);
                timer::wait_until(WRITE_TIMEOUT_US, || {
                    mmio::read32(frame + GICR_WAKER) & GICR_WAKER_CHILDREN_ASLEEP == 0
                });
                let sgis = frame + SGI_FRAME;
                mmio::write32(sgis + offset::ICENABLER, 0xffff_0000);
                mmio::write32(sgis + offset::ICPENDR, !0);
                mmio::write32(sgis + offset::ICACTIVER, !0);
                mmio::write32(sgis + offset::IGROUPR, !0);
                for word in 0..8 {
                    mmio::write32(
                        sgis + offset::IPRIORITYR + word * 4,
                        u32::from_ne_bytes([PRIORITY; 4]),
                    );
                }
                mmio::write32(sgis + offset::ISENABLER, 0xffff);
            }
        }
        write_register!("icc_sre_el1", read_register!("icc_sre_el1") | 1);
        write_register!("icc_pmr_el1", 0xff);
        write_register!("icc_bpr1_el1", 0);
        write_register!("icc_ctlr_el1", 0);
        write_register!("icc_igrpen1_el1", 1);
    }

    pub(super) fn enable(&self, intid: u32) {
        if intid >= 32 {
            let router = self.distributor.base + GICD_IROUTER + u64::from(intid) * 8;
            // SAFETY: the distributor has a router for each SPI.
            unsafe { mmio::write64(router, cpu::affinity()) };
            self.write(
                offset::ISENABLER + u64::from(intid / 32) * 4,
                1 << (intid % 32),
            );
        } else if let Some(frame) = self.redistributor(cpu::affinity()) {
            // SAFETY: as in `init_cpu`.
            unsafe { mmio::write32(frame + SGI_FRAME + offset::ISENABLER, 1 << intid) };
        }
    }

    /// What to write to ICC_SGI1R_EL1 to send the SGI `intid` to the CPU with this affinity.
    pub fn sgi_value(affinity: u64, intid: u32) -> u64 {
        (affinity & 0xff_0000_0000) << 16
            | (affinity & 0xff_0000) << 16
            | u64::from(intid & 0xf) << 24
            | (affinity & 0xff00) << 8
            | 1 << (affinity & 0xf)
    }

    pub(super) fn send(affinity: u64, intid: u32) {
        // SAFETY: DSB makes what the sender wrote visible to who takes the interrupt.
        unsafe { core::arch::asm!("dsb ishst", options(nostack)) };
        write_register!("icc_sgi1r_el1", Self::sgi_value(affinity, intid));
    }

    pub(super) fn acknowledge() -> u32 {
        let acknowledged = read_register!("icc_iar1_el1") as u32;
        // SAFETY: DSB completes the acknowledgement before the handler looks at the device (IHI 0069, 12.2.13).
        unsafe { core::arch::asm!("dsb sy", options(nostack)) };
        acknowledged
    }

    pub(super) fn end(acknowledged: u32) {
        write_register!("icc_eoir1_el1", u64::from(acknowledged));
    }
}
