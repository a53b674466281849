//! QEMU's `edu` device (QEMU docs/specs/edu.rst): 4 KiB of memory, and DMA between it and the system.

use board::mmio;
use board::sleep::Sleeper;

/// Bytes that it holds.
pub const SIZE: u64 = 4096;
/// Where it has them, in its own addresses.
const HELD: u64 = 0x4_0000;

const SOURCE: u64 = 0x80;
const DESTINATION: u64 = 0x88;
const COUNT: u64 = 0x90;
const COMMAND: u64 = 0x98;
/// Start; stays set until the transfer is over.
const RUN: u64 = 1;
/// From the device to memory.
const TO_MEMORY: u64 = 1 << 1;
/// A transfer takes 100 ms; in microseconds.
const PATIENCE: u64 = 5_000_000;

/// The device.
pub struct Edu<'a> {
    base: u64,
    sleeper: &'a Sleeper,
}

impl<'a> Edu<'a> {
    /// The device with its registers at `base`.
    ///
    /// # Safety
    /// They are there, and nobody else uses them.
    pub unsafe fn new(base: u64, sleeper: &'a Sleeper) -> Self {
        Self { base, sleeper }
    }

    /// Has the device fill itself from `address`. At most [`SIZE`] bytes.
    pub fn read(&self, address: u64, bytes: u64) {
        self.transfer(address, HELD, bytes, RUN);
    }

    /// Has the device write what it holds to `address`. At most [`SIZE`] bytes.
    pub fn write(&self, address: u64, bytes: u64) {
        self.transfer(HELD, address, bytes, RUN | TO_MEMORY);
    }

    fn transfer(&self, source: u64, destination: u64, bytes: u64, command: u64) {
        let registers = [
            (SOURCE, source),
            (DESTINATION, destination),
            (COUNT, bytes),
            (COMMAND, command),
        ];
        for (register, value) in registers {
            // SAFETY: the device is this guest's own, and what it writes are buffers of atomic words, or nothing that this guest has.
            unsafe { mmio::write64(self.base + register, value) };
        }
        // SAFETY: as above.
        let idle = || unsafe { mmio::read64(self.base + COMMAND) } & RUN == 0;
        if !self.sleeper.wait_until(PATIENCE, idle) {
            crate::fail("the device does not end its transfer");
        }
    }
}
