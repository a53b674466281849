//! The IOMMUs that the image drives, and whose streams each lets through.

pub(crate) mod ipmmu;

use std::collections::BTreeSet;

use model::ids::{IntId, PartitionId, StreamId};
use model::iommu::{IommuKind as Driver, Streams};

use crate::board::{Board, Iommu};
use crate::devicetree::Tree;
use crate::devicetree::streams::{Ids, IommuKind, Stream};
use crate::range::AddressRange;
use crate::system::System;

/// Registers of an SMMUv3: two pages of 64 KiB (Arm IHI 0070, 6.1).
const SMMUV3_REGISTERS: u64 = 0x2_0000;
/// Least and most registers of an SMMUv2: two halves of at least 2 pages of 4 KiB, and at most 256 of 64 KiB (Arm IHI 0062, 8.1).
const SMMUV2_REGISTERS: std::ops::RangeInclusive<u64> = 0x4000..=0x200_0000;
/// What one table of the hypervisor's own map covers.
const BLOCK: u64 = 2 << 20;
/// Widest stream number that the image's SMMUv3 driver has tables for.
const MOST_STREAM_BITS: u32 = 20;
/// Widest stream number that an SMMUv2 has (Arm IHI 0062, SMMU_IDR0.EXIDS).
const SMMUV2_STREAM_BITS: u32 = 16;

/// An IOMMU that the image drives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Driven {
    pub path: String,
    pub kind: Driver,
    pub registers: AddressRange,
    /// Registers of the caches of an IPMMU, in the order of their numbers.
    pub instances: Vec<AddressRange>,
    /// It reads translation tables through the CPUs' caches.
    pub coherent: bool,
    /// Those of faults and errors, sorted.
    pub interrupts: Vec<IntId>,
    /// Sorted by the first stream, without overlap.
    pub owned: Vec<Owned>,
}

/// Streams and their owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owned {
    pub streams: Streams,
    pub partition: PartitionId,
    /// Path of the device that makes them.
    pub device: String,
}

/// The driver for an IOMMU and the registers that it uses; `None` when the image cannot drive it.
pub(crate) fn drivable(tree: &Tree, iommu: &Iommu) -> Option<(Driver, AddressRange)> {
    let registers = iommu.registers.first().filter(|_| iommu.enabled)?;
    match iommu.kind {
        IommuKind::SmmuV3 => {
            // arm,smmu-v3.yaml.
            let (kind, size) = match tree.has(iommu.node, "cavium,cn9900-broken-page1-regspace") {
                true => (Driver::SmmuV3OnePage, SMMUV3_REGISTERS / 2),
                false => (Driver::SmmuV3, SMMUV3_REGISTERS),
            };
            let fits = registers.size >= size && registers.base.is_multiple_of(0x1_0000);
            let base = registers.base;
            fits.then_some((kind, AddressRange { base, size }))
        }
        IommuKind::SmmuV2 => {
            let is_one = |kind: &Driver| tree.is_compatible(iommu.node, kind.compatible());
            let kind = [Driver::Mmu500, Driver::SmmuV2].into_iter().find(is_one)?;
            // The hypervisor's map has room for one table of pages, or for whole blocks.
            let unit = registers.size.min(BLOCK);
            let fits = SMMUV2_REGISTERS.contains(&registers.size)
                && registers.size.is_power_of_two()
                && registers.base.is_multiple_of(unit);
            fits.then_some((kind, *registers))
        }
        // Several nodes are one of them: see `ipmmu`.
        IommuKind::Ipmmu | IommuKind::Unknown => None,
    }
}

/// Why the image cannot drive the IOMMU of a stream: nothing, or what is the matter.
///
/// # Errors
/// More than that is not known when the text is empty.
pub(crate) fn drives(board: &Board, stream: &Stream) -> Result<(), String> {
    match board.iommu(stream.iommu) {
        Some(iommu) if iommu.kind == IommuKind::Ipmmu => ipmmu::drives(board, iommu, stream.ids),
        Some(iommu) if drivable(&board.tree, iommu).is_some() => Ok(()),
        _ => Err(String::new()),
    }
}

