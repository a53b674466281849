//! This partition's end of a channel: its queue and its doorbells.

use core::ptr;
use core::slice;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use board::timer::Timer;
use board::{Board, cpu, interrupt, mmio, mmu};
use bulkhead_channel as channel;
use channel::Queue;

pub use channel::Ring;

/// The memory below holds devices, and stage 1 cannot map a channel beside them.
const RAM_BASE: u64 = 0x4000_0000;
const WORD: u64 = size_of::<u32>() as u64;

/// How often this end was rung.
static RUNG: AtomicU32 = AtomicU32::new(0);
/// The physical counter at the first instruction of the handler, when it was rung last.
static RUNG_AT: AtomicU64 = AtomicU64::new(0);

/// An end.
pub struct End {
    /// Which one.
    pub which: channel::End,
    /// All of the memory.
    pub words: &'static [AtomicU32],
    /// The interrupt by which it is rung.
    pub intid: u32,
    /// The messages.
    pub queue: Queue<'static>,
    /// The register that rings the other end.
    page: u64,
    /// How often this end has rung.
    pub rings: u32,
}

impl End {
    /// Uses the first channel of the device tree, and takes its doorbell's interrupt; or says what is wrong with it. Called once.
    pub fn find(board: &Board) -> Result<Self, &'static str> {
        let node = board
            .find("bulkhead,channel")
            .ok_or("the device tree has no channel")?;
        let region = node.region().ok_or("the channel has no reg")?;
        let page = node
            .region_at(1)
            .ok_or("the channel has no doorbell page")?;
        let mut cells = node.cells("interrupts");
        let (Some(0), Some(spi), Some(1)) = (cells.next(), cells.next(), cells.next()) else {
            return Err("the channel has no edge-triggered SPI");
        };
        let which = match node.cells("bulkhead,end").next() {
            Some(0) => channel::End::First,
            Some(1) => channel::End::Second,
            _ => return Err("the channel has more than two ends"),
        };
        if region.base < RAM_BASE || region.base % 4096 != 0 {
            return Err("the channel is not above the devices, in whole pages");
        }
        // The page lies in the same block of 2 MiB: Normal here too, which a store of 32 bits to what traps does not mind.
        // SAFETY: the tree says that memory is there, and this board's devices are all below.
        unsafe { mmu::map_ram(region.base, region.size) };
        let start = ptr::with_exposed_provenance(region.base as usize);
        let count = (region.size / WORD) as usize;
        // SAFETY: the range is mapped, is for nothing else in this partition, and what others write to it meanwhile they write to atomic words.
        let words: &[AtomicU32] = unsafe { slice::from_raw_parts(start, count) };
        interrupt::set_handler(|_| {
            RUNG_AT.store(Timer::Physical.now(), Ordering::Relaxed);
            RUNG.fetch_add(1, Ordering::Relaxed);
        });
        board.gic.init_distributor();
        board.gic.init_cpu();
        board.gic.set_edge(32 + spi);
        board.gic.enable(32 + spi);
        let mut end = Self {
            which,
            words,
            intid: 32 + spi,
            queue: Queue::new(words, which).map_err(|_| "the channel is too small")?,
            page: page.base,
            rings: 0,
        };
        cpu::unmask_interrupts();
        // The other end may wait for what will never come.
        end.answer(Ring::Needed);
        Ok(end)
    }

    /// Sleeps until the other end is there: it rings when it starts.
    pub fn connect(&mut self) -> Result<(), &'static str> {
        loop {
            match self.queue.is_connected() {
                Ok(true) => return Ok(()),
                Ok(false) => sleep_while(|| matches!(self.queue.is_connected(), Ok(false))),
                Err(_) => return Err("the other end speaks another version"),
            }
        }
    }

    /// Rings the other end if it waits.
    pub fn answer(&mut self, ring: Ring) {
        if ring == Ring::Needed {
            self.rings += 1;
            // SAFETY: the device tree says that a store here rings the other end; it changes nothing in this partition.
            unsafe { mmio::write32(self.page, 1) };
        }
    }

    /// Rings the other end and sleeps at once, until it answers: on an emulator whose CPUs take turns the other one has the next turn. Returns the physical counter before
    /// the store that rings.
    pub fn ring_and_sleep(&mut self) -> u64 {
        cpu::mask_interrupts();
        self.queue.wait_for_message();
        let rang_at = Timer::Physical.now();
        self.answer(Ring::Needed);
        cpu::wait_for_interrupt();
        cpu::unmask_interrupts();
        rang_at
    }

    /// Takes the next message, and sleeps until there is one.
    pub fn receive(&mut self, buffer: &mut [u8]) -> channel::Message {
        loop {
            if let Some((message, ring)) = self.queue.receive(buffer) {
                self.answer(ring);
                return message;
            }
            sleep_while(|| self.queue.wait_for_message());
        }
    }

    /// Sends a message, and sleeps while there is no room.
    pub fn send(&mut self, message: &[u8]) -> Result<(), channel::SendError> {
        loop {
            match self.queue.send(message) {
                Ok(ring) => {
                    self.answer(ring);
                    return Ok(());
                }
                Err(channel::SendError::Full) => sleep_while(|| self.queue.wait_for_room()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// How often this end was rung, and when last by the physical counter.
pub fn rung() -> (u32, u64) {
    let count = RUNG.load(Ordering::Relaxed);
    (count, RUNG_AT.load(Ordering::Relaxed))
}

/// Sleeps until the next interrupt if there is something to wait for. Interrupts are masked from the look to the sleep: one that comes between ends it.
fn sleep_while(waits: impl FnOnce() -> bool) {
    cpu::mask_interrupts();
    if waits() {
        cpu::wait_for_interrupt();
    }
    cpu::unmask_interrupts();
}
