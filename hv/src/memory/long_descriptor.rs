//! VMSAv8-32 stage 1 with long descriptors (Arm ARM G5.5), for IOMMUs that cannot walk the CPU's stage-2 tables: the Renesas IPMMU of some
//! chips, as Linux' driver for it has it (drivers/iommu/ipmmu-vmsa.c, io-pgtable-arm.c with IO_PGTABLE_QUIRK_ARM_NS).
//!
//! A stage-2 descriptor means something else here. Bits 7:6, "may be written, may be read" there, are "only to be read, for the
//! unprivileged too" here: memory that is only to be read would become writable, and the other way round. So these tables are built apart.

use model::Pa;
use model::memory::{Mapping, MemoryKind};

use super::format::{Format, Level, Root};
use super::frames::FramePool;
use super::table::{MapError, Table};

/// Format of the tables that are built for such IOMMUs.
pub enum LongDescriptor {}

/// Width of the addresses that these tables translate.
const INPUT_BITS: u32 = 32;

/// Builds a table of what lies in the lowest 4 GiB of these mappings; nothing beyond is reached. Returns its root.
///
/// # Errors
/// [`MapError`] as for any table.
pub fn build(mappings: &[Mapping], pool: &mut FramePool) -> Result<Pa, MapError> {
    let mut table = Table::<LongDescriptor>::new(pool, INPUT_BITS)?;
    for mapping in mappings {
        let room = (1_u64 << INPUT_BITS).saturating_sub(mapping.ipa.get());
        let size = mapping.size.min(room);
        if size > 0 {
            table.map(mapping.ipa.get(), mapping.pa, size, mapping.kind, pool)?;
        }
    }
    Ok(table.root())
}

const VALID: u64 = 1 << 0;
/// At levels 1 and 2 a table rather than a block; at level 3 set in every page.
const TABLE_OR_PAGE: u64 = 1 << 1;
/// AttrIndx, bits 4:2: the type of memory in a register of the IOMMU. 0 is Normal and not cacheable, 1 is Device-nGnRE.
const DEVICE: u64 = 1 << 2;
/// NS: the IPMMU takes what lacks it for Secure memory, and refuses it, in tables as well as in leaves.
const NON_SECURE: u64 = 1 << 5;
const TABLE_NON_SECURE: u64 = 1 << 63;
/// AP[1]: for unprivileged accesses, too.
const UNPRIVILEGED: u64 = 1 << 6;
/// AP[2]: only to be read.
const READ_ONLY: u64 = 1 << 7;
/// SH: what is not cacheable is outer shareable.
const OUTER_SHAREABLE: u64 = 0b10 << 8;
/// AF: set, or the first access would fault.
const ACCESSED: u64 = 1 << 10;
/// nG: for one address space.
const NOT_GLOBAL: u64 = 1 << 11;
/// XN.
const EXECUTE_NEVER: u64 = 1 << 54;
/// Bits 39:12.
const ADDRESS: u64 = 0x00ff_ffff_f000;

const fn attributes(kind: MemoryKind) -> u64 {
    let bits = match kind {
        MemoryKind::Ram => 0,
        MemoryKind::Shared => EXECUTE_NEVER,
        MemoryKind::ReadOnly => EXECUTE_NEVER | READ_ONLY,
        MemoryKind::Device => EXECUTE_NEVER | DEVICE,
        MemoryKind::DeviceReadOnly => EXECUTE_NEVER | DEVICE | READ_ONLY,
    };
    bits | NON_SECURE | UNPRIVILEGED | OUTER_SHAREABLE | ACCESSED | NOT_GLOBAL
}

impl Format for LongDescriptor {
    type Attributes = MemoryKind;
    const ATTRIBUTES: &'static [MemoryKind] = &MemoryKind::ALL;
    const ADDRESS: u64 = ADDRESS;
    const LARGEST_LEAF: Level = Level::L1;
    const OUTPUT_BITS: u32 = 40;

    /// 32 bits: a level 1 of four entries, which takes a page all the same.
    fn root(input_bits: u32) -> Option<Root> {
        (input_bits == INPUT_BITS).then_some(Root {
            level: Level::L1,
            pages: 1,
        })
    }

    fn leaf(level: Level, pa: Pa, kind: MemoryKind) -> u64 {
        let page = if level == Level::L3 { TABLE_OR_PAGE } else { 0 };
        pa.get() & ADDRESS | attributes(kind) | page | VALID
    }

