//! Images of partitions that do not lie in the payload: files that the boot loader puts into memory.

use crate::memory::PhysicalRange;

/// The file of a partition. Nobody is given the memory where it lies: the hypervisor reads it at each start of the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it lies: whole pages.
    pub place: PhysicalRange,
    /// SHA-256 of these bytes (FIPS 180-4).
    pub sha256: [u8; 32],
}

/// Offsets of segments from here on are no offsets in the payload but, with this bit cleared, addresses in physical memory, which ends below.
pub const OFFSETS: u64 = 1 << 63;

/// The physical address at an offset, unless it is one in the payload.
pub const fn address(offset: u64) -> Option<u64> {
    if offset & OFFSETS == 0 {
        None
    } else {
        Some(offset & !OFFSETS)
    }
}
