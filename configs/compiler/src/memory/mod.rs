//! Where memory is: what each partition sees of it, and where that lies.
//!
//! Everything here is found before the rules look, from whatever the system file says that makes sense: a region that is wrong by
//! itself is reported and left out, and the others still get their places. The same input always gives the same places.

mod address_space;
mod form;
mod place;

pub(crate) use address_space::{Seen, behind, seen};
pub(crate) use form::page_aligned;
pub(crate) use place::{arrange, payload_room};

use std::ops::Range;

use model::memory::PAGE;

use crate::range::AddressRange;

/// Blocks of stage 2 at level 2 (Arm ARM, D8.2): what memory is aligned to unless the system file says otherwise.
const BLOCK: u64 = 2 << 20;

/// More channels than this are refused, and get no place. Each is held against the others of its partitions.
pub(crate) const MOST_CHANNELS: usize = 64;

/// A region of a partition's memory.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    /// Where the system file asks for it.
    pub span: Range<usize>,
    /// Bytes: whole pages, never 0.
    pub size: u64,
    /// Where the partition sees it; `None` while that depends on where it lies.
    pub ipa: Option<u64>,
    /// Where it lies; `None` when there is no place for it.
    pub pa: Option<u64>,
    /// True when the system file says where it lies.
    pub fixed: bool,
    /// True when the partition sees it where it lies.
    pub identity: bool,
    /// What the system file wants `pa` to be a multiple of: a power of two, at least a page.
    pub align: Option<u64>,
}

impl Region {
    /// What the partition sees.
    pub fn seen(&self) -> Option<AddressRange> {
        AddressRange::new(self.ipa?, self.size)
    }

    /// What it takes of the board's RAM.
    pub fn lies(&self) -> Option<AddressRange> {
        AddressRange::new(self.pa?, self.size)
    }

    /// What `pa` is a multiple of. Memory that the partition sees at an odd place is mapped by blocks only when it lies at an equally
    /// odd one.
    pub fn alignment(&self) -> u64 {
        let odd = self.ipa.is_some_and(|ipa| !ipa.is_multiple_of(BLOCK));
        self.align.unwrap_or(if odd { PAGE } else { BLOCK })
    }
}

/// The memory of a channel.
#[derive(Clone, Debug)]
pub(crate) struct ChannelMemory {
    /// Where the system file says its place, or else its size.
    pub span: Range<usize>,
    /// Bytes: whole pages, never 0.
    pub size: u64,
    /// Where it lies; `None` when there is no place for it.
    pub pa: Option<u64>,
    /// True when the system file says where it lies.
    pub fixed: bool,
    /// For each end where its partition sees it; `None` when that is not known.
    pub ends: Vec<Option<u64>>,
    /// For each end whether it can ring another.
    pub rings: Vec<bool>,
}

impl ChannelMemory {
    /// What it takes of the board's RAM.
    pub fn lies(&self) -> Option<AddressRange> {
        AddressRange::new(self.pa?, self.size)
    }

    /// What an end sees.
    pub fn seen(&self, end: usize) -> Option<AddressRange> {
        AddressRange::new(*self.ends.get(end)?.as_ref()?, self.size)
    }

    /// The page by which an end rings the others: right behind the memory, so that the user has one address to choose.
    pub fn doorbell(&self, end: usize) -> Option<AddressRange> {
        let rings = self.rings.get(end)?;
        let seen = self.seen(end).filter(|_| *rings)?;
        AddressRange::new(seen.end(), PAGE)
    }

    /// How much of its partition's view an end takes.
    pub fn span_of(&self, end: usize) -> u64 {
        let rings = self.rings.get(end).is_some_and(|rings| *rings);
        self.size.saturating_add(if rings { PAGE } else { 0 })
    }
}

/// Where everything is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrangement {
    /// RAM kept for the hypervisor's image; `None` when it does not fit.
    pub image: Option<AddressRange>,
    /// For each partition of the file its regions, in the order of the file; none when one of them is wrong by itself.
    pub partitions: Vec<Vec<Region>>,
    /// For each channel of the file its memory, unless that is wrong by itself.
    pub channels: Vec<Option<ChannelMemory>>,
    /// For each partition of the file where it sees its page of calls, if it has one.
    pub pages: Vec<Option<AddressRange>>,
}

impl Arrangement {
    /// What a partition sees of its first region, which holds its image.
    pub fn first(&self, partition: usize) -> Option<AddressRange> {
        self.partitions.get(partition)?.first()?.seen()
    }
}
