//! PCI configuration space, by the ports of mechanism #1 (PCI Local Bus Specification 3.0, 3.2.2.3.2). The hypervisor alone reaches it: functions
//! that partitions own are put in place at boot, and begin requests of their own when their partition says so.

use core::fmt::{self, Display};

use model::StreamId;
use model::x86::Function;
use x86_64::instructions::port::Port;
use x86_port::msi;

/// Offsets in the configuration space (6.1).
const IDENTITY: u8 = 0x00;
const COMMAND: u8 = 0x04;
const HEADER: u8 = 0x0c;
const BAR: u8 = 0x10;
/// Command: ports, memory, requests of its own; no pin interrupts. The status beside it is not changed by zeros.
const PORTS: u32 = 1 << 0;
const MEMORY: u32 = 1 << 1;
const MASTER: u32 = 1 << 2;
const NO_PIN: u32 = 1 << 10;
const COMMANDS: u32 = 0xffff;
/// Header type in its word: 0 for a function that is no bridge.
const TYPE: u32 = 0x7f << 16;

/// All configuration spaces: the two ports belong together, so there is one of these, and who has it has the ports.
pub struct Spaces {
    address: Port<u32>,
    data: Port<u32>,
}

/// One of them.
struct Space<'a> {
    spaces: &'a mut Spaces,
    function: StreamId,
}

impl msi::Space for Space<'_> {
    fn read(&mut self, offset: u8) -> u32 {
        self.spaces.read(self.function, offset)
    }

    fn write(&mut self, offset: u8, value: u32) {
        self.spaces.write(self.function, offset, value);
    }
}

/// Why a function is not what the board says.
pub enum Unfit {
    /// Nothing answers.
    Absent,
    /// It is a bridge.
    Bridge,
    /// This BAR is not one of 32 bits for memory, of this many bytes, 0 if there is none.
    Bar(u8, u64),
}

impl Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("is not there"),
            Self::Bridge => f.write_str("is a bridge"),
            Self::Bar(number, size) => write!(
                f,
                "its BAR {number} has {size:#x} bytes of 32-bit memory, which the board's file says otherwise"
            ),
        }
    }
}

impl Spaces {
    /// The configuration spaces of this PC.
    ///
    /// # Safety
    /// It is called once, and nobody else drives the ports.
    pub const unsafe fn new() -> Self {
        Self {
            address: Port::new(0xcf8),
            data: Port::new(0xcfc),
        }
    }

    fn select(&mut self, function: StreamId, offset: u8) {
        let address = 1 << 31 | function.get() << 8 | u32::from(offset);
        // SAFETY: the ports are this value's own, as its maker says.
        unsafe { self.address.write(address) };
    }

    fn read(&mut self, function: StreamId, offset: u8) -> u32 {
        self.select(function, offset);
        // SAFETY: as in `select`; reads of the registers that are used here have no effect.
        unsafe { self.data.read() }
    }

    fn write(&mut self, function: StreamId, offset: u8, value: u32) {
        self.select(function, offset);
        // SAFETY: as in `select`; BARs go where the board says that nobody answers, and the VT-d unit confines what the function does then.
        unsafe { self.data.write(value) };
    }

    /// Puts a function's BARs where the system has them. It answers there, and does nothing by itself.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn place(&mut self, function: &Function) -> Result<(), Unfit> {
        let stream = function.stream;
        if self.read(stream, IDENTITY) as u16 == u16::MAX {
            return Err(Unfit::Absent);
        }
        if self.read(stream, HEADER) & TYPE != 0 {
            return Err(Unfit::Bridge);
        }
        let command = self.read(stream, COMMAND) & COMMANDS & !(PORTS | MEMORY | MASTER) | NO_PIN;
        self.write(stream, COMMAND, command);
        self.interrupt(stream, None);
        for (number, bar) in (0..).zip(function.bars) {
            let offset = BAR + 4 * number;
            self.write(stream, offset, u32::MAX);
            let answer = self.read(stream, offset);
            // Bits 3:0 are no address; 0 in bits 2:0: memory, of 32 bits (6.2.5.1).
            let size = match answer & 0b111 {
                0 => u64::from((!(answer & !0xf)).wrapping_add(1)),
                _ => 0,
            };
            if size != bar.size {
                return Err(Unfit::Bar(number, size));
            }
            self.write(stream, offset, bar.base.get() as u32);
        }
        self.write(stream, COMMAND, command | MEMORY);
        Ok(())
    }

    /// Has a function interrupt by the entry of the remapping table, or not at all. False: it has no messages.
    pub fn interrupt(&mut self, function: StreamId, entry: Option<u16>) -> bool {
        let mut space = Space {
            spaces: self,
            function,
        };
        match entry {
            Some(entry) => msi::enable(&mut space, entry),
            None => {
                msi::disable(&mut space);
                true
            }
        }
    }

    /// Lets a function begin requests of its own, or not.
    pub fn master(&mut self, function: StreamId, on: bool) {
        let command = self.read(function, COMMAND) & COMMANDS & !MASTER;
        let command = if on { command | MASTER } else { command };
        self.write(function, COMMAND, command);
    }
}