    fn table(pa: Pa) -> u64 {
        pa.get() & ADDRESS | TABLE_NON_SECURE | TABLE_OR_PAGE | VALID
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Entry;
    use crate::memory::frames::tests::{pool, word};
    use crate::memory::stage2::Stage2;
    use model::Ipa;

    #[test]
    fn leaves_are_encoded_as_in_the_manual() {
        let pa = Pa::new(0x7_4020_0000);
        let page = |kind| LongDescriptor::leaf(Level::L3, pa, kind);
        assert_eq!(page(MemoryKind::Ram), 0x7_4020_0e63);
        assert_eq!(page(MemoryKind::Shared), 0x0040_0007_4020_0e63);
        assert_eq!(page(MemoryKind::ReadOnly), 0x0040_0007_4020_0ee3);
        assert_eq!(page(MemoryKind::Device), 0x0040_0007_4020_0e67);
        assert_eq!(page(MemoryKind::DeviceReadOnly), 0x0040_0007_4020_0ee7);
        let block = LongDescriptor::leaf(Level::L2, pa, MemoryKind::Ram);
        assert_eq!(block, 0x7_4020_0e61);
        assert_eq!(
            LongDescriptor::table(Pa::new(0x1000)),
            0x8000_0000_0000_1003
        );
    }

    #[test]
    fn every_leaf_decodes_to_what_was_encoded() {
        for level in [Level::L1, Level::L2, Level::L3] {
            for kind in MemoryKind::ALL {
                let pa = Pa::new(0x8000_0000);
                let descriptor = LongDescriptor::leaf(level, pa, kind);
                let decoded = LongDescriptor::decode(descriptor, level);
                assert_eq!(decoded, Entry::Leaf(pa, kind));
            }
        }
    }

    #[test]
    fn table_is_one_above_level_3_and_only_when_it_is_non_secure() {
        let descriptor = LongDescriptor::table(Pa::new(0x1234_5000));
        let decode = LongDescriptor::decode;
        for level in [Level::L1, Level::L2] {
            let table = Entry::Table(Pa::new(0x1234_5000));
            assert_eq!(decode(descriptor, level), table);
            assert_eq!(decode(descriptor & !(1 << 63), level), Entry::Reserved);
        }
        assert_eq!(decode(descriptor, Level::L3), Entry::Reserved);
        assert_eq!(decode(0, Level::L1), Entry::Empty);
    }

    #[test]
    fn descriptors_of_the_cpus_stage_2_are_none_of_this_format() {
        for level in [Level::L1, Level::L2, Level::L3] {
            for kind in MemoryKind::ALL {
                let descriptor = Stage2::leaf(level, Pa::new(0x8000_0000), kind);
                let decoded = LongDescriptor::decode(descriptor, level);
                assert_eq!(decoded, Entry::Reserved);
            }
        }
    }

    #[test]
    fn table_has_what_lies_below_4_gib_and_nothing_else() {
        let mapping = |ipa, pa, size, kind| Mapping {
            ipa: Ipa::new(ipa),
            pa: Pa::new(pa),
            size,
            kind,
        };
        let mappings = [
            mapping(0x1000, 0x5_0000_1000, 0x1000, MemoryKind::ReadOnly),
            mapping(
                0xffe0_0000,
                0x5_4000_0000,
                0x20_0000 + 0x1000,
                MemoryKind::Ram,
            ),
            mapping(0x1_4000_0000, 0x6_0000_0000, 0x1000, MemoryKind::Ram),
        ];
        // A root, a table of level 2 and of level 3 for the page; a table of level 2 for the block.
        let mut pool = pool(4, 0x4000_0000);
        let root = build(&mappings, &mut pool).unwrap().get();
        assert_eq!(pool.remaining(), 0);
        let next = |table: u64, index: u64| word(&pool, table + 8 * index) & ADDRESS;
        let page = word(&pool, next(next(root, 0), 0) + 8);
        assert_eq!(page, 0x0040_0005_0000_1ee3);
        let block = word(&pool, next(root, 3) + 8 * 511);
        assert_eq!(block, 0x5_4000_0e61);
        let entries = (0..512).filter(|index| word(&pool, root + 8 * index) != 0);
        assert_eq!(entries.collect::<Vec<_>>(), [0, 3]);
    }

    #[test]
    fn table_for_which_there_are_too_few_frames_is_refused() {
        let mapping = Mapping {
            ipa: Ipa::new(0x1000),
            pa: Pa::new(0x1000),
            size: 0x1000,
            kind: MemoryKind::Ram,
        };
        assert!(build(&[mapping], &mut pool(3, 0x4000_0000)).is_ok());
        assert!(build(&[mapping], &mut pool(2, 0x4000_0000)).is_err());
    }

    #[test]
    fn there_are_32_bits_of_input_and_no_others() {
        let pages = |bits| LongDescriptor::root(bits).map(|root| root.pages);
        assert_eq!([31, 32, 33, 40].map(pages), [None, Some(1), None, None]);
    }
}
