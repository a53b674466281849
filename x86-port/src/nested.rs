//! What the nested page tables of both vendors have in common: four levels, leaves of 4 KiB and 2 MiB, permissions that all levels must grant.

use hv::memory::{Level, Root};

/// A leaf rather than a table, above the last level.
const LARGE: u64 = 1 << 7;

/// The root for guest-physical addresses of `input_bits`, of which there are always 48.
pub fn root(input_bits: u32) -> Option<Root> {
    (input_bits == 48).then_some(Root {
        level: Level::L0,
        pages: 1,
    })
}

/// What an entry has that ends a walk at `level`.
pub fn ends_at(level: Level) -> u64 {
    if level == Level::L3 { 0 } else { LARGE }
}

#[cfg(test)]
pub(crate) mod tests {
    use hv::memory::{Entry, Format, FramePool, MapError, Page, Table};
    use model::Pa;
    use model::memory::MemoryKind;

    use super::*;

    const MIB: u64 = 1 << 20;

    /// Tables with nothing mapped.
    pub fn table<F: Format>() -> (FramePool, Table<F>) {
        let pages: Vec<Page> = (0..16).map(|_| Page::zeroed()).collect();
        let pages = Box::leak(pages.into_boxed_slice());
        let mut pool = FramePool::new(pages, Pa::new(0x10_0000)).unwrap();
        let table = Table::new(&mut pool, 48).unwrap();
        (pool, table)
    }

    /// Every leaf and table decodes to what was encoded.
    pub fn decodes_what_it_encodes<F: Format<Attributes = MemoryKind>>() {
        for kind in MemoryKind::ALL {
            for level in [Level::L2, Level::L3] {
                let pa = Pa::new(0x4000_0000);
                let found = F::decode(F::leaf(level, pa, kind), level);
                assert_eq!(found, Entry::Leaf(pa, kind));
            }
        }
        let table = F::decode(F::table(Pa::new(0x5000)), Level::L1);
        assert_eq!(table, Entry::Table(Pa::new(0x5000)));
        assert_eq!(F::decode(0, Level::L0), Entry::Empty);
    }

    /// A large mapping is built of 2 MiB leaves and walks to its place.
    pub fn builds_large_mappings<F: Format<Attributes = MemoryKind>>() {
        let (mut pool, mut table) = table::<F>();
        table
            .map(0, Pa::new(1 << 30), 64 * MIB, MemoryKind::Ram, &mut pool)
            .unwrap();
        let found = table.walk(63 * MIB + 5).unwrap();
        let expected = ((1 << 30) + 63 * MIB + 5, Level::L2);
        assert_eq!((found.pa.get(), found.level), expected);
        assert!(table.walk(64 * MIB).is_none());
    }

    /// No other width of addresses is taken.
    pub fn has_48_bits_alone<F: Format>() {
        let (mut pool, _table) = table::<F>();
        let refused = Table::<F>::new(&mut pool, 40).err();
        assert_eq!(refused, Some(MapError::InputBits(40)));
    }
}
