//! This partition's end of a channel.

use core::ptr;
use core::slice;
use core::sync::atomic::{AtomicU64, Ordering, fence};

use board::fault::{Fault, catch};
use board::{Board, Region, mmio, mmu};

/// The memory below holds devices, and stage 1 cannot map a channel beside them.
const RAM_BASE: u64 = 0x4000_0000;
const WORD: u64 = size_of::<u64>() as u64;

/// An end, mapped as Normal memory.
pub struct End {
    /// The channel's name.
    pub name: &'static str,
    /// Where this partition sees the channel.
    pub region: Region,
    /// Whether the device tree lets this end write.
    pub writable: bool,
    words: &'static [AtomicU64],
}

/// Word `index` of message `number`. Word 0 is the number itself, and message 0 is all zeros.
fn word(number: u64, index: usize) -> u64 {
    number.wrapping_mul(2 * index as u64 + 1)
}

impl End {
    /// Maps the first channel of the device tree, or says what is wrong with it. Called once.
    pub fn find(board: &Board) -> Result<Self, &'static str> {
        let node = board
            .find("bulkhead,channel")
            .ok_or("the device tree has no channel")?;
        let region = node.region().ok_or("the channel has no reg")?;
        let name = node
            .text("bulkhead,name")
            .ok_or("the channel has no name")?;
        let writable = match node.text("bulkhead,access") {
            Some("read-write") => true,
            Some("read-only") => false,
            _ => return Err("the channel has no known access"),
        };
        if region.base < RAM_BASE || region.base % 4096 != 0 || region.size < WORD {
            return Err("the channel is not above the devices, in whole pages");
        }
        // SAFETY: the tree says that memory is there, and this board's devices are all below.
        unsafe { mmu::map_ram(region.base, region.size) };
        let start = ptr::with_exposed_provenance(region.base as usize);
        // SAFETY: the range is mapped, is for nothing else in this partition, and what others write to it meanwhile they write
        // to atomic words.
        let words = unsafe { slice::from_raw_parts(start, (region.size / WORD) as usize) };
        Ok(Self {
            name,
            region,
            writable,
            words,
        })
    }

    /// The number of the message that was written last.
    pub fn number(&self) -> u64 {
        // Relaxed, as all loads here: Rust promises no other kind for memory that may be read only.
        self.words[0].load(Ordering::Relaxed)
    }

    /// The number of the message that fills the channel from the first byte to the last; `None` if it holds anything else.
    pub fn message(&self) -> Option<u64> {
        let number = self.number();
        fence(Ordering::Acquire);
        let mut words = self.words.iter().enumerate();
        words
            .all(|(index, found)| found.load(Ordering::Relaxed) == word(number, index))
            .then_some(number)
    }

    /// Fills the channel with message `number`; the number goes last.
    pub fn write(&self, number: u64) {
        for (index, place) in self.words.iter().enumerate().skip(1) {
            place.store(word(number, index), Ordering::Relaxed);
        }
        fence(Ordering::Release);
        self.words[0].store(number, Ordering::Relaxed);
    }

    /// Addresses of the first and of the last word.
    pub fn edges(&self) -> [u64; 2] {
        [self.region.base, self.region.end() - WORD]
    }

    /// Tries to write where this end may not; `Ok` means that nothing kept it from doing so.
    pub fn try_write(&self, address: u64) -> Result<(), Fault> {
        // SAFETY: one store under the guard, to one of the channel's words.
        unsafe { catch(|| mmio::write64(address, u64::MAX)) }
    }
}
