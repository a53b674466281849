//! Intel's extended page tables (Intel SDM volume 3, 29.3.2): four levels, walked for guest-physical addresses.
//!
//! Leaves are 4 KiB and 2 MiB; [`controls`](super::controls) refuses a CPU that lacks the latter.

use hv::memory::format::ADDRESS;
use hv::memory::{Format, Level, Root};
use model::Pa;
use model::memory::MemoryKind;

/// Format of the tables behind the extended page table pointer.
pub enum Ept {}

const READ: u64 = 1 << 0;
const WRITE: u64 = 1 << 1;
const EXECUTE: u64 = 1 << 2;
/// Memory type "write-back", with which the guest's PAT is combined; 0 is "uncacheable".
const WRITE_BACK: u64 = 6 << 3;
/// A leaf rather than a table, above the last level.
const PAGE_SIZE: u64 = 1 << 7;

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
        (input_bits == 48).then_some(Root {
            level: Level::L0,
            pages: 1,
        })
    }

    fn leaf(level: Level, pa: Pa, kind: MemoryKind) -> u64 {
        let size = if level == Level::L3 { 0 } else { PAGE_SIZE };
        pa.get() & ADDRESS | attributes(kind) | size
    }

    /// Permissions of all levels are combined, so a table grants everything and its leaves decide.
    fn table(pa: Pa) -> u64 {
        pa.get() & ADDRESS | READ | WRITE | EXECUTE
    }
}

#[cfg(test)]
mod tests {
    use hv::memory::{Entry, FramePool, Page, Table};

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
    fn every_leaf_and_table_decodes_to_what_was_encoded() {
        for kind in MemoryKind::ALL {
            for level in [Level::L2, Level::L3] {
                let pa = Pa::new(0x4000_0000);
                let found = Ept::decode(Ept::leaf(level, pa, kind), level);
                assert_eq!(found, Entry::Leaf(pa, kind));
            }
        }
        let table = Ept::decode(Ept::table(Pa::new(0x5000)), Level::L1);
        assert_eq!(table, Entry::Table(Pa::new(0x5000)));
    }

    #[test]
    fn large_mapping_is_built_of_2_mib_leaves_and_walks_to_its_place() {
        const MIB: u64 = 1 << 20;
        let pages: Vec<Page> = (0..16).map(|_| Page::zeroed()).collect();
        let pages = Box::leak(pages.into_boxed_slice());
        let mut pool = FramePool::new(pages, Pa::new(0x10_0000)).unwrap();
        let mut table = Table::<Ept>::new(&mut pool, 48).unwrap();
        table
            .map(0, Pa::new(1 << 30), 64 * MIB, MemoryKind::Ram, &mut pool)
            .unwrap();
        let found = table.walk(63 * MIB + 5).unwrap();
        let expected = ((1 << 30) + 63 * MIB + 5, Level::L2);
        assert_eq!((found.pa.get(), found.level), expected);
        assert!(table.walk(64 * MIB).is_none());
    }
}
