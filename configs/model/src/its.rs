//! Interrupt Translation Services: what partitions see of the board's, and which devices signal through them.

use crate::ids::{IntId, Ipa};

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
