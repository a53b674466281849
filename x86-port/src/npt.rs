//! AMD's nested page tables (AMD APM volume 2, section 15.25): the long-mode page-table format, walked for guest-physical addresses.
//!
//! Leaves are 4 KiB and 2 MiB. Every CPU with nested paging has these; 1 GiB is an option of its own.

use hv::memory::format::ADDRESS;
use hv::memory::{Format, Level, Root};
use model::Pa;
use model::memory::MemoryKind;

use crate::nested;

/// Format of the tables behind the VMCB's nCR3.
pub enum Npt {}

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
/// The nested walk counts every access as a user's (15.25.5).
const USER: u64 = 1 << 2;
/// PWT and PCD: entry 3 of the host's PAT, which is "uncacheable" after reset and stays so.
const UNCACHEABLE: u64 = 0b11 << 3;
/// Set in advance, so that the CPU never writes to a table: it would otherwise on first access and first write.
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const NO_EXECUTE: u64 = 1 << 63;

/// The attribute bits of a memory kind.
const fn attributes(kind: MemoryKind) -> u64 {
    let bits = match kind {
        MemoryKind::Ram => WRITABLE,
        MemoryKind::Shared => WRITABLE | NO_EXECUTE,
        MemoryKind::ReadOnly => NO_EXECUTE,
        MemoryKind::Device => WRITABLE | UNCACHEABLE | NO_EXECUTE,
        MemoryKind::DeviceReadOnly => UNCACHEABLE | NO_EXECUTE,
    };
    bits | PRESENT | USER | ACCESSED | DIRTY
}

impl Format for Npt {
    type Attributes = MemoryKind;
    const ATTRIBUTES: &'static [MemoryKind] = &MemoryKind::ALL;
    const LARGEST_LEAF: Level = Level::L2;
    const OUTPUT_BITS: u32 = 48;

    /// Always four levels: the depth is that of the host's own paging mode.
    fn root(input_bits: u32) -> Option<Root> {
        nested::root(input_bits)
    }

    fn leaf(level: Level, pa: Pa, kind: MemoryKind) -> u64 {
        // In a 4 KiB leaf that bit would select the upper half of the PAT.
        pa.get() & ADDRESS | attributes(kind) | nested::ends_at(level)
    }

    /// Permissions of all levels are combined, so a table grants everything and its leaves decide.
    fn table(pa: Pa) -> u64 {
        pa.get() & ADDRESS | PRESENT | WRITABLE | USER | ACCESSED
    }
}

#[cfg(test)]
mod tests {
    use hv::memory::Entry;

    use super::*;

    #[test]
    fn ram_page_is_writable_executable_and_the_users() {
        assert_eq!(
            Npt::leaf(Level::L3, Pa::new(0x1234_5000), MemoryKind::Ram),
            0x1234_5067
        );
    }

    #[test]
    fn device_block_is_uncacheable_and_never_executable() {
        let descriptor = Npt::leaf(Level::L2, Pa::new(0xfee0_0000), MemoryKind::Device);
        assert_eq!(descriptor, 0x8000_0000_fee0_00ff);
    }

    #[test]
    fn tables_are_built_and_read_as_those_of_both_vendors() {
        nested::tests::decodes_what_it_encodes::<Npt>();
        nested::tests::builds_large_mappings::<Npt>();
        nested::tests::has_48_bits_alone::<Npt>();
    }

    #[test]
    fn one_gibibyte_leaf_and_large_pages_in_the_last_level_are_reserved() {
        assert_eq!(Npt::decode(0xe7, Level::L1), Entry::Reserved);
        assert_eq!(Npt::decode(0xe7, Level::L3), Entry::Reserved);
    }

    #[test]
    fn four_kinds_side_by_side_keep_their_kinds() {
        let (mut pool, mut table) = nested::tests::table::<Npt>();
        for (n, kind) in (0..).zip(MemoryKind::ALL) {
            table
                .map(n * 4096, Pa::new((7 - n) * 4096), 4096, kind, &mut pool)
                .unwrap();
        }
        let found = [0, 1, 2, 3].map(|n| table.walk(n * 4096).map(|t| (t.pa.get(), t.attributes)));
        let expected = [0, 1, 2, 3].map(|n| Some(((7 - n) * 4096, MemoryKind::ALL[n as usize])));
        assert_eq!(found, expected);
    }
}