/// True when the image's driver can confine such streams.
pub(crate) fn confinable(iommu: &Iommu, ids: Ids) -> bool {
    match iommu.kind {
        IommuKind::SmmuV3 => {
            matches!(ids, Ids::Range { .. }) && ids.last() >> MOST_STREAM_BITS == 0
        }
        IommuKind::SmmuV2 => ids.last() >> SMMUV2_STREAM_BITS == 0,
        // `drives` has looked at the number.
        IommuKind::Ipmmu => true,
        IommuKind::Unknown => false,
    }
}

/// True when an IOMMU that compares by masks cannot tell these streams apart: each has numbers that the other has not, and some are in
/// both. Ranges are cut instead.
pub(crate) fn entangled(one: Ids, other: Ids) -> bool {
    let ranges = matches!((one, other), (Ids::Range { .. }, Ids::Range { .. }));
    !ranges && one.overlaps(other) && !one.covers(other) && !other.covers(one)
}

/// The IOMMUs that the image of a system drives: all that it can, whether partitions have streams there or not. What firmware left open is
/// closed.
pub(crate) fn driven(system: &System) -> Vec<Driven> {
    let board: &Board = &system.board;
    let found = board.iommus.iter().filter_map(|iommu| {
        let (kind, registers) = drivable(&board.tree, iommu)?;
        let owned = owned(system, iommu);
        Some(Driven {
            path: iommu.path.clone(),
            kind,
            registers,
            instances: Vec::new(),
            coherent: iommu.coherent,
            interrupts: interrupts(iommu, partitions(&owned)),
            owned,
        })
    });
    found.chain(ipmmu::driven(system)).collect()
}

/// How many partitions own streams.
fn partitions(owned: &[Owned]) -> usize {
    let all: BTreeSet<PartitionId> = owned.iter().map(|one| one.partition).collect();
    all.len()
}

