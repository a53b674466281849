//! PCI configuration space, by the ports of mechanism #1 (PCI Local Bus Specification 3.0, 3.2.2.3.2). The hypervisor alone reaches it: functions
//! that partitions own are put in place at boot, and begin requests of their own when their partition says so.

use core::fmt::{self, Display};

use model::StreamId;
use model::x86::{Function, MessageTable};
use smmu::Mmio;
use x86_64::instructions::port::Port;
use x86_port::{msi, msix};

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
    /// Its table of messages is not there, but here.
    Messages(Option<MessageTable>),
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
            Self::Messages(Some(table)) => write!(
                f,
                "its table of {} messages is at {:#x} of BAR {}, which the board's file says otherwise",
                table.entries, table.offset, table.bar
            ),
            Self::Messages(None) => f.write_str("has no table of messages (MSI-X)"),
        }
    }
}

/// The table of a function's messages. Only while somebody has the configuration spaces to himself.
fn table(function: &Function) -> Option<Mmio<'static>> {
    let at = function.message_table()?;
    // SAFETY: the BAR was put there, the hypervisor's map has the table, and no partition's has; the function says that it is this large.
    Some(unsafe { Mmio::new(at.base.get() as usize, at.size as usize) })
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
        let mut space = self.space(stream);
        msi::disable(&mut space);
        msix::switch(&mut space, false);
        let found = msix::locate(&mut space);
        if function.messages.is_some() && function.messages != found {
            return Err(Unfit::Messages(found));
        }
        for (number, bar) in (0..).zip(function.bars) {
            let offset = BAR + 4 * number;
            self.write(stream, offset, u32::MAX);
            let answer = self.read(stream, offset);
            // Bits 3:0 are no address; 0 in bits 2:0: memory, of 32 bits; bit 0: ports, which are off (6.2.5.1).
            let size = match answer & 0b111 {
                0 => u64::from((!(answer & !0xf)).wrapping_add(1)),
                _ => 0,
            };
            let is_memory = answer != 0 && answer & 1 == 0;
            if size != bar.size || is_memory != (bar.size > 0) {
                return Err(Unfit::Bar(number, size));
            }
            self.write(stream, offset, bar.base.get() as u32);
        }
        self.write(stream, COMMAND, command | MEMORY);
        Ok(())
    }

    const fn space(&mut self, function: StreamId) -> Space<'_> {
        Space {
            spaces: self,
            function,
        }
    }

    /// Has a message of a function name an entry of the remapping table. False: it has no messages.
    pub fn send(&mut self, function: &Function, message: u16, entry: u16) -> bool {
        let mut space = self.space(function.stream);
        match table(function) {
            Some(mut table) => {
                msix::send(&mut table, message, entry);
                msix::switch(&mut space, true);
                true
            }
            None => msi::enable(&mut space, entry),
        }
    }

    /// Has a message of a function not be sent.
    pub fn mask(&mut self, function: &Function, message: u16) {
        match table(function) {
            Some(mut table) => msix::mask(&mut table, message),
            None => msi::disable(&mut self.space(function.stream)),
        }
    }

    /// Has a function send none of its messages.
    pub fn silence(&mut self, function: &Function) {
        msix::switch(&mut self.space(function.stream), false);
        for message in 0..function.message_count() {
            self.mask(function, message);
        }
    }

    /// Lets a function begin requests of its own, or not.
    pub fn master(&mut self, function: StreamId, on: bool) {
        let command = self.read(function, COMMAND) & COMMANDS & !MASTER;
        let command = if on { command | MASTER } else { command };
        self.write(function, COMMAND, command);
    }
}
