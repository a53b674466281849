//! The console: a PL011 (Arm DDI 0183), polled.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU64, Ordering};

use crate::lock::SpinLock;
use crate::mmio;

const DR: u64 = 0x00;
const FR: u64 = 0x18;
const LCR_H: u64 = 0x2c;
const CR: u64 = 0x30;

const FR_RXFE: u32 = 1 << 4;
const FR_TXFF: u32 = 1 << 5;
const LCR_H_8_BITS_FIFO: u32 = 0b111 << 4;
const CR_UARTEN_TXE_RXE: u32 = 1 | 1 << 8 | 1 << 9;

/// The PL011's base address; zero before [`init`].
static BASE: AtomicU64 = AtomicU64::new(0);
static LINE: SpinLock<()> = SpinLock::new(());

/// Takes the PL011 at `base` as the console, or a `generic` UART, which is enabled already.
///
/// # Safety
/// Such a device is mapped there as Device memory.
pub unsafe fn init(base: u64, generic: bool) {
    if !generic {
        // SAFETY: the caller vouches for the device; these are its line and enable registers.
        unsafe {
            mmio::write32(base + LCR_H, LCR_H_8_BITS_FIFO);
            mmio::write32(base + CR, CR_UARTEN_TXE_RXE);
        }
    }
    BASE.store(base, Ordering::Release);
}

struct Transmitter(u64);

impl Transmitter {
    fn send(&mut self, byte: u8) {
        // SAFETY: `init` was given a PL011; reading FR has no side effect, and DR is written only when there is room.
        unsafe {
            while mmio::read32(self.0 + FR) & FR_TXFF != 0 {
                core::hint::spin_loop();
            }
            mmio::write32(self.0 + DR, u32::from(byte));
        }
    }
}

impl Write for Transmitter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.send(byte));
        Ok(())
    }
}

/// Takes the next byte that was typed, if there is one. What the line garbled counts as typed.
pub fn read_byte() -> Option<u8> {
    let base = BASE.load(Ordering::Acquire);
    if base == 0 {
        return None;
    }
    // SAFETY: `init` was given a PL011; reading FR has no side effect, and DR is read only when it holds a byte.
    unsafe { (mmio::read32(base + FR) & FR_RXFE == 0).then(|| mmio::read32(base + DR) as u8) }
}

/// Prints one line; what [`println!`](crate::println) does.
pub fn print_line(line: fmt::Arguments<'_>) {
    let _guard = LINE.lock();
    print_line_unlocked(line);
}

/// Prints one line without waiting for whoever is printing: for a CPU that is about to stop.
pub(crate) fn print_line_unlocked(line: fmt::Arguments<'_>) {
    let base = BASE.load(Ordering::Acquire);
    if base != 0 {
        // The transmitter never fails; a failing `Display` would only cut the line short.
        let _ = write!(Transmitter(base), "{line}\r\n");
    }
}
