//! Root and context tables (Intel 671081, 9.1 and 9.3): one page for each bus on which somebody owns a function, and one for all other buses,
//! whose entries deny without a record, since nobody could mute them.

use model::StreamId;
use model::iommu::{OwnedStreams, Streams};
use model::memory::PAGE;
use model::{Pa, Vmid};

use crate::memory::{SharedMemory, publish};
use crate::{Domain, IommuError};

/// Double words of an entry, of either table.
const WORDS: usize = 2;
/// Functions of a bus, and buses.
const ENTRIES: u32 = 256;
/// Width of a function's number within its bus.
const BUS: u32 = 8;
/// Either table: the entry counts.
const PRESENT: u64 = 1 << 0;
/// Context: faults are not recorded, whether the entry is present or not.
const SILENT: u64 = 1 << 1;
/// Context, second word: AW, addresses of 48 bits. TT in the first word is 0: the second stage translates.
const FOUR_LEVELS: u64 = 0b010;
/// Context, second word: where the domain's number begins.
const DOMAIN: u32 = 8;
/// The table that an entry leads to.
const POINTER: u64 = !(PAGE - 1);

/// The table of all buses on which nobody owns a function.
const NOBODY: usize = 0;

/// The buses from `owned`'s first stream to its last.
#[allow(
    clippy::indexing_slicing,
    reason = "the only way in a constant; callers stay below the length"
)]
const fn buses(owned: &[OwnedStreams], index: usize) -> [u32; 2] {
    let streams = owned[index].streams;
    [streams.first.get() >> BUS, streams.last().get() >> BUS]
}

/// Pages that the tables need for these streams, which are sorted.
pub const fn pages(owned: &[OwnedStreams]) -> usize {
    // The root and nobody's table.
    let mut pages = 2;
    let mut next = 0;
    let mut i = 0;
    while i < owned.len() {
        let [first, last] = buses(owned, i);
        let first = if first < next { next } else { first };
        if last >= first {
            pages += (last - first + 1) as usize;
            next = last + 1;
        }
        i += 1;
    }
    pages
}

/// Tables that deny whatever is not attached.
pub struct ContextTables<'a> {
    root: SharedMemory<'a>,
    tables: SharedMemory<'a>,
}

impl<'a> ContextTables<'a> {
    /// Tables for these streams, in pages from the front of `memory`.
    ///
    /// # Errors
    /// [`IommuError::NoSuchStream`] for a number wider than 16 bits, and [`IommuError::Memory`] when there are fewer pages than [`pages`] says.
    pub fn new(owned: &[OwnedStreams], memory: &mut SharedMemory<'a>) -> Result<Self, IommuError> {
        let mut lasts = owned.iter().map(|device| device.streams.last());
        if let Some(beyond) = lasts.find(|last| last.get() >> BUS >= ENTRIES) {
            return Err(IommuError::NoSuchStream(beyond));
        }
        let root = memory.take(1, 1).ok_or(IommuError::Memory)?;
        let tables = memory.take(pages(owned) - 1, 1).ok_or(IommuError::Memory)?;
        tables.clear();
        for entry in 0..ENTRIES as usize {
            tables.write(entry * WORDS, SILENT);
        }
        let own = Self { root, tables };
        for bus in 0..ENTRIES {
            own.lead(bus, NOBODY);
        }
        let mut used = NOBODY;
        for device in owned {
            for bus in device.streams.first.get() >> BUS..=device.streams.last().get() >> BUS {
                if own.table(bus) == NOBODY {
                    used += 1;
                    own.lead(bus, used);
                }
            }
        }
        Ok(own)
    }

    /// Has a bus looked up in this table.
    fn lead(&self, bus: u32, table: usize) {
        let pointer = self.tables.base().get() + table as u64 * PAGE;
        self.root.write(bus as usize * WORDS, pointer | PRESENT);
        self.root.write(bus as usize * WORDS + 1, 0);
    }

    /// In which table a bus is looked up.
    fn table(&self, bus: u32) -> usize {
        let pointer = self.root.read(bus as usize * WORDS) & POINTER;
        (pointer.saturating_sub(self.tables.base().get()) / PAGE) as usize
    }

    /// What RTADDR is to hold.
    pub fn base(&self) -> Pa {
        self.root.base()
    }

    /// First word of a stream's entry.
    fn place(&self, stream: u32) -> Result<usize, IommuError> {
        let bus = stream >> BUS;
        match self.table(bus) {
            table if bus < ENTRIES && table != NOBODY => {
                Ok((table * ENTRIES as usize + (stream % ENTRIES) as usize) * WORDS)
            }
            _ => Err(IommuError::NoSuchStream(StreamId::new(stream))),
        }
    }

    /// Calls `f` with each stream and the first word of its entry. When one of them has none, `f` is not called at all.
    fn each_entry(
        &self,
        streams: Streams,
        mut f: impl FnMut(StreamId, usize),
    ) -> Result<(), IommuError> {
        let mut all = streams.first.get()..=streams.last().get();
        all.clone()
            .try_for_each(|stream| self.place(stream).map(drop))?;
        all.try_for_each(|stream| self.place(stream).map(|at| f(StreamId::new(stream), at)))
    }

    fn owner(&self, at: usize) -> Option<Vmid> {
        let present = self.tables.read(at) & PRESENT != 0;
        present.then(|| Vmid::new((self.tables.read(at + 1) >> DOMAIN) as u16))
    }

    /// Lets the streams, which nobody owns, reach `domain`.
    ///
    /// # Errors
    /// [`IommuError::NoSuchStream`] or [`IommuError::Attached`]; nothing has changed then.
    pub fn attach(&self, streams: Streams, domain: &Domain) -> Result<(), IommuError> {
        let mut taken = None;
        self.each_entry(streams, |stream, at| {
            let owner = self
                .owner(at)
                .map(|owner| IommuError::Attached { stream, owner });
            taken = taken.or(owner);
        })?;
        if let Some(taken) = taken {
            return Err(taken);
        }
        let second = FOUR_LEVELS | u64::from(domain.vmid.get()) << DOMAIN;
        self.each_entry(streams, |_, at| self.tables.write(at + 1, second))?;
        // The first word makes the entry count: it comes when the other is there.
        publish();
        let first = domain.root.get() & POINTER | PRESENT;
        self.each_entry(streams, |_, at| self.tables.write(at, first))?;
        publish();
        Ok(())
    }

    /// Denies the streams everything. Returns whose they were.
    ///
    /// # Errors
    /// [`IommuError::NoSuchStream`], or [`IommuError::NotAttached`] when one of them is nobody's; they are all denied then, too.
    pub fn detach(&self, streams: Streams) -> Result<Vmid, IommuError> {
        let mut owner = Err(IommuError::NotAttached(streams.first));
        let mut nobodys = None;
        self.each_entry(streams, |stream, at| {
            match self.owner(at) {
                Some(own) => owner = Ok(own),
                None => nobodys = nobodys.or(Some(IommuError::NotAttached(stream))),
            }
            self.tables.write(at, 0);
        })?;
        publish();
        nobodys.map_or(owner, Err)
    }

    /// Has the streams' faults recorded no more.
    ///
    /// # Errors
    /// [`IommuError::NoSuchStream`].
    pub fn mute(&self, streams: Streams) -> Result<(), IommuError> {
        self.each_entry(streams, |_, at| {
            self.tables.write(at, self.tables.read(at) | SILENT);
        })?;
        publish();
        Ok(())
    }
}
