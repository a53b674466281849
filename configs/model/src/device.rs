//! Interrupts and virtual devices of a partition.

use crate::ids::{IntId, Ipa};

/// How an interrupt line signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Level-sensitive: asserted until the device is served.
    Level,
    /// Edge-triggered: one pulse, one interrupt.
    Edge,
}

/// A physical interrupt that a partition owns. Its number is the same inside and outside, as on the bare board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassedInterrupt {
    /// Its number, an SPI.
    pub intid: IntId,
    /// How its line signals.
    pub trigger: Trigger,
}

/// The emulated PL011 of a partition (Arm DDI 0183G).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtualUart {
    /// Base of its one 4 KiB page.
    pub base: Ipa,
    /// Its interrupt, level-sensitive.
    pub intid: IntId,
}

/// The interrupt controller that a partition sees: at the addresses of its board's, of the same architecture version or an older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VirtualGic {
    /// GICv2: the distributor is emulated. The first page of the CPU interface is the hardware's virtual one, mapped in stage 2, or emulated on a
    /// board with a GICv3. The second page has only `GICC_DIR`, and is always emulated: hardware deactivates what is in a list register,
    /// and nothing else.
    V2 {
        /// Base of the emulated distributor, 4 KiB.
        distributor: Ipa,
        /// Base of the CPU interface, 8 KiB.
        cpu_interface: Ipa,
        /// The first page is emulated, too.
        emulated: bool,
    },
    /// GICv3: distributor and redistributors are emulated; the CPU interface is in system registers.
    V3 {
        /// Base of the emulated distributor, 64 KiB.
        distributor: Ipa,
        /// Base of the emulated redistributors: one pair of 64 KiB frames per virtual CPU, `stride` apart.
        redistributors: Ipa,
        /// Distance between redistributors in bytes: at least 128 KiB.
        stride: u64,
    },
}

/// DeviceIDs by which an ITS knows the devices of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceIds {
    /// The first one.
    pub first: u32,
    /// How many, at least 1. The last one is at most `u32::MAX`.
    pub count: u32,
}

impl DeviceIds {
    /// The last one.
    pub const fn last(&self) -> u32 {
        self.first.saturating_add(self.count.saturating_sub(1))
    }

    /// True when `device` is one of them.
    pub const fn contains(&self, device: u32) -> bool {
        device >= self.first && device - self.first < self.count
    }
}

/// The interrupt translation service that a partition sees (Arm IHI 0069H, chapter 5), and its share of the physical one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtualIts {
    /// Base of its emulated frames, 128 KiB: where the physical ones are, since devices write to those.
    pub base: Ipa,
    /// Its devices, which have the same DeviceIDs inside and outside.
    pub devices: &'static [DeviceIds],
    /// Which share it has: all are equal, and no two partitions have the same one. Less than [`SHARES`](Self::SHARES).
    pub share: u8,
}

impl VirtualIts {
    /// Most partitions with an ITS.
    pub const SHARES: u8 = 8;
    /// LPIs of a share: a power of two.
    pub const LPIS: u16 = 256;
    /// Collections of a share: one for each virtual CPU that a partition can have, and as many again.
    pub const COLLECTIONS: u16 = 16;
    /// Devices of a share that can be in use at the same time.
    pub const TABLES: u16 = 32;

    /// The physical LPI behind its first one.
    pub const fn first_lpi(&self) -> IntId {
        IntId::new(IntId::FIRST_LPI + self.share as u32 * Self::LPIS as u32)
    }

    /// True when an LPI is of its share.
    pub const fn has_lpi(&self, lpi: IntId) -> bool {
        let first = self.first_lpi().get();
        lpi.get() >= first && lpi.get() - first < Self::LPIS as u32
    }

    /// Its first collection in the physical ITS.
    pub const fn first_collection(&self) -> u16 {
        self.share as u16 * Self::COLLECTIONS
    }

    /// Its first translation table in the physical ITS.
    pub const fn first_table(&self) -> u16 {
        self.share as u16 * Self::TABLES
    }
}

/// Width of one access to a device register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Half,
    /// 32 bits.
    Word,
    /// 64 bits.
    Double,
}

impl Width {
    /// Number of bytes: 1, 2, 4 or 8.
    pub const fn bytes(self) -> u32 {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Word => 4,
            Self::Double => 8,
        }
    }
}
