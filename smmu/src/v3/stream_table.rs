//! The stream table (Arm IHI 0070, section 3.3): one page for few streams, two levels for many.
//!
//! A second-level table is one page of 64 entries. All streams of a device that has whole tables share one such table, and everything that
//! nobody owns shares another: a PCI host bridge with 65,536 streams takes 4 pages rather than 1,024. The price is that the streams that
//! share a table are muted together.

use model::StreamId;
use model::iommu::{OwnedStreams, Streams};
use model::memory::PAGE;
use model::{Pa, Vmid};

use super::entry;
use crate::memory::{PAGE_WORDS, SharedMemory, publish};
use crate::{Domain, IommuError};

/// A second-level table holds 2^6 entries: STRTAB_BASE_CFG.SPLIT.
const SPLIT: u32 = 6;
/// Entries of a table.
const ENTRIES: u32 = 1 << SPLIT;
/// First-level descriptor, Span: 2^(Span - 1) entries.
const SPAN: u64 = SPLIT as u64 + 1;
/// First-level descriptor, L2Ptr.
const POINTER: u64 = 0x000f_ffff_ffff_ffc0;
/// STRTAB_BASE_CFG.FMT: two levels.
const TWO_LEVEL: u32 = 1 << 16;

/// Widest stream numbers in bits: the first level takes 128 KiB then.
pub const MOST_STREAM_BITS: u32 = 20;

/// Where everything that nobody owns is looked up.
const NOBODY: usize = 0;

/// Bits of the largest stream number.
const fn bits(owned: &[OwnedStreams]) -> u32 {
    let mut bits = 0;
    let mut i = 0;
    while i < owned.len() {
        let own = u32::BITS - element(owned, i).last().get().leading_zeros();
        if own > bits {
            bits = own;
        }
        i += 1;
    }
    bits
}

/// Pages of the first level; 0 when one table does.
const fn first_level_pages(bits: u32) -> usize {
    if bits <= SPLIT {
        return 0;
    }
    (1usize << (bits - SPLIT)).div_ceil(PAGE_WORDS)
}

#[allow(
    clippy::indexing_slicing,
    reason = "the only way in a constant; callers stay below the length"
)]
const fn element(owned: &[OwnedStreams], index: usize) -> Streams {
    owned[index].streams
}

/// Pages that the table needs for these streams, wherever the memory begins: at most 3 tables for each device, one for nobody's streams,
/// and a first level with what its alignment costs.
pub const fn pages(owned: &[OwnedStreams]) -> usize {
    let first_level = first_level_pages(bits(owned));
    let mut pages = 1 + first_level + first_level.saturating_sub(1);
    let mut i = 0;
    while i < owned.len() && first_level > 0 {
        let streams = element(owned, i);
        let tables = (streams.last().get() >> SPLIT) - (streams.first.get() >> SPLIT) + 1;
        pages += if tables > 3 { 3 } else { tables as usize };
        i += 1;
    }
    pages
}

/// A stream table that denies whatever is not attached.
pub struct StreamTable<'a> {
    /// The first level, when there are two.
    first: Option<SharedMemory<'a>>,
    /// Tables of 64 entries.
    tables: SharedMemory<'a>,
    /// Tables in use.
    used: usize,
    bits: u32,
}

impl<'a> StreamTable<'a> {
    /// A table for these streams, in pages from the front of `memory`.
    ///
    /// # Errors
    /// [`IommuError::Memory`] when there are fewer pages than [`pages`] says, or a stream number is wider than [`MOST_STREAM_BITS`].
    pub fn new(owned: &[OwnedStreams], memory: &mut SharedMemory<'a>) -> Result<Self, IommuError> {
        let bits = bits(owned);
        if bits > MOST_STREAM_BITS {
            return Err(IommuError::Memory);
        }
        let first = match first_level_pages(bits) {
            0 => None,
            count => Some(memory.take(count, count).ok_or(IommuError::Memory)?),
        };
        let rest = pages(owned) - first.map_or(0, |first| 2 * first.pages() - 1);
        let tables = memory.take(rest, 1).ok_or(IommuError::Memory)?;
        tables.clear();
        let mut table = Self {
            first,
            tables,
            used: 1,
            bits: bits.max(SPLIT),
        };
        if let Some(first) = first {
            first.clear();
            for index in 0..1 << (bits - SPLIT) {
                first.write(index, table.descriptor(NOBODY));
            }
            for device in owned {
                table.place(device.streams)?;
            }
        }
        Ok(table)
    }

    fn descriptor(&self, table: usize) -> u64 {
        (self.tables.base().get() + table as u64 * PAGE) | SPAN
    }

    /// The table that a first-level index leads to.
    fn at(&self, index: u32) -> usize {
        self.first.map_or(NOBODY, |first| {
            let pointer = first.read(index as usize) & POINTER;
            ((pointer - self.tables.base().get()) / PAGE) as usize
        })
    }

    /// Gives a device's streams tables of their own.
    fn place(&mut self, streams: Streams) -> Result<(), IommuError> {
        let Some(first_level) = self.first else {
            return Ok(());
        };
        let mut whole = None;
        for index in streams.first.get() >> SPLIT..=streams.last().get() >> SPLIT {
            let part = part(streams, index);
            let table = match whole {
                Some(table) if part == (0, ENTRIES) => table,
                // A device before this one has streams in the same table.
                _ if self.at(index) != NOBODY => continue,
                _ => {
                    let table = self.used;
                    self.used += 1;
                    table
                }
            };
            if table >= self.tables.pages() {
                return Err(IommuError::Memory);
            }
            if part == (0, ENTRIES) {
                whole = Some(table);
            }
            first_level.write(index as usize, self.descriptor(table));
        }
        Ok(())
    }

