//! The builder against two independent judges: a list of intervals, and a table walker written from the Arm ARM's pseudocode that
//! knows nothing of the builder but the root's address and the value of `VTCR_EL2`.

use model::memory::{Mapping, MemoryKind};
use model::{Ipa, Pa};
use proptest::prelude::*;

use super::frames::tests::{pool, word};
use super::stage1::{INPUT_BITS, OwnMemory, Stage1};
use super::stage2::{Stage2, stage2_control};
use super::table::{MapError, Table};
use super::{FramePool, Level, OutOfFrames};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const BASE: u64 = 0x4000_0000;

fn stage2(pages: usize, ipa_bits: u32) -> (FramePool, Table<Stage2>) {
    let mut pool = pool(pages, BASE);
    let table = Table::new(&mut pool, ipa_bits).unwrap();
    (pool, table)
}

/// AArch64.S2Walk of the Arm ARM's pseudocode, reduced to the 4 KiB granule without extensions: output address and the attribute bits
/// of the leaf, or `None` for a fault.
fn arm_walk(pool: &FramePool, vtcr: u64, vttbr: u64, ipa: u64) -> Option<(u64, u64)> {
    let input_bits = 64 - (vtcr & 0x3f);
    if ipa >> input_bits != 0 {
        return None;
    }
    let mut level = 2 - (vtcr >> 6 & 0b11);
    let mut table = vttbr;
    let mut high = input_bits;
    loop {
        let low = 12 + 9 * (3 - level);
        let index = (ipa & ((1 << high) - 1)) >> low;
        let descriptor = word(pool, table + 8 * index);
        match (level, descriptor & 0b11) {
            (3, 0b11) | (1 | 2, 0b01) => {
                let offset = ipa & ((1 << low) - 1);
                assert_ne!(descriptor & 1 << 10, 0, "access flag fault");
                return Some((
                    descriptor & 0xffff_ffff_f000 | offset,
                    descriptor & 0x0060_0000_0000_03fc,
                ));
            }
            (0..=2, 0b11) => table = descriptor & 0xffff_ffff_f000,
            _ => return None,
        }
        high = low;
        level += 1;
    }
}

#[test]
fn aligned_gibibyte_takes_one_level_1_block() {
    let (mut pool, mut table) = stage2(2, 40);

    table
        .map(GIB, Pa::new(3 * GIB), GIB, MemoryKind::Ram, &mut pool)
        .unwrap();

    let found = table.walk(GIB + 0x1234_5678).unwrap();
    assert_eq!(
        (found.pa, found.level),
        (Pa::new(3 * GIB + 0x1234_5678), Level::L1)
    );
    assert_eq!(pool.remaining(), 0);
}

#[test]
fn joint_alignment_of_both_addresses_chooses_the_leaf() {
    let (mut pool, mut table) = stage2(16, 40);

    // Both 2 MiB aligned; then only the input; then neither.
    table
        .map(0, Pa::new(6 * MIB), 2 * MIB, MemoryKind::Ram, &mut pool)
        .unwrap();
    table
        .map(GIB, Pa::new(GIB + MIB), 2 * MIB, MemoryKind::Ram, &mut pool)
        .unwrap();
    table
        .map(
            2 * GIB + MIB,
            Pa::new(GIB),
            2 * MIB,
            MemoryKind::Ram,
            &mut pool,
        )
        .unwrap();

    let levels = [0, GIB, 2 * GIB + MIB].map(|input| table.walk(input).unwrap().level);
    assert_eq!(levels, [Level::L2, Level::L3, Level::L3]);
}

#[test]
fn range_grows_through_pages_and_blocks_and_shrinks_again() {
    let (mut pool, mut table) = stage2(16, 40);
    let start = GIB - 2 * MIB - 4 * KIB;

    table
        .map(
            start,
            Pa::new(start),
            GIB + 4 * MIB + 8 * KIB,
            MemoryKind::Ram,
            &mut pool,
        )
        .unwrap();

    let at = |input| table.walk(input).map(|found| found.level);
    assert_eq!(at(start - 1), None);
    assert_eq!(at(start), Some(Level::L3));
    assert_eq!(at(start + 4 * KIB), Some(Level::L2));
    assert_eq!(at(GIB), Some(Level::L1));
    assert_eq!(at(2 * GIB), Some(Level::L2));
    assert_eq!(at(2 * GIB + 2 * MIB), Some(Level::L3));
    assert_eq!(at(2 * GIB + 2 * MIB + 4 * KIB), None);
}

#[test]
fn last_page_of_the_input_space_is_mapped_and_the_next_refused() {
    for bits in [32, 39, 40, 42, 43, 44, 48] {
        let (mut pool, mut table) = stage2(32, bits);
        let last = (1 << bits) - 4 * KIB;

        table
            .map(
                last,
                Pa::new(0x8000_0000),
                4 * KIB,
                MemoryKind::Ram,
                &mut pool,
            )
            .unwrap();

        assert_eq!(
            table.walk(last + 0xfff).unwrap().pa,
            Pa::new(0x8000_0fff),
            "{bits} bits"
        );
        assert!(table.walk(1 << bits).is_none());
        let past = table.map(1 << bits, Pa::new(0), 4 * KIB, MemoryKind::Ram, &mut pool);
        assert_eq!(past, Err(MapError::InputRange(1 << bits)));
    }
}