/// The interrupts for faults and errors.
fn interrupts(iommu: &Iommu, partitions: usize) -> Vec<IntId> {
    let wanted = |index: usize| match iommu.kind {
        // The driver uses one context bank for each partition, from the first on.
        IommuKind::SmmuV2 => iommu
            .global_interrupts
            .is_none_or(|global| index < (global as usize).saturating_add(partitions)),
        // Those with these names, or all where one is for everything or none is named.
        _ => {
            let name = iommu.interrupt_names.get(index);
            name.is_none_or(|name| ["eventq", "gerror", "combined"].contains(&name.as_str()))
        }
    };
    let all = iommu.interrupts.iter().enumerate();
    let mut found: Vec<IntId> = all
        .filter(|(index, one)| wanted(*index) && one.intid.is_spi())
        .map(|(_, one)| one.intid)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn owned(system: &System, iommu: &Iommu) -> Vec<Owned> {
    let mut found = Vec::new();
    for (index, partition) in (0..).zip(&system.partitions) {
        // What is only read is never told to do DMA.
        for device in partition.devices.iter().filter(|device| !device.read_only) {
            let streams = device.streams.iter().filter(|one| one.iommu == iommu.node);
            found.extend(streams.map(|stream| (stream.ids, PartitionId::new(index), &device.path)));
        }
    }
    // The widest first: what it covers need not be there again.
    found.sort_by_key(|(ids, ..)| (ids.first(), u32::MAX - ids.last()));
    let all: Vec<Ids> = found.iter().map(|(ids, ..)| *ids).collect();
    let covered = |at: usize, ids: Ids| {
        let masked = |one: Ids| matches!(one, Ids::Masked { .. });
        let mut others = all.iter().enumerate().filter(|(other, _)| *other != at);
        others.any(|(other, one)| {
            (masked(*one) || masked(ids)) && one.covers(ids) && (!ids.covers(*one) || other < at)
        })
    };
    let apart = found.iter().enumerate();
    let apart = apart.filter(|(at, (ids, ..))| !covered(*at, *ids));
    let owned = apart.map(|(_, (ids, partition, device))| Owned {
        streams: streams(*ids),
        partition: *partition,
        device: (*device).clone(),
    });
    cut(owned.collect())
}

fn streams(ids: Ids) -> Streams {
    match ids {
        Ids::Range { first, count } => Streams::range(StreamId::new(first), count),
        Ids::Masked { ignored, .. } => Streams {
            ignored,
            ..Streams::one(StreamId::new(ids.first()))
        },
    }
}

/// Devices of one partition may share streams: each stays with the device that comes first. Two partitions never do.
fn cut(sorted: Vec<Owned>) -> Vec<Owned> {
    let mut found: Vec<Owned> = Vec::new();
    // One behind the last number of a range so far.
    let mut free = 0u64;
    for mut next in sorted {
        if next.streams.ignored == 0 {
            let (first, end) = (
                u64::from(next.streams.first.get()).max(free),
                u64::from(next.streams.last().get()) + 1,
            );
            if first >= end {
                continue;
            }
            free = end;
            // Both are parts of a range of 32-bit numbers.
            next.streams = Streams::range(StreamId::new(first as u32), (end - first) as u32);
        }
        found.push(next);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Gic, board, device, virt};

    fn one(first: u32, count: u32, device: &str) -> Owned {
        Owned {
            streams: Streams::range(StreamId::new(first), count),
            partition: PartitionId::new(0),
            device: device.to_owned(),
        }
    }

    #[test]
    fn stream_that_two_devices_name_stays_with_the_first() {
        let found = cut(vec![
            one(0, 8, "/a"),
            one(4, 2, "/b"),
            one(4, 8, "/c"),
            one(12, 1, "/d"),
        ]);
        let expected = [one(0, 8, "/a"), one(8, 4, "/c"), one(12, 1, "/d")];
        assert_eq!(found, expected);
    }

    #[test]
    fn last_stream_of_all_does_not_overflow() {
        let found = cut(vec![one(u32::MAX - 1, 2, "/a"), one(u32::MAX, 1, "/b")]);
        assert_eq!(found, [one(u32::MAX - 1, 2, "/a")]);
    }

    #[test]
    fn streams_as_wide_as_the_driver_has_room_for_can_be_confined() {
        let masked = Ids::Masked { id: 0, ignored: 1 };
        let v3 = iommu("arm,smmu-v3", [0x905_0000, 0x2_0000], b"", "okay").0;
        let found = [Ids::one(0xf_ffff), Ids::one(0x10_0000), masked];
        assert_eq!(found.map(|ids| confinable(&v3, ids)), [true, false, false]);
        let v2 = iommu("arm,mmu-500", [0x908_0000, 0x2_0000], b"", "okay").0;
        let found = [Ids::one(0xffff), Ids::one(0x1_0000), masked];
        assert_eq!(found.map(|ids| confinable(&v2, ids)), [true, false, true]);
    }

    #[test]
    fn only_streams_of_which_none_covers_the_other_are_entangled() {
        let masked = |id, ignored| Ids::Masked { id, ignored };
        let range = |first, count| Ids::Range { first, count };
        assert!(entangled(masked(0x10, 0x3), masked(0x10, 0x5)));
        assert!(entangled(masked(0x10, 0x100), range(0x10, 2)));
        assert!(!entangled(masked(0x10, 0x3), masked(0x10, 0x7)));
        assert!(!entangled(masked(0x10, 0x3), Ids::one(0x11)));
        assert!(!entangled(masked(0x10, 0x3), masked(0x20, 0x3)));
        assert!(!entangled(range(0, 4), range(2, 4)));
    }

    /// The IOMMU of a board on which it has this `compatible`, these registers and these interrupt names, and how the image drives it.
    fn iommu(
        compatible: &str,
        registers: [u32; 2],
        names: &[u8],
        status: &str,
    ) -> (Iommu, Option<(Driver, AddressRange)>) {
        let mut tree = virt(Gic::V3);
        let node = device(&mut tree, "iommu@9050000", compatible, 0x905_0000, 74);
        tree.set_cells(node, "reg", &[0, registers[0], 0, registers[1]]);
        tree.set_cells(node, "#iommu-cells", &[1]);
        tree.set_cells(node, "#global-interrupts", &[1]);
        tree.set_cells(node, "interrupts", &[0, 77, 1, 0, 75, 1, 0, 74, 1]);
        tree.set(node, "interrupt-names", names.to_vec());
        tree.set_string(node, "status", status);
        let board = board(tree);
        let iommu = board.iommu(node).unwrap().clone();
        let drivable = drivable(&board.tree, &iommu);
        (iommu, drivable)
    }

    #[test]
    fn only_an_enabled_smmu_with_all_its_registers_is_driven() {
        let whole = [0x905_0000, 0x2_0000];
        let v2 = [0x908_0000, 0x2_0000];
        for (compatible, registers, status, expected) in [
            ("arm,smmu-v3", whole, "okay", Some(Driver::SmmuV3)),
            ("arm,smmu-v3", whole, "disabled", None),
            ("arm,smmu-v3", [0x905_0000, 0x1_0000], "okay", None),
            ("arm,smmu-v3", [0x905_1000, 0x2_0000], "okay", None),
            ("arm,mmu-500", v2, "okay", Some(Driver::Mmu500)),
            ("arm,mmu-500", v2, "disabled", None),
            ("arm,smmu-v2", v2, "okay", Some(Driver::SmmuV2)),
            ("cavium,smmu-v2", v2, "okay", Some(Driver::SmmuV2)),
            (
                "cavium,smmu-v2",
                [0x4000_0000, 0x200_0000],
                "okay",
                Some(Driver::SmmuV2),
            ),
            ("cavium,smmu-v2", [0x4010_0000, 0x200_0000], "okay", None),
            ("arm,mmu-500", whole, "okay", None),
            ("arm,mmu-500", [0x908_0000, 0x1000], "okay", None),
            // An SMMUv1: it has no tables of the AArch64 format.
            ("arm,mmu-401", v2, "okay", None),
            ("renesas,ipmmu-r8a7795", whole, "okay", None),
        ] {
            let found = iommu(compatible, registers, b"", status).1;
            let kind = found.map(|(kind, _)| kind);
            assert_eq!(kind, expected, "{compatible} {registers:x?} {status}");
        }
    }

    #[test]
    fn interrupts_of_events_and_errors_are_taken_or_all_where_none_is_named() {
        let numbers = |names| {
            let one = iommu("arm,smmu-v3", [0x905_0000, 0x2_0000], names, "okay").0;
            interrupts(&one, 1)
                .into_iter()
                .map(IntId::get)
                .collect::<Vec<_>>()
        };
        assert_eq!(numbers(b"gerror\0priq\0eventq\0"), [106, 109]);
        assert_eq!(numbers(b""), [106, 107, 109]);
    }

    #[test]
    fn smmuv2_listens_to_its_global_interrupts_and_those_of_context_banks_in_use() {
        let one = iommu("arm,mmu-500", [0x908_0000, 0x2_0000], b"", "okay").0;
        let numbers = |partitions| {
            let found = interrupts(&one, partitions).into_iter();
            found.map(IntId::get).collect::<Vec<_>>()
        };
        assert_eq!(numbers(0), [109]);
        assert_eq!(numbers(1), [107, 109]);
        assert_eq!(numbers(7), [106, 107, 109]);
    }
}
