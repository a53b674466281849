//! QEMU's `edu` device (QEMU, docs/specs/edu.rst), found and set up through a PCI host bridge's configuration space: an interrupt, which it
//! can send as a message, 4 KiB of memory, and DMA between that and the system.
#![no_std]

use board::{Board, mmio};

/// Vendor and device number.
const EDU: u32 = 0x11e8_1234;
/// Offsets in the configuration space of a function (PCI Local Bus Specification 3.0, 6.1 and 6.8).
const COMMAND: u64 = 0x04;
const BAR0: u64 = 0x10;
const CAPABILITIES: u64 = 0x34;
/// Command: memory space and bus master.
const ON: u32 = 1 << 1 | 1 << 2;
/// Capability: messages; its control word is the upper half of the first word.
const MSI: u32 = 0x05;
const MSI_ENABLE: u32 = 1 << 16;
const MSI_64_BIT: u32 = 1 << 23;
/// A list of capabilities is not longer.
const MOST_CAPABILITIES: usize = 48;

/// Registers of the device: it raises its interrupt when a value is written to the one, and forgets it by the other.
const RAISE: u64 = 0x60;
const ACKNOWLEDGE: u64 = 0x64;
/// DMA: from where, to where, how much, and when.
const SOURCE: u64 = 0x80;
const DESTINATION: u64 = 0x88;
const COUNT: u64 = 0x90;
const TRANSFER: u64 = 0x98;
/// Start; stays set until the transfer is over.
const RUN: u32 = 1;
/// From the device to memory.
const TO_MEMORY: u32 = 1 << 1;
/// Where it has its memory, in its own addresses.
const HELD: u64 = 0x4_0000;
/// Bytes that it holds.
pub const SIZE: u64 = 4096;
/// A transfer takes 100 ms; in microseconds.
pub const PATIENCE_US: u64 = 5_000_000;

/// Code of 32-bit memory in the first cell of an entry of `ranges`.
const MEMORY_32: u32 = 0x0200_0000;

/// The device.
pub struct Edu {
    /// Its bus, device and function.
    requester: u32,
    /// Its configuration space.
    config: u64,
    /// Its message capability.
    msi: Option<u64>,
    registers: u64,
}

impl Edu {
    /// Looks for the device on the first bus, and turns its registers on.
    ///
    /// # Errors
    /// What is missing.
    pub fn find(board: &Board) -> Result<Self, &'static str> {
        let host = board
            .find("pci-host-ecam-generic")
            .ok_or("no PCI host bridge")?;
        let space = host
            .region()
            .ok_or("the bridge has no configuration space")?;
        let window = window(host.cells("ranges")).ok_or("the bridge has no 32-bit window")?;
        let requester = (0..256)
            .find(|function| read(space.base + (u64::from(*function) << 12)) == EDU)
            .ok_or("no edu device")?;
        let config = space.base + (u64::from(requester) << 12);
        write(config + BAR0, window as u32);
        write(config + COMMAND, ON);
        Ok(Self {
            requester,
            config,
            msi: capability(config),
            registers: window,
        })
    }

    /// Its DeviceID: bus, device and function.
    pub const fn requester(&self) -> u32 {
        self.requester
    }

    /// True when it can send messages, as far as this guest sees.
    pub fn has_messages(&self) -> bool {
        self.msi.is_some()
    }

    /// True when messages are turned on, by an earlier start.
    pub fn sends_messages(&self) -> bool {
        self.msi.is_some_and(|msi| read(msi) & MSI_ENABLE != 0)
    }

    /// Turns messages on: `data` to `address`. Nothing happens without [`has_messages`](Self::has_messages).
    pub fn send_messages_to(&self, address: u64, data: u32) {
        let Some(msi) = self.msi else { return };
        let control = read(msi);
        write(msi + 4, address as u32);
        if control & MSI_64_BIT != 0 {
            write(msi + 8, (address >> 32) as u32);
            write(msi + 12, data);
        } else {
            write(msi + 8, data);
        }
        write(msi, control | MSI_ENABLE);
        // The write has reached the device when it is read back.
        read(self.config);
    }

    /// Has it fill itself from `address`. At most [`SIZE`] bytes. It goes on until the device [is idle](Self::is_idle).
    pub fn read(&self, address: u64, bytes: u64) {
        self.transfer(address, HELD, bytes, RUN);
    }

    /// Has it write what it holds to `address`. At most [`SIZE`] bytes. It goes on until the device [is idle](Self::is_idle).
    pub fn write(&self, address: u64, bytes: u64) {
        self.transfer(HELD, address, bytes, RUN | TO_MEMORY);
    }

    /// True when no transfer goes on.
    pub fn is_idle(&self) -> bool {
        read(self.registers + TRANSFER) & RUN == 0
    }

    fn transfer(&self, source: u64, destination: u64, bytes: u64, command: u32) {
        let registers = [
            (SOURCE, source),
            (DESTINATION, destination),
            (COUNT, bytes),
            (TRANSFER, u64::from(command)),
        ];
        for (register, value) in registers {
            // SAFETY: the device is this guest's own; its callers name buffers of atomic words, or what this guest has not.
            unsafe { mmio::write64(self.registers + register, value) };
        }
    }

    /// Has it send its message.
    pub fn raise(&self) {
        write(self.registers + RAISE, 1);
    }

    /// Makes it forget its interrupt.
    pub fn acknowledge(&self) {
        write(self.registers + ACKNOWLEDGE, 1);
    }
}

/// CPU address of the first window for 32-bit memory: three cells of PCI address, two of CPU address, two of size.
fn window(mut cells: impl Iterator<Item = u32>) -> Option<u64> {
    loop {
        let [space, _, _, high, low, _, _] = core::array::from_fn(|_| cells.next());
        if space? & 0x0300_0000 == MEMORY_32 {
            return Some(u64::from(high?) << 32 | u64::from(low?));
        }
    }
}

/// The message capability in a function's list.
fn capability(config: u64) -> Option<u64> {
    let mut at = read(config + CAPABILITIES) & 0xfc;
    for _ in 0..MOST_CAPABILITIES {
        let header = read(config + u64::from(at));
        if at == 0 {
            return None;
        }
        if header & 0xff == MSI {
            return Some(config + u64::from(at));
        }
        at = header >> 8 & 0xfc;
    }
    None
}

fn read(address: u64) -> u32 {
    // SAFETY: the device tree says that configuration space or a window of the bridge is here; reading it changes nothing.
    unsafe { mmio::read32(address) }
}

fn write(address: u64, value: u32) {
    // SAFETY: as in `read`; the device writes to memory only as its message settings say, which are the interrupt controller's.
    unsafe { mmio::write32(address, value) }
}
