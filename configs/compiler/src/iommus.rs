//! The IOMMUs that the image drives, and whose streams each lets through.

use model::ids::{IntId, PartitionId, StreamId};
use model::iommu::Streams;

use crate::board::Iommu;
use crate::devicetree::streams::{Ids, IommuKind};
use crate::range::AddressRange;
use crate::system::System;

/// Registers of an SMMUv3: two pages of 64 KiB (Arm IHI 0070, 6.1).
const SMMUV3_REGISTERS: u64 = 0x2_0000;
/// Widest stream number that the image's SMMUv3 driver has tables for.
const MOST_STREAM_BITS: u32 = 20;

/// An IOMMU that the image drives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Driven {
    pub path: String,
    pub registers: AddressRange,
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

/// The registers of an IOMMU that the image can drive.
pub(crate) fn drivable(iommu: &Iommu) -> Option<AddressRange> {
    let registers = iommu.registers.first()?;
    let driven = iommu.enabled
        && iommu.kind == IommuKind::SmmuV3
        && registers.size >= SMMUV3_REGISTERS
        && registers.base.is_multiple_of(0x1_0000);
    driven.then_some(AddressRange {
        base: registers.base,
        size: SMMUV3_REGISTERS,
    })
}

/// True when the image has tables for these streams.
pub(crate) fn tabled(ids: Ids) -> bool {
    matches!(ids, Ids::Range { .. }) && ids.last() >> MOST_STREAM_BITS == 0
}

/// The IOMMUs that the image of a system drives: all that it can, whether partitions have streams there or not. What firmware left open is
/// closed.
pub(crate) fn driven(system: &System) -> Vec<Driven> {
    let iommus = system.board.iommus.iter();
    let found = iommus.filter_map(|iommu| {
        Some(Driven {
            path: iommu.path.clone(),
            registers: drivable(iommu)?,
            interrupts: interrupts(iommu),
            owned: owned(system, iommu),
        })
    });
    found.collect()
}

/// The interrupts for faults and errors: those with these names, or all where one is for everything or none is named.
fn interrupts(iommu: &Iommu) -> Vec<IntId> {
    const WANTED: [&str; 3] = ["eventq", "gerror", "combined"];
    let names = &iommu.interrupt_names;
    let all = iommu.interrupts.iter().enumerate();
    let wanted = |index: usize| {
        names
            .get(index)
            .is_none_or(|name| WANTED.contains(&name.as_str()))
    };
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
            found.extend(streams.filter_map(|stream| match stream.ids {
                Ids::Range { first, count } => Some(Owned {
                    streams: Streams {
                        first: StreamId::new(first),
                        count,
                    },
                    partition: PartitionId::new(index),
                    device: device.path.clone(),
                }),
                Ids::Masked { .. } => None,
            }));
        }
    }
    found.sort_by_key(|one| (one.streams.first, one.streams.count));
    apart(found)
}

/// Devices of one partition may share streams: each stays with the device that comes first. Two partitions never do.
fn apart(sorted: Vec<Owned>) -> Vec<Owned> {
    let mut found: Vec<Owned> = Vec::new();
    for mut next in sorted {
        let last = next.streams.last().get();
        if let Some(before) = found.last() {
            let end = before.streams.last().get();
            if last <= end {
                continue;
            }
            let first = next.streams.first.get().max(end.saturating_add(1));
            next.streams = Streams {
                first: StreamId::new(first),
                count: last - first + 1,
            };
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
            streams: Streams {
                first: StreamId::new(first),
                count,
            },
            partition: PartitionId::new(0),
            device: device.to_owned(),
        }
    }

    #[test]
    fn stream_that_two_devices_name_stays_with_the_first() {
        let found = apart(vec![
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
        let found = apart(vec![one(u32::MAX - 1, 2, "/a"), one(u32::MAX, 1, "/b")]);
        assert_eq!(found, [one(u32::MAX - 1, 2, "/a")]);
    }

    #[test]
    fn streams_up_to_20_bits_have_tables() {
        assert!(tabled(Ids::one(0xf_ffff)));
        assert!(!tabled(Ids::one(0x10_0000)));
        assert!(!tabled(Ids::Masked { id: 0, ignored: 1 }));
    }

    /// The IOMMU of a board on which it has this `compatible`, these registers and these interrupt names.
    fn iommu(compatible: &str, registers: [u32; 2], names: &[u8], status: &str) -> Iommu {
        let mut tree = virt(Gic::V3);
        let node = device(&mut tree, "iommu@9050000", compatible, 0x905_0000, 74);
        tree.set_cells(node, "reg", &[0, registers[0], 0, registers[1]]);
        tree.set_cells(node, "#iommu-cells", &[1]);
        tree.set_cells(node, "interrupts", &[0, 77, 1, 0, 75, 1, 0, 74, 1]);
        tree.set(node, "interrupt-names", names.to_vec());
        tree.set_string(node, "status", status);
        board(tree).iommu(node).unwrap().clone()
    }

    #[test]
    fn only_an_enabled_smmuv3_with_both_its_pages_is_driven() {
        let whole = [0x905_0000, 0x2_0000];
        for (compatible, registers, status, expected) in [
            ("arm,smmu-v3", whole, "okay", true),
            ("arm,smmu-v3", whole, "disabled", false),
            ("arm,mmu-500", whole, "okay", false),
            ("arm,smmu-v3", [0x905_0000, 0x1_0000], "okay", false),
            ("arm,smmu-v3", [0x905_1000, 0x2_0000], "okay", false),
        ] {
            let found = drivable(&iommu(compatible, registers, b"", status)).is_some();
            assert_eq!(found, expected, "{compatible} {registers:x?} {status}");
        }
    }

    #[test]
    fn interrupts_of_events_and_errors_are_taken_or_all_where_none_is_named() {
        let numbers = |names| {
            let one = iommu("arm,smmu-v3", [0x905_0000, 0x2_0000], names, "okay");
            interrupts(&one)
                .into_iter()
                .map(IntId::get)
                .collect::<Vec<_>>()
        };
        assert_eq!(numbers(b"gerror\0priq\0eventq\0"), [106, 109]);
        assert_eq!(numbers(b""), [106, 107, 109]);
    }
}
