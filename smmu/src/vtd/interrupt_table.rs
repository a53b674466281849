//! The interrupt remapping table (Intel 671081, 9.10): which function may raise which interrupt, and where it goes.

use model::{Pa, StreamId};

use super::register_map::EIME;
use crate::IommuError;
use crate::memory::{SharedMemory, publish};

/// Double words of an entry.
const WORDS: usize = 2;
/// Entries of a page.
pub const ENTRIES: u16 = 256;
/// IRTA.S: 2^(S + 1) entries.
const SIZE: u64 = 7;

/// First word: the entry counts. The others are 0: faults are recorded, a physical destination, edge, fixed delivery.
const PRESENT: u64 = 1 << 0;
/// Where the vector begins, and the destination.
const VECTOR: u32 = 16;
const DESTINATION: u32 = 32;
/// Second word: the whole of the requester's number is compared (SVT, SQ 0).
const EXACTLY: u64 = 1 << 18;

/// A table in which nobody may raise anything but what was allowed.
pub struct InterruptTable<'a> {
    page: SharedMemory<'a>,
}

impl<'a> InterruptTable<'a> {
    /// Pages that it takes.
    pub const PAGES: usize = 1;

    /// An empty table, in a page from the front of `memory`.
    ///
    /// # Errors
    /// [`IommuError::Memory`].
    pub fn new(memory: &mut SharedMemory<'a>) -> Result<Self, IommuError> {
        let page = memory.take(Self::PAGES, 1).ok_or(IommuError::Memory)?;
        page.clear();
        Ok(Self { page })
    }

    /// What IRTA is to hold.
    pub fn base(&self) -> Pa {
        Pa::new(self.page.base().get() | EIME | SIZE)
    }

    /// Where `stream` may raise interrupt `vector` of the CPU whose x2APIC number is `destination`. False when there is no such entry.
    pub fn allow(&self, index: u16, stream: StreamId, destination: u32, vector: u8) -> bool {
        if index >= ENTRIES {
            return false;
        }
        let at = usize::from(index) * WORDS;
        self.page.write(at, 0);
        self.page
            .write(at + 1, u64::from(stream.get() & 0xffff) | EXACTLY);
        // The first word makes the entry count: it comes when the other is there.
        publish();
        let first = PRESENT | u64::from(vector) << VECTOR | u64::from(destination) << DESTINATION;
        self.page.write(at, first);
        publish();
        true
    }

    /// Nobody may raise this one.
    pub fn refuse(&self, index: u16) {
        self.page.write(usize::from(index) * WORDS, 0);
        publish();
    }
}
