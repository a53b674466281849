//! IOMMUs and whose streams they let through.

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
    /// SPIs by which it tells of faults and of its own errors; all are pulses.
    pub interrupts: &'static [IntId],
    /// Streams that partitions own, sorted by their first number, without overlap.
    pub owned: &'static [OwnedStreams],
}

/// The IOMMUs that the hypervisor can drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IommuKind {
    /// Arm SMMUv3 (Arm IHI 0070).
    SmmuV3,
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

/// Streams whose numbers follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    /// The first one.
    pub first: StreamId,
    /// How many, at least 1; `first + count - 1` does not overflow.
    pub count: u32,
}

impl Streams {
    /// One stream.
    pub const fn one(stream: StreamId) -> Self {
        Self {
            first: stream,
            count: 1,
        }
    }

    /// The last one.
    pub const fn last(self) -> StreamId {
        StreamId::new(
            self.first
                .get()
                .saturating_add(self.count.saturating_sub(1)),
        )
    }

    /// True when `stream` is one of them.
    pub const fn contains(self, stream: StreamId) -> bool {
        stream.get() >= self.first.get() && stream.get() <= self.last().get()
    }
}

impl Iommu {
    /// The owned streams among which `stream` is.
    pub fn owner(&self, stream: StreamId) -> Option<(usize, &'static OwnedStreams)> {
        let behind = self
            .owned
            .partition_point(|owned| owned.streams.first <= stream);
        let index = behind.checked_sub(1)?;
        let owned = self.owned.get(index)?;
        owned.streams.contains(stream).then_some((index, owned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Pa;

    const fn owned(first: u32, count: u32, partition: u8) -> OwnedStreams {
        OwnedStreams {
            streams: Streams {
                first: StreamId::new(first),
                count,
            },
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
}