#[test]
fn root_of_concatenated_tables_is_aligned_to_its_size() {
    for (bits, size) in [
        (39, 4 * KIB),
        (40, 8 * KIB),
        (41, 16 * KIB),
        (42, 32 * KIB),
        (44, 4 * KIB),
    ] {
        let mut pool = pool(40, BASE + 4 * KIB);
        let table = Table::<Stage2>::new(&mut pool, bits).unwrap();
        assert!(
            table.root().is_aligned(size),
            "{bits} bits: {}",
            table.root()
        );
    }
}

#[test]
fn misaligned_empty_and_wrapping_requests_are_refused() {
    let (mut pool, mut table) = stage2(8, 40);
    let mut map = |input, pa, size| table.map(input, Pa::new(pa), size, MemoryKind::Ram, &mut pool);
    assert_eq!(map(0x1000, 0, 0), Err(MapError::Empty(0x1000)));
    assert_eq!(map(0x1001, 0, 0x1000), Err(MapError::Misaligned(0x1001)));
    assert_eq!(map(0, 0x802, 0x1000), Err(MapError::Misaligned(0x802)));
    assert_eq!(map(0, 0, 0x1800), Err(MapError::Misaligned(0x1800)));
    assert_eq!(
        map(u64::MAX - 0xfff, 0, 0x1000),
        Err(MapError::InputRange(u64::MAX - 0xfff))
    );
    assert_eq!(
        map(0x1000, 0, u64::MAX - 0xfff),
        Err(MapError::InputRange(0x1000))
    );
    assert_eq!(
        map(0, u64::MAX - 0xfff, 0x1000),
        Err(MapError::OutputRange(Pa::new(u64::MAX - 0xfff)))
    );
    assert_eq!(
        map(0, (1 << 48) - 0x1000, 0x2000),
        Err(MapError::OutputRange(Pa::new((1 << 48) - 0x1000)))
    );
}

#[test]
fn overlap_is_refused_at_its_first_address_and_changes_nothing_that_is_mapped() {
    let (mut pool, mut table) = stage2(16, 40);
    table
        .map(
            2 * GIB,
            Pa::new(2 * GIB),
            4 * KIB,
            MemoryKind::Ram,
            &mut pool,
        )
        .unwrap();
    let below = table.map(
        2 * GIB - 8 * KIB,
        Pa::new(0),
        12 * KIB,
        MemoryKind::Ram,
        &mut pool,
    );
    let above = table.map(2 * GIB, Pa::new(0), GIB, MemoryKind::Ram, &mut pool);

    assert_eq!([below, above], [Err(MapError::Overlap(2 * GIB)); 2]);
    let mapped = table.walk(2 * GIB).map(|found| found.pa);
    assert_eq!(mapped, Some(Pa::new(2 * GIB)));
}

#[test]
fn page_inside_a_block_is_an_overlap() {
    let (mut pool, mut table) = stage2(16, 40);
    table
        .map(0, Pa::new(0), GIB, MemoryKind::Ram, &mut pool)
        .unwrap();
    let again = table.map(5 * MIB, Pa::new(0), 4 * KIB, MemoryKind::Ram, &mut pool);
    assert_eq!(again, Err(MapError::Overlap(5 * MIB)));
}

#[test]
fn mapping_that_the_pool_cannot_hold_is_refused() {
    // Two pages for the root, two left; the mapping needs a level 2 and a level 3 table on either side of 1 GiB.
    let (mut pool, mut table) = stage2(4, 40);

    let refused = table.map(
        GIB - 4 * KIB,
        Pa::new(0),
        8 * KIB,
        MemoryKind::Ram,
        &mut pool,
    );

    assert_eq!(refused, Err(MapError::OutOfFrames(OutOfFrames(1))));
    assert!(table.walk(GIB).is_none());
}

#[test]
fn table_refuses_frames_of_another_pool() {
    let (_own, mut table) = stage2(4, 40);
    let mut other = pool(4, BASE);
    let refused = table.map(0, Pa::new(0), 4 * KIB, MemoryKind::Ram, &mut other);
    assert_eq!(refused, Err(MapError::ForeignPool));
}

#[test]
fn width_that_the_format_lacks_is_refused() {
    assert_eq!(
        Table::<Stage2>::new(&mut pool(4, BASE), 49).err(),
        Some(MapError::InputBits(49))
    );
    assert_eq!(
        Table::<Stage1>::new(&mut pool(4, BASE), 40).err(),
        Some(MapError::InputBits(40))
    );
}

#[test]
fn root_that_does_not_fit_is_refused() {
    let refused = Table::<Stage2>::new(&mut pool(7, BASE), 42).err();
    assert_eq!(refused, Some(MapError::OutOfFrames(OutOfFrames(8))));
}

