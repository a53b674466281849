//! An ITS with one device, one event, one LPI (Arm IHI 0069, chapters 5 and 6).

use core::cell::UnsafeCell;

use board::gic::Gic;
use board::{Board, Region, cpu, mmio, timer};

/// ITS registers (12.19).
const CTLR: u64 = 0x0000;
const TYPER: u64 = 0x0008;
const CBASER: u64 = 0x0080;
const CWRITER: u64 = 0x0088;
const CREADR: u64 = 0x0090;
const BASER: u64 = 0x0100;
const TRANSLATER: u64 = 0x1_0040;
/// Redistributor registers (12.11).
const GICR_CTLR: u64 = 0x00;
const GICR_TYPER: u64 = 0x08;
const GICR_PROPBASER: u64 = 0x70;
const GICR_PENDBASER: u64 = 0x78;

/// In use; memory that is cached and shared with the other CPUs.
const VALID: u64 = 1 << 63;
const CACHED: u64 = 7 << 59 | 1 << 10;
/// The same in a redistributor's registers.
const CACHED_TABLE: u64 = 7 << 7 | 1 << 10;
/// 14 bits of INTID.
const ID_BITS: u64 = 13;
const PENDING_IS_ZERO: u64 = 1 << 62;
/// The LPI, its byte in the configuration table (priority 0x80, enabled), and its event and collection.
const LPI: u32 = 8192;
const PROPERTIES: u8 = 0x81;
const EVENT: u32 = 0;
const COLLECTION: u64 = 0;
/// A command takes less.
const PATIENCE_US: u64 = 1_000_000;

/// Memory for a table, as aligned as any of them must be.
#[repr(C, align(0x10000))]
struct Table(UnsafeCell<[u8; 0x1_0000]>);

// SAFETY: only its address is used, and volatile stores through it before the hardware is told of it.
unsafe impl Sync for Table {}

impl Table {
    const fn new() -> Self {
        Self(UnsafeCell::new([0; 0x1_0000]))
    }

    fn address(&self) -> u64 {
        self.0.get() as u64
    }
}

static DEVICES: Table = Table::new();
static COLLECTIONS: Table = Table::new();
static EVENTS: Table = Table::new();
static QUEUE: Table = Table::new();
static CONFIGURATION: Table = Table::new();
static PENDING: Table = Table::new();

/// The ITS.
pub struct Its {
    /// Its two frames.
    pub frames: Region,
}

impl Its {
    /// Where the device's message goes, and what it says.
    pub fn doorbell(&self) -> (u64, u32) {
        (self.frames.base + TRANSLATER, EVENT)
    }

    /// Gives the device's event the LPI, at this CPU. Returns the LPI.
    ///
    /// # Errors
    /// What is missing, or does not answer.
    pub fn set_up(&self, board: &Board, device: u32) -> Result<u32, &'static str> {
        let Gic::V3(gic) = board.gic else {
            return Err("an ITS without a GICv3");
        };
        let redistributor = gic
            .redistributor(cpu::affinity())
            .ok_or("no redistributor")?;
        // SAFETY: the table is ours, and nobody reads it yet.
        unsafe { (CONFIGURATION.address() as *mut u8).write_volatile(PROPERTIES) };
        // SAFETY: the tables are this guest's memory, which nothing else uses.
        let target = unsafe {
            mmio::write64(
                redistributor + GICR_PROPBASER,
                CONFIGURATION.address() | CACHED_TABLE | ID_BITS,
            );
            mmio::write64(
                redistributor + GICR_PENDBASER,
                PENDING.address() | CACHED_TABLE | PENDING_IS_ZERO,
            );
            mmio::write32(redistributor + GICR_CTLR, 1);
            let kind = mmio::read64(redistributor + GICR_TYPER);
            match self.read(TYPER) >> 19 & 1 {
                // Redistributors are named by processor number, or by address.
                0 => (kind >> 8 & 0xffff) << 16,
                _ => redistributor,
            }
        };
        self.start();
        let of_device = |number: u64| number | u64::from(device) << 32;
        // MAPC, MAPD with one bit of EventID, MAPTI, INV, SYNC (5.3).
        self.execute(&[
            [0x09, 0, COLLECTION | target | VALID, 0],
            [of_device(0x08), 0, EVENTS.address() | VALID, 0],
            [
                of_device(0x0a),
                u64::from(EVENT) | u64::from(LPI) << 32,
                COLLECTION,
                0,
            ],
            [of_device(0x0c), u64::from(EVENT), 0, 0],
            [0x05, 0, target, 0],
        ])?;
        Ok(LPI)
    }

    fn start(&self) {
        for register in (BASER..BASER + 64).step_by(8) {
            let table = match self.read(register) >> 56 & 7 {
                1 => &DEVICES,
                4 => &COLLECTIONS,
                _ => continue,
            };
            // Sixteen pages of 4 KiB.
            self.write(register, VALID | CACHED | table.address() | 15);
        }
        self.write(CBASER, VALID | CACHED | QUEUE.address());
        self.write(CWRITER, 0);
        // SAFETY: every table is in place.
        unsafe { mmio::write32(self.frames.base + CTLR, 1) };
    }

    /// Says everything of a device that is not this guest's which could take its events away or raise them.
    ///
    /// # Errors
    /// The ITS did not go on behind a command.
    pub fn meddle_with(&self, foreign: u32) -> Result<(), &'static str> {
        let of_device = |number: u64| number | u64::from(foreign) << 32;
        let event = u64::from(EVENT);
        // MAPD, MAPTI, INT, CLEAR, DISCARD, and MAPD that takes the table away (5.3).
        self.execute(&[
            [of_device(0x08), 0, EVENTS.address() | VALID, 0],
            [of_device(0x0a), event | u64::from(LPI) << 32, COLLECTION, 0],
            [of_device(0x03), event, 0, 0],
            [of_device(0x04), event, 0, 0],
            [of_device(0x0f), event, 0, 0],
            [of_device(0x08), 0, 0, 0],
        ])
    }

    /// Has the ITS execute commands, a few in all: the queue is not used twice.
    fn execute(&self, commands: &[[u64; 4]]) -> Result<(), &'static str> {
        let mut at = QUEUE.address() + self.read(CREADR);
        for word in commands.iter().flatten() {
            // SAFETY: a few commands fit the queue, and the hardware does not read them yet.
            unsafe { (at as *mut u64).write_volatile(*word) };
            at += 8;
        }
        // SAFETY: a barrier: the commands are in memory before their end is told.
        unsafe { core::arch::asm!("dsb sy", options(nostack)) };
        let end = at - QUEUE.address();
        self.write(CWRITER, end);
        match timer::wait_until(PATIENCE_US, || self.read(CREADR) == end) {
            true => Ok(()),
            false => Err("the ITS does not execute commands"),
        }
    }

    fn read(&self, offset: u64) -> u64 {
        // SAFETY: the device tree says that an ITS is here; reading has no side effect.
        unsafe { mmio::read64(self.frames.base + offset) }
    }

    fn write(&self, offset: u64, value: u64) {
        // SAFETY: as above; the tables that it is told of are this guest's memory, which nothing else uses.
        unsafe { mmio::write64(self.frames.base + offset, value) }
    }
}
