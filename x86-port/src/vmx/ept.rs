//! Intel's extended page tables (Intel SDM volume 3, 29.3.2): four levels, walked for guest-physical addresses.
//!
//! Leaves are 4 KiB and 2 MiB; [`controls`](super::controls) refuses a CPU that lacks the latter.

use hv::memory::format::ADDRESS;
use hv::memory::{Format, Level, Root};
use model::Pa;
use model::memory::MemoryKind;

use crate::nested;

/// Format of the tables behind the extended page table pointer.
pub enum Ept {}

const READ: u64 = 1 << 0;
const WRITE: u64 = 1 << 1;
const EXECUTE: u64 = 1 << 2;
/// Memory type "write-back", with which the guest's PAT is combined; 0 is "uncacheable".
const WRITE_BACK: u64 = 6 << 3;

/// The attribute bits of a memory kind.
const fn attributes(kind: MemoryKind) -> u64 {
    match kind {
        MemoryKind::Ram => READ | WRITE | EXECUTE | WRITE_BACK,
        MemoryKind::Shared => READ | WRITE | WRITE_BACK,
        MemoryKind::ReadOnly => READ | WRITE_BACK,
        MemoryKind::Device => READ | WRITE,
        MemoryKind::DeviceReadOnly => READ,
    }
}

/// The pointer to tables with this root: they lie in write-back memory and have four levels (25.6.11).
pub const fn pointer(root: Pa) -> u64 {
    root.get() & ADDRESS | 6 | 3 << 3
}

impl Format for Ept {
    type Attributes = MemoryKind;
    const ATTRIBUTES: &'static [MemoryKind] = &MemoryKind::ALL;
    const LARGEST_LEAF: Level = Level::L2;
    const OUTPUT_BITS: u32 = 48;

    fn root(input_bits: u32) -> Option<Root> {
        nested::root(input_bits)
    }

    fn leaf(level: Level, pa: Pa, kind: MemoryKind) -> u64 {
        pa.get() & ADDRESS | attributes(kind) | nested::ends_at(level)
    }

    /// Permissions of all levels are combined, so a table grants everything and its leaves decide.
    fn table(pa: Pa) -> u64 {
        pa.get() & ADDRESS | READ | WRITE | EXECUTE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_have_the_bits_of_the_manual() {
        let at = Pa::new(0x4000_0000);
        for (level, kind, bits) in [
            (Level::L3, MemoryKind::Ram, 0x37),
            (Level::L2, MemoryKind::Ram, 0xb7),
            (Level::L3, MemoryKind::Shared, 0x33),
            (Level::L3, MemoryKind::ReadOnly, 0x31),
            (Level::L2, MemoryKind::Device, 0x83),
            (Level::L3, MemoryKind::DeviceReadOnly, 0x01),
        ] {
            assert_eq!(Ept::leaf(level, at, kind), at.get() | bits, "{kind:?}");
        }
        assert_eq!(pointer(Pa::new(0x5000)), 0x501e);
    }

    #[test]
    fn tables_are_built_and_read_as_those_of_both_vendors() {
        nested::tests::decodes_what_it_encodes::<Ept>();
        nested::tests::builds_large_mappings::<Ept>();
        nested::tests::has_48_bits_alone::<Ept>();
    }
}
