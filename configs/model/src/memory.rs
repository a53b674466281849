//! Ranges of addresses and what a partition may do with them.

use crate::ids::{Ipa, Pa};

/// Smallest granule of isolation on every supported machine, in bytes.
pub const PAGE: u64 = 4096;

/// A half-open range of physical memory. The compiler guarantees that `base + size` does not overflow and that both are page-aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhysicalRange {
    /// First byte.
    pub base: Pa,
    /// Length in bytes, never 0.
    pub size: u64,
}

impl PhysicalRange {
    /// True when the two ranges share a byte.
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.base.get() < other.base.get() + other.size
            && other.base.get() < self.base.get() + self.size
    }

    /// True when `inner` lies wholly in this range.
    pub const fn contains(&self, inner: &Self) -> bool {
        inner.base.get() >= self.base.get()
            && inner.base.get() + inner.size <= self.base.get() + self.size
    }
}

/// How a mapping is cached and ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKind {
    /// Normal, write-back cacheable, inner shareable, readable, writable and executable by the guest.
    Ram,
    /// Normal memory that the guest may read and write but not execute (channels).
    Shared,
    /// Normal memory that the guest may only read.
    ReadOnly,
    /// Device-nGnRE registers, never executable.
    Device,
    /// Device-nGnRE registers that the guest may only read (fuses, a chip's identity).
    DeviceReadOnly,
}

impl MemoryKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Ram,
        Self::Shared,
        Self::ReadOnly,
        Self::Device,
        Self::DeviceReadOnly,
    ];
}

/// One piece of a partition's stage-2 translation. All three numbers are multiples of [`PAGE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Where the partition sees it.
    pub ipa: Ipa,
    /// Where it is.
    pub pa: Pa,
    /// Length in bytes, never 0.
    pub size: u64,
    /// What it is.
    pub kind: MemoryKind,
}