#[test]
fn own_memory_is_mapped_from_level_0_with_its_uses() {
    let mut pool = pool(16, BASE);
    let mut table = Table::<Stage1>::new(&mut pool, INPUT_BITS).unwrap();
    let uses = [
        (0x4020_0000, OwnMemory::Code),
        (0x4021_0000, OwnMemory::Constants),
        (0x4022_0000, OwnMemory::Data),
        (0x0900_0000, OwnMemory::Device),
    ];

    for (address, memory) in uses {
        table
            .map(address, Pa::new(address), 4 * KIB, memory, &mut pool)
            .unwrap();
    }

    let found = uses.map(|(address, _)| {
        table
            .walk(address + 8)
            .map(|t| (t.pa.get() - 8, t.attributes))
    });
    assert_eq!(found, uses.map(Some));
}

/// A mapping whose numbers are likely to meet blocks, neighbours and edges. Large ones keep both addresses jointly aligned, or they
/// would take a quarter of a million pages each.
fn mapping() -> impl Strategy<Value = Mapping> {
    let granule = prop_oneof![Just(4 * KIB), Just(2 * MIB), Just(GIB)];
    let jitter = prop_oneof![3 => Just(0), 1 => 0..4_u64];
    let kind = prop_oneof![
        Just(MemoryKind::Ram),
        Just(MemoryKind::Shared),
        Just(MemoryKind::ReadOnly),
        Just(MemoryKind::Device)
    ];
    (
        granule,
        0..6_u64,
        0..6_u64,
        1..4_u64,
        jitter.clone(),
        jitter,
        kind,
    )
        .prop_map(
            |(granule, ipa, pa, size, ipa_jitter, pa_jitter, kind)| Mapping {
                ipa: Ipa::new(ipa * granule + ipa_jitter * 4 * KIB),
                pa: Pa::new(
                    pa * granule
                        + if granule == GIB {
                            ipa_jitter
                        } else {
                            pa_jitter
                        } * 4
                            * KIB,
                ),
                size: size * granule,
                kind,
            },
        )
}

/// Where `ipa` leads according to a list of mappings.
fn interval_walk(mapped: &[Mapping], ipa: u64) -> Option<(u64, MemoryKind)> {
    mapped
        .iter()
        .find(|m| (m.ipa.get()..m.ipa.get() + m.size).contains(&ipa))
        .map(|m| (m.pa.get() + (ipa - m.ipa.get()), m.kind))
}

/// The attribute bits XN, SH, S2AP and MemAttr as the Arm ARM gives them, spelt out.
fn expected_bits(kind: MemoryKind) -> u64 {
    match kind {
        MemoryKind::Ram => 0x3fc,
        MemoryKind::Shared => 0x0040_0000_0000_03fc,
        MemoryKind::ReadOnly => 0x0040_0000_0000_037c,
        MemoryKind::Device => 0x0040_0000_0000_00c4,
        MemoryKind::DeviceReadOnly => 0x0040_0000_0000_0044,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn walks_agree_with_an_interval_list_and_with_the_arm_walker(
        requests in prop::collection::vec(mapping(), 1..8),
        probes in prop::collection::vec(0..12 * GIB, 16),
        bits in prop_oneof![Just(36_u32), Just(40), Just(42), Just(44), Just(48)],
    ) {
        let (mut pool, mut table) = stage2(24, bits);
        let vtcr = stage2_control(bits, 5).unwrap();
        let mut mapped: Vec<Mapping> = Vec::new();
        // Whoever is refused gives up; what was refused may be there in part.
        let mut refused = None;

        for m in &requests {
            let free = mapped.iter().all(|o| m.ipa.get() + m.size <= o.ipa.get() || o.ipa.get() + o.size <= m.ipa.get());
            match table.map(m.ipa.get(), m.pa, m.size, m.kind, &mut pool) {
                Ok(()) => {
                    prop_assert!(free);
                    mapped.push(*m);
                    continue;
                }
                Err(MapError::Overlap(at)) => {
                    prop_assert!(!free);
                    prop_assert!((m.ipa.get()..m.ipa.get() + m.size).contains(&at));
                }
                Err(MapError::OutOfFrames(_)) => {}
                Err(other) => prop_assert!(false, "{other:?}"),
            }
            refused = Some(*m);
            break;
        }

        let edges = requests.iter().flat_map(|m| {
            let (start, end) = (m.ipa.get(), m.ipa.get() + m.size);
            [start.wrapping_sub(1), start, end - 1, end]
        });
        for ipa in probes.iter().copied().chain(edges) {
            let expected = interval_walk(&mapped, ipa);
            if expected.is_none() && refused.is_some_and(|m| interval_walk(&[m], ipa).is_some()) {
                continue;
            }
            prop_assert_eq!(table.walk(ipa).map(|t| (t.pa.get(), t.attributes)), expected);
            let walked = arm_walk(&pool, vtcr, table.root().get(), ipa);
            prop_assert_eq!(walked, expected.map(|(pa, kind)| (pa, expected_bits(kind))));
        }
    }
}
