//! IOMMUs and whose streams they let through.

use crate::device::Trigger;
use crate::ids::{IntId, PartitionId, StreamId};
use crate::memory::PhysicalRange;

/// An IOMMU of the board. Streams that are not listed are denied everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Iommu {
    /// Its path in the board's device tree.
    pub path: &'static str,
    /// Which driver.
    pub kind: IommuKind,
    /// Its registers.
    pub registers: PhysicalRange,
    /// Registers of the instances that belong to it: the caches of an IPMMU, each with a number of its own, its place in this list.
    pub instances: &'static [PhysicalRange],
    /// Its node in the device tree says `dma-coherent`.
    pub coherent: bool,
    /// SPIs by which it tells of faults and of its own errors: see [`IommuKind::trigger`].
    pub interrupts: &'static [IntId],
    /// Streams that partitions own, sorted by their first number. No stream is in two entries.
    pub owned: &'static [OwnedStreams],
}

/// The IOMMUs that the hypervisor can drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IommuKind {
    /// Arm SMMUv3 (Arm IHI 0070).
    SmmuV3,
    /// ThunderX2's SMMUv3, whose register page 1 does not answer: its registers are in page 0 (Cavium erratum 74).
    SmmuV3OnePage,
    /// Arm SMMUv2 (Arm IHI 0062).
    SmmuV2,
    /// Arm CoreLink MMU-500, an SMMUv2 with properties of its own (Arm DDI 0517).
    Mmu500,
    /// Renesas IPMMU. Its registers are those of the main instance.
    #[cfg(feature = "ipmmu")]
    Ipmmu(crate::ipmmu::Ipmmu),
}

impl IommuKind {
    /// `compatible` of such IOMMUs in device trees; one of them is there.
    pub const fn compatible(self) -> &'static [&'static str] {
        match self {
            Self::SmmuV3 | Self::SmmuV3OnePage => &["arm,smmu-v3"],
            Self::SmmuV2 => &["arm,smmu-v2", "cavium,smmu-v2"],
            Self::Mmu500 => &["arm,mmu-500"],
            #[cfg(feature = "ipmmu")]
            Self::Ipmmu(ipmmu) => ipmmu.generation.compatible(),
        }
    }

    /// How its interrupts signal.
    pub const fn trigger(self) -> Trigger {
        match self {
            // Pulses (IHI 0070, 3.18): a level that is gone before it is acknowledged would be lost.
            Self::SmmuV3 | Self::SmmuV3OnePage => Trigger::Edge,
            // High for as long as a fault is recorded (IHI 0062, 3.7).
            Self::SmmuV2 | Self::Mmu500 => Trigger::Level,
            // High for as long as a context has a status (the trees of all chips have it so).
            #[cfg(feature = "ipmmu")]
            Self::Ipmmu(_) => Trigger::Level,
        }
    }
}

/// Streams of one device, and its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnedStreams {
    /// Which streams.
    pub streams: Streams,
    /// Whose they are.
    pub partition: PartitionId,
    /// Path of the device that makes them, in the board's device tree.
    pub device: &'static str,
}

/// Streams whose numbers follow one another, or differ only in bits that are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    /// The first one.
    pub first: StreamId,
    /// How many, at least 1; `first + count - 1` does not overflow.
    pub count: u32,
    /// Bits of a number that make no difference, 0 in `first`. An SMMUv2 compares so; with other IOMMUs, or a `count` above 1, it is 0.
    pub ignored: u32,
}

impl Streams {
    /// One stream.
    pub const fn one(stream: StreamId) -> Self {
        Self::range(stream, 1)
    }

    /// `count` streams from `first` on.
    pub const fn range(first: StreamId, count: u32) -> Self {
        Self {
            first,
            count,
            ignored: 0,
        }
    }

    /// The last one; of those with ignored bits the one where these are 0.
    pub const fn last(self) -> StreamId {
        StreamId::new(
            self.first
                .get()
                .saturating_add(self.count.saturating_sub(1)),
        )
    }

    /// True when `stream` is one of them.
    pub const fn contains(self, stream: StreamId) -> bool {
        let number = stream.get() & !self.ignored;
        number >= self.first.get() && number <= self.last().get()
    }
}

impl Iommu {
    /// True when it reads translation tables through the CPUs' caches. An SMMUv3 that cannot is refused, whatever its node says.
    pub const fn reads_caches(&self) -> bool {
        self.coherent || matches!(self.kind, IommuKind::SmmuV3 | IommuKind::SmmuV3OnePage)
    }

    /// The owned streams among which `stream` is, with their place in the list.
    pub fn owner(&self, stream: StreamId) -> Option<(usize, &'static OwnedStreams)> {
        let mut all = self.owned.iter().enumerate();
        all.find(|(_, owned)| owned.streams.contains(stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Pa;

    const fn owned(first: u32, count: u32, partition: u8) -> OwnedStreams {
        OwnedStreams {
            streams: Streams::range(StreamId::new(first), count),
            partition: PartitionId::new(partition),
            device: "/device",
        }
    }

    const OWNED: &[OwnedStreams] = &[owned(8, 8, 1), owned(0x100, 0x100, 0)];

    #[test]
    fn stream_is_found_in_its_range_and_nowhere_else() {
        let iommu = Iommu {
            path: "/smmu",
            kind: IommuKind::SmmuV3,
            registers: PhysicalRange {
                base: Pa::new(0x905_0000),
                size: 0x2_0000,
            },
            instances: &[],
            coherent: true,
            interrupts: &[],
            owned: OWNED,
        };
        let owner = |stream| iommu.owner(StreamId::new(stream)).map(|(index, _)| index);
        let found = [7, 8, 15, 16, 0xff, 0x100, 0x1ff, 0x200, u32::MAX].map(owner);
        let expected = [
            None,
            Some(0),
            Some(0),
            None,
            None,
            Some(1),
            Some(1),
            None,
            None,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn ignored_bits_of_a_stream_make_no_difference() {
        let masked = Streams {
            ignored: 0x7c00,
            ..Streams::one(StreamId::new(0x42))
        };
        let contains = |stream| masked.contains(StreamId::new(stream));
        assert_eq!(
            [0x42, 0x442, 0x7c42, 0x43, 0x8042].map(contains),
            [true, true, true, false, false]
        );
    }
}