    /// What STRTAB_BASE is to hold.
    pub fn base(&self) -> Pa {
        self.first.unwrap_or(self.tables).base()
    }

    /// What STRTAB_BASE_CFG is to hold on an SMMU whose stream numbers have `most_bits` bits: it may not be told of more.
    pub fn configuration(&self, most_bits: u8) -> u32 {
        match self.first {
            Some(_) => TWO_LEVEL | SPLIT << 6 | self.bits,
            None => self.bits.min(u32::from(most_bits)),
        }
    }

    /// True when it has two levels.
    pub fn is_two_level(&self) -> bool {
        self.first.is_some()
    }

    /// Calls `f` with the first word of each entry of the streams, those that streams share once.
    fn each_entry(
        &self,
        streams: Streams,
        mut f: impl FnMut(&SharedMemory<'a>, usize),
    ) -> Result<(), IommuError> {
        let last = streams.last();
        if last.get() >> self.bits != 0 {
            return Err(IommuError::NoSuchStream(last));
        }
        let [head, tail] = [streams.first, last].map(|stream| stream.get() >> SPLIT);
        let mut before = None;
        // What lies between the first table and the last shares one.
        for index in head..=tail.min(head + 1) {
            before = self.each_of_table(streams, index, before, &mut f);
        }
        if tail > head + 1 {
            self.each_of_table(streams, tail, before, &mut f);
        }
        Ok(())
    }

    fn each_of_table(
        &self,
        streams: Streams,
        index: u32,
        before: Option<usize>,
        f: &mut impl FnMut(&SharedMemory<'a>, usize),
    ) -> Option<usize> {
        let table = self.at(index);
        if before != Some(table) {
            let (first, end) = part(streams, index);
            for entry in first..end {
                let number = table * ENTRIES as usize + entry as usize;
                f(&self.tables, number * entry::WORDS);
            }
        }
        Some(table)
    }

    /// Whose translation a stream uses.
    ///
    /// # Errors
    /// [`IommuError::NoSuchStream`].
    pub fn owner(&self, stream: StreamId) -> Result<Option<Vmid>, IommuError> {
        let mut owner = None;
        self.each_entry(Streams::one(stream), |words, at| {
            owner = entry::owner(words.read(at), words.read(at + 2));
        })?;
        Ok(owner)
    }

    /// Lets the streams, which nobody owns, reach `domain`.
    ///
    /// # Errors
    /// [`IommuError::NoSuchStream`] or [`IommuError::Attached`]; nothing has changed then.
    pub fn attach(
        &self,
        streams: Streams,
        domain: &Domain,
        output_size: u64,
    ) -> Result<(), IommuError> {
        let mut taken = None;
        self.each_entry(streams, |words, at| {
            taken = taken.or(entry::owner(words.read(at), words.read(at + 2)));
        })?;
        if let Some(owner) = taken {
            return Err(IommuError::Attached {
                stream: streams.first,
                owner,
            });
        }
        let [head, rest @ ..] = entry::translated(domain, output_size);
        self.each_entry(streams, |words, at| {
            for (index, word) in rest.iter().enumerate() {
                words.write(at + 1 + index, *word);
            }
        })?;
        // The first word makes the entry valid: it comes when the others are there.
        publish();
        self.each_entry(streams, |words, at| words.write(at, head))?;
        publish();
        Ok(())
    }

    /// Denies the streams everything. Returns whose they were.
    ///
    /// # Errors
    /// [`IommuError::NoSuchStream`], or [`IommuError::NotAttached`] when one of them is nobody's; they are all denied then, too.
    pub fn detach(&self, streams: Streams) -> Result<Vmid, IommuError> {
        let mut owner = None;
        let mut all = true;
        self.each_entry(streams, |words, at| {
            let own = entry::owner(words.read(at), words.read(at + 2));
            all &= own.is_some();
            owner = owner.or(own);
            words.write(at, entry::DENIED);
        })?;
        publish();
        owner
            .filter(|_| all)
            .ok_or(IommuError::NotAttached(streams.first))
    }

    /// Has the streams' faults recorded no more.
    ///
    /// # Errors
    /// [`IommuError::NoSuchStream`].
    pub fn mute(&self, streams: Streams) -> Result<(), IommuError> {
        self.each_entry(streams, |words, at| {
            let control = words.read(at + 2);
            match entry::owner(words.read(at), control) {
                Some(_) => words.write(at + 2, entry::muted(control)),
                None => words.write(at, entry::DENIED_SILENTLY),
            }
        })?;
        publish();
        Ok(())
    }
}

/// The entries of the table at this first-level index that belong to the streams: the first, and the one behind the last.
fn part(streams: Streams, index: u32) -> (u32, u32) {
    let [first, last] = [streams.first, streams.last()].map(StreamId::get);
    let start = index << SPLIT;
    (
        first.saturating_sub(start).min(ENTRIES),
        (last - start.min(last)).min(ENTRIES - 1) + 1,
    )
}
