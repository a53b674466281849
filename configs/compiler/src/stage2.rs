//! How many pages a partition's stage-2 tables need, and how wide its address space is.

use std::collections::BTreeSet;

use model::memory::PAGE;

use crate::range::AddressRange;

/// Blocks of level 1 and level 2 with 4 KiB granules (Arm ARM, D8.2): 1 GiB and 2 MiB.
const LEVEL1: u32 = 30;
const LEVEL2: u32 = 21;
/// What one entry of level 0 covers.
const LEVEL0: u32 = 39;

/// A mapping, reduced to what decides about its blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub ipa: u64,
    pub pa: u64,
    pub size: u64,
}

/// The width that covers every IPA below `end`: at least 32 bits. `None` beyond 48.
pub(crate) fn address_bits(end: u64) -> Option<u8> {
    let bits = 64 - end.saturating_sub(1).leading_zeros();
    (bits <= 48).then_some(bits.max(32) as u8)
}

/// Exactly the pages that a table for these mappings has, root included.
///
/// Every mapping is cut into the largest blocks that its IPA, its PA and what is left of it allow; a table exists for each
/// region that is not mapped by one block. The hypervisor's builder follows the same rule, so there is no margin.
pub(crate) fn pages(extents: &[Extent], ipa_bits: u8) -> usize {
    let mut level1 = BTreeSet::new();
    let mut level2 = BTreeSet::new();
    let mut level3 = BTreeSet::new();
    for extent in extents {
        let mut done = 0;
        while done < extent.size {
            let (ipa, pa, left) = (extent.ipa + done, extent.pa + done, extent.size - done);
            let fits = |shift: u32| (ipa | pa) & ((1 << shift) - 1) == 0 && left >= 1 << shift;
            level1.insert(ipa >> LEVEL0);
            if fits(LEVEL1) {
                done += 1 << LEVEL1;
                continue;
            }
            level2.insert(ipa >> LEVEL1);
            if fits(LEVEL2) {
                done += 1 << LEVEL2;
                continue;
            }
            level3.insert(ipa >> LEVEL2);
            // Pages up to the end of this 2 MiB region or of the mapping.
            let region = AddressRange::new(ipa & !((1 << LEVEL2) - 1), 1 << LEVEL2);
            done += region.map_or(PAGE, |region| region.end() - ipa).min(left);
        }
    }
    root_pages(ipa_bits, level1.len()) + level2.len() + level3.len()
}

/// Pages of the root and, below a level-0 root, of level 1. Up to 42 bits, tables of level 1 are concatenated instead of a level 0
/// (Arm ARM, D8.2.5, at most 16 tables).
fn root_pages(ipa_bits: u8, level1_tables: usize) -> usize {
    match ipa_bits {
        0..=39 => 1,
        40..=42 => 1 << (ipa_bits - 39),
        _ => 1 + level1_tables,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    fn extent(ipa: u64, pa: u64, size: u64) -> Extent {
        Extent { ipa, pa, size }
    }

    #[test]
    fn width_covers_the_last_byte_and_is_at_least_32() {
        assert_eq!(address_bits(0x5000_0000), Some(32));
        assert_eq!(address_bits(1 << 32), Some(32));
        assert_eq!(address_bits((1 << 32) + 1), Some(33));
        assert_eq!(address_bits(1 << 48), Some(48));
        assert_eq!(address_bits((1 << 48) + 1), None);
    }

    #[test]
    fn aligned_gibibytes_need_only_the_root() {
        assert_eq!(pages(&[extent(GIB, 2 * GIB, 2 * GIB)], 32), 1);
    }

    #[test]
    fn two_mebibyte_blocks_need_one_table() {
        assert_eq!(pages(&[extent(GIB, GIB + 64 * MIB, 256 * MIB)], 32), 2);
    }

    #[test]
    fn device_pages_beside_memory_share_no_table() {
        // Root; level 2 for 0..1 GiB and for 1..2 GiB; level 3 for the page.
        assert_eq!(
            pages(
                &[
                    extent(0x801_0000, 0x804_0000, 0x2000),
                    extent(GIB, GIB, 16 * MIB)
                ],
                32
            ),
            4
        );
    }

    #[test]
    fn misaligned_mapping_needs_a_table_for_each_two_mebibytes() {
        assert_eq!(pages(&[extent(GIB, GIB + PAGE, 4 * MIB)], 32), 1 + 1 + 2);
    }

    #[test]
    fn wide_space_concatenates_and_then_adds_a_level() {
        let low = extent(0, GIB, GIB);
        assert_eq!(pages(&[low], 40), 2);
        assert_eq!(pages(&[low], 42), 8);
        assert_eq!(pages(&[low, extent(1 << 40, 1 << 40, GIB)], 44), 1 + 2);
    }
}
