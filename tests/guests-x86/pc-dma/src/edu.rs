//! QEMU's `edu` device (QEMU, docs/specs/edu.rst): 4 KiB of memory, and DMA between that and the system.

use core::ptr::with_exposed_provenance_mut as pointer;

/// Bytes that it holds.
pub const SIZE: usize = 4096;

/// Registers: identity, interrupts to raise and to end, from where, to where, how much, and when.
const IDENTITY: u64 = 0x00;
const RAISE: u64 = 0x60;
const ACKNOWLEDGE: u64 = 0x64;
const SOURCE: u64 = 0x80;
const DESTINATION: u64 = 0x88;
const COUNT: u64 = 0x90;
const TRANSFER: u64 = 0x98;
/// What the identity ends with.
const EDU: u32 = 0xed;
/// Start; stays set until the transfer is over.
const RUN: u64 = 1;
/// From the device to memory.
const TO_MEMORY: u64 = 1 << 1;
/// Where it has its memory, in its own addresses.
const HELD: u64 = 0x4_0000;

/// The device.
pub struct Edu {
    registers: u64,
}

impl Edu {
    /// With its registers at this address.
    pub fn at(registers: u64) -> Self {
        // SAFETY: the start information says that the device is there.
        let identity = unsafe { pointer::<u32>((registers + IDENTITY) as usize).read_volatile() };
        assert!(identity & 0xff == EDU, "no edu device: {identity:#x}");
        Self { registers }
    }

    /// Has the device fill itself from `address`, and waits for the end. At most [`SIZE`] bytes.
    pub fn read(&self, address: u64, bytes: usize) {
        self.begin(address, HELD, bytes, RUN);
        self.finish();
    }

    /// Has the device write what it holds to `address`, and waits for the end. At most [`SIZE`] bytes.
    pub fn write(&self, address: u64, bytes: usize) {
        self.begin_write(address, bytes);
        self.finish();
    }

    /// Has the device write what it holds to `address`, which it does a tenth of a second later. At most [`SIZE`] bytes.
    pub fn begin_write(&self, address: u64, bytes: usize) {
        self.begin(HELD, address, bytes, RUN | TO_MEMORY);
    }

    /// Has the device interrupt.
    pub fn interrupt(&self) {
        for register in [RAISE, ACKNOWLEDGE] {
            // SAFETY: the device is this guest's own, and these registers concern no memory.
            unsafe { pointer::<u32>((self.registers + register) as usize).write_volatile(1) };
        }
    }

    fn begin(&self, source: u64, destination: u64, bytes: usize, command: u64) {
        for (register, value) in [
            (SOURCE, source),
            (DESTINATION, destination),
            (COUNT, bytes as u64),
            (TRANSFER, command),
        ] {
            // SAFETY: the device is this guest's own; its callers name buffers of atomic words, or what this guest has not.
            unsafe { pointer::<u64>((self.registers + register) as usize).write_volatile(value) };
        }
    }

    /// Waits for the end of what was begun.
    pub fn finish(&self) {
        let transfer = pointer::<u64>((self.registers + TRANSFER) as usize);
        // SAFETY: the device is this guest's own, and a read of this register has no effect.
        while unsafe { transfer.read_volatile() } & RUN != 0 {
            core::hint::spin_loop();
        }
    }
}
