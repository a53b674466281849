//! The interrupt controller as its user sees it; version 2 and 3 behind one type.

mod v2;
mod v3;

pub use v2::{GICD_SGIR, GicV2};
pub use v3::{GicV3, REDISTRIBUTOR_STRIDE, SGI_FRAME};

use crate::{Board, Region, mmio};

/// Offsets that both distributors (and the redistributor's SGI frame) share: GIC architecture IHI 0069, 12.9 and 12.11.
mod offset {
    pub const CTLR: u64 = 0x000;
    pub const TYPER: u64 = 0x004;
    pub const IGROUPR: u64 = 0x080;
    pub const ISENABLER: u64 = 0x100;
    pub const ICENABLER: u64 = 0x180;
    pub const ICPENDR: u64 = 0x280;
    pub const ICACTIVER: u64 = 0x380;
    pub const IPRIORITYR: u64 = 0x400;
    pub const ITARGETSR: u64 = 0x800;
    pub const ICFGR: u64 = 0xc00;
}

/// INTIDs that are no interrupts: nothing is to be done.
const SPECIAL: core::ops::RangeInclusive<u32> = 1020..=1023;
const PRIORITY: u8 = 0x80;

/// The board's interrupt controller.
#[derive(Clone, Copy, Debug)]
pub enum Gic {
    /// Version 2: the CPU interface is memory-mapped.
    V2(GicV2),
    /// Version 3: the CPU interface is in system registers.
    V3(GicV3),
}

/// An acknowledged interrupt; must be ended once.
#[derive(Debug)]
#[must_use = "an interrupt stays active until it is ended"]
pub struct Acknowledged(u32);

impl Acknowledged {
    /// The interrupt's INTID.
    pub fn intid(&self) -> u32 {
        // GICv2 has the sender of an SGI in bits 12:10 of the same register. It has no INTID above 1023; GICv3's LPIs begin at 8192.
        match self.0 {
            lpi @ 8192.. => lpi,
            other => other & 0x3ff,
        }
    }
}

impl Gic {
    /// The architecture version, 2 or 3.
    pub fn version(&self) -> u32 {
        match self {
            Self::V2(_) => 2,
            Self::V3(_) => 3,
        }
    }

    /// The distributor's registers.
    pub fn distributor(&self) -> Region {
        match self {
            Self::V2(gic) => gic.distributor,
            Self::V3(gic) => gic.distributor,
        }
    }

    /// Sets the distributor up: all SPIs off, idle and at one priority; forwarding on. Once, by the first CPU.
    pub fn init_distributor(&self) {
        match self {
            Self::V2(gic) => gic.init_distributor(),
            Self::V3(gic) => gic.init_distributor(),
        }
    }

    /// Sets up what this CPU has for itself: SGIs on, PPIs off, all priorities let through.
    pub fn init_cpu(&self) {
        match self {
            Self::V2(gic) => gic.init_cpu(),
            Self::V3(gic) => gic.init_cpu(),
        }
    }

    /// Enables a PPI of this CPU, or an SPI for this CPU.
    pub fn enable(&self, intid: u32) {
        match self {
            Self::V2(gic) => gic.enable(intid),
            Self::V3(gic) => gic.enable(intid),
        }
    }

    /// Makes the SPI `intid` edge-triggered. Before it is enabled.
    pub fn set_edge(&self, intid: u32) {
        let register = self.distributor().base + offset::ICFGR + u64::from(intid / 16) * 4;
        // SAFETY: both versions of the distributor have this register for each SPI; it has no side effect on other interrupts.
        unsafe {
            let others = mmio::read32(register);
            mmio::write32(register, others | 0b10 << (intid % 16 * 2));
        }
    }

    /// Sends the SGI `intid` (0 to 15) to the CPU with this index.
    pub fn send(&self, board: &Board, index: usize, intid: u32) {
        match self {
            Self::V2(gic) => gic.send(1 << (index & 7), intid),
            Self::V3(_) => {
                if let Some(&affinity) = board.cpus.get(index) {
                    GicV3::send(affinity, intid);
                }
            }
        }
    }

    /// Takes the highest pending interrupt, if there is one.
    pub fn acknowledge(&self) -> Option<Acknowledged> {
        let acknowledged = Acknowledged(match self {
            Self::V2(gic) => gic.acknowledge(),
            Self::V3(_) => GicV3::acknowledge(),
        });
        (!SPECIAL.contains(&acknowledged.intid())).then_some(acknowledged)
    }

    /// Ends an interrupt: drops its priority and deactivates it.
    pub fn end(&self, interrupt: Acknowledged) {
        self.end_number(interrupt.0);
    }

    /// Ends the interrupt that was acknowledged as this number: for who handles several at once.
    pub fn end_number(&self, acknowledged: u32) {
        match self {
            Self::V2(gic) => gic.end(acknowledged),
            Self::V3(_) => GicV3::end(acknowledged),
        }
    }
}
