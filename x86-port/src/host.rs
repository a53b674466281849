//! The hypervisor's own translation: what it may do with each page of its identity map (AMD APM volume 2, chapter 5). Nothing is both writable
//! and executable.

use hv::memory::format::ADDRESS;
use hv::memory::{Format, Level, Root};
use model::Pa;

/// Format of the tables behind CR3.
pub enum Host {}

/// What the hypervisor does with a piece of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It executes it.
    Code,
    /// It reads it.
    Constants,
    /// It reads and writes it.
    Data,
    /// It reads and writes it, past the caches.
    Uncached,
}

impl Use {
    /// All of them.
    const ALL: [Self; 4] = [Self::Code, Self::Constants, Self::Data, Self::Uncached];
}

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
/// PWT and PCD: entry 3 of the PAT, which is "uncacheable" after reset and stays so.
const UNCACHEABLE: u64 = 0b11 << 3;
/// Set in advance: the CPU then never writes to a table.
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const PAGE_SIZE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;

const fn bits(usage: Use) -> u64 {
    PRESENT
        | ACCESSED
        | DIRTY
        | match usage {
            Use::Code => 0,
            Use::Constants => NO_EXECUTE,
            Use::Data => WRITABLE | NO_EXECUTE,
            Use::Uncached => WRITABLE | UNCACHEABLE | NO_EXECUTE,
        }
}

impl Format for Host {
    type Attributes = Use;
    const ATTRIBUTES: &'static [Use] = &Use::ALL;
    const LARGEST_LEAF: Level = Level::L2;
    const OUTPUT_BITS: u32 = 48;

    fn root(input_bits: u32) -> Option<Root> {
        // The upper half of the 48-bit space is not used: an identity map has no addresses there.
        (input_bits == 47).then_some(Root {
            level: Level::L0,
            pages: 1,
        })
    }

    fn leaf(level: Level, pa: Pa, usage: Use) -> u64 {
        let size = if level == Level::L3 { 0 } else { PAGE_SIZE };
        pa.get() & ADDRESS | bits(usage) | size
    }

    /// A table grants everything; its leaves decide.
    fn table(pa: Pa) -> u64 {
        pa.get() & ADDRESS | PRESENT | WRITABLE | ACCESSED
    }
}

#[cfg(test)]
mod tests {
    use hv::memory::Entry;

    use super::*;

    #[test]
    fn no_use_is_both_writable_and_executable() {
        for usage in Use::ALL {
            let leaf = Host::leaf(Level::L3, Pa::new(0x1000), usage);
            assert!(leaf & WRITABLE == 0 || leaf & NO_EXECUTE != 0, "{usage:?}");
        }
    }

    #[test]
    fn leaf_and_table_decode_to_what_was_encoded() {
        for usage in Use::ALL {
            for level in [Level::L2, Level::L3] {
                let pa = Pa::new(0x4000_0000);
                let decoded = Host::decode(Host::leaf(level, pa, usage), level);
                assert_eq!(decoded, Entry::Leaf(pa, usage));
            }
        }
        let table = Host::decode(Host::table(Pa::new(0x5000)), Level::L1);
        assert_eq!(table, Entry::Table(Pa::new(0x5000)));
    }

    #[test]
    fn gibibyte_leaf_is_reserved() {
        let leaf = Host::leaf(Level::L2, Pa::new(1 << 30), Use::Data);
        assert_eq!(Host::decode(leaf, Level::L1), Entry::Reserved);
    }
}
