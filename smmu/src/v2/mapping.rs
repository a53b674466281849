//! Which stream mapping entries the devices' streams take (Arm IHI 0062, chapter 3.2, SMMU_SMRn).

use model::StreamId;
use model::iommu::{OwnedStreams, Streams};

use super::features::{Features, Lookup};
use super::register_map::SMR_VALID;

/// Streams that one entry compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Their number, with 0 where it is ignored.
    pub id: u32,
    /// Bits that make no difference.
    pub ignored: u32,
}

impl Block {
    /// What the entry's SMR holds; `None` when its numbers are too wide for it.
    pub fn register(self, extended: bool) -> Option<u32> {
        let (bits, valid) = match extended {
            true => (16, 0),
            false => (15, SMR_VALID),
        };
        let fits = (self.id | self.ignored) >> bits == 0;
        fits.then_some(self.id | self.ignored << 16 | valid)
    }
}

/// The blocks that together are these streams: for a range, as few as there are of aligned powers of two.
pub fn blocks(streams: Streams) -> impl Iterator<Item = Block> {
    let mut at = streams.first.get();
    let mut left = streams.count;
    core::iter::from_fn(move || {
        let largest = left.checked_ilog2()?;
        let bits = at.trailing_zeros().min(largest);
        let low = 1u32.checked_shl(bits).map_or(u32::MAX, |size| size - 1);
        let block = Block {
            id: at,
            ignored: low | streams.ignored,
        };
        left -= low + 1;
        at = at.wrapping_add(low + 1);
        Some(block)
    })
}

/// How many entries all these streams take.
pub fn needed(owned: &[OwnedStreams], lookup: Lookup) -> usize {
    match lookup {
        Lookup::Indexing => 0,
        Lookup::Matching { .. } => owned.iter().map(|one| blocks(one.streams).count()).sum(),
    }
}

/// The entries of the streams at this place of the list, each with its block.
pub fn entries(
    features: &Features,
    owned: &[OwnedStreams],
    place: usize,
) -> impl Iterator<Item = (usize, Block)> + use<> {
    let streams = owned.get(place).map(|one| one.streams);
    let matching = features.lookup != Lookup::Indexing;
    let before = needed(owned.get(..place).unwrap_or_default(), features.lookup);
    let matched = streams.filter(|_| matching).into_iter();
    let matched = (before..).zip(matched.flat_map(blocks));
    let indices = match matching {
        true => 0,
        false => features.entries as u32,
    };
    let indexed = (0..indices).filter(move |index| {
        streams.is_some_and(|streams| streams.contains(StreamId::new(*index)))
    });
    let indexed = indexed.map(|id| (id as usize, Block { id, ignored: 0 }));
    matched.chain(indexed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(first: u32, count: u32) -> std::vec::Vec<(u32, u32)> {
        let streams = Streams::range(StreamId::new(first), count);
        blocks(streams).map(|one| (one.id, one.ignored)).collect()
    }

    #[test]
    fn range_takes_one_entry_for_each_aligned_block() {
        assert_eq!(found(5, 1), [(5, 0)]);
        assert_eq!(found(0x100, 0x100), [(0x100, 0xff)]);
        assert_eq!(found(5, 4), [(5, 0), (6, 1), (8, 0)]);
        assert_eq!(found(0, 0x7fff).len(), 15);
    }

    #[test]
    fn extreme_ranges_end() {
        assert_eq!(found(u32::MAX, 1), [(u32::MAX, 0)]);
        assert_eq!(found(0, u32::MAX).len(), 32);
        assert_eq!(found(1, u32::MAX).len(), 32);
        assert_eq!(found(7, 0), []);
    }

    #[test]
    fn ignored_bits_are_those_of_the_entry() {
        let streams = Streams {
            ignored: 0x7c00,
            ..Streams::one(StreamId::new(0x42))
        };
        let expected = Block {
            id: 0x42,
            ignored: 0x7c00,
        };
        assert!(blocks(streams).eq([expected]));
    }

    #[test]
    fn numbers_wider_than_the_register_are_refused() {
        let register = |id, ignored, extended| Block { id, ignored }.register(extended);
        assert_eq!(register(0x7fff, 0, false), Some(0x8000_7fff));
        assert_eq!(register(0x8000, 0, false), None);
        assert_eq!(register(0, 0x8000, false), None);
        assert_eq!(register(0xfff0, 0xf, true), Some(0x000f_fff0));
        assert_eq!(register(0x1_0000, 0, true), None);
    }
}
