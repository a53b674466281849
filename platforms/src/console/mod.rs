//! Serial ports that can be the hypervisor's console, one driver each. An image has the one of its board.

#[cfg(feature = "cadence")]
pub mod cadence;
#[cfg(feature = "imx")]
pub mod imx;
#[cfg(feature = "ns16550")]
pub mod ns16550;
#[cfg(feature = "pl011")]
pub mod pl011;
#[cfg(feature = "scif")]
pub mod scif;

use hv::terminal::SerialPort;
use model::board::Console;

/// Reads of a status register that one character may take. At 115,200 baud a character lasts 87 µs, and no register read is quicker
/// than 10 ns: a UART that needs more is stuck.
const PATIENCE: u32 = 100_000;

/// A serial port from the hypervisor's first words to its last.
pub trait Uart: SerialPort + Sized {
    /// The driver of the board's console.
    ///
    /// # Safety
    /// `console.base` is mapped at its own address, as Device memory, to the registers of a port of this kind for as long as the program
    /// runs. No one else uses them at the same time.
    unsafe fn new(console: &Console) -> Self;

    /// Sets the port up: 8 bits, no parity, FIFOs on, no interrupt enabled. The baud rate stays as firmware set it.
    fn init(&mut self);

    /// True while something that was sent is not on the wire yet.
    fn is_sending(&mut self) -> bool;

    /// Waits until what was sent is on the wire, or for as long as one character may take. False when the port is stuck.
    fn flush(&mut self) -> bool {
        wait_until(|| !self.is_sending())
    }

    /// Sends `bytes`, waiting for room: for early text and for the last words. Returns how many went out; fewer than all when the port
    /// is stuck. The wait is bounded.
    fn write_bytes_polled(&mut self, bytes: &[u8]) -> usize {
        let sent = |byte: &&u8| wait_until(|| self.try_write(**byte));
        bytes.iter().take_while(sent).count()
    }
}

/// Asks until `done`, or as often as one character may need; false when it never was.
fn wait_until(mut done: impl FnMut() -> bool) -> bool {
    for _ in 0..PATIENCE {
        if done() {
            return true;
        }
        core::hint::spin_loop();
    }
    false
}

/// Code for the first instructions, before there is a stack: `bulkhead_early_put` sends the character in `w2` by the port whose
/// registers are at `x1`, and changes nothing but `x3` to `x6`. It waits for room as often as [`PATIENCE`] allows: `$wait` leaves the
/// flags at `ne` while there is none, and `$send` sends; both leave `x4` alone.
#[cfg(target_os = "none")]
macro_rules! early_put {
    (wait: $wait:literal, send: $send:literal) => {
        core::arch::global_asm!(
            ".section .text.bulkhead_early_put, \"ax\"",
            ".global bulkhead_early_put",
            "bulkhead_early_put:",
            "    mov     x4, #{patience_low}",
            "    movk    x4, #{patience_high}, lsl #16",
            concat!("1:  ", $wait),
            "    b.eq    2f",
            "    sub     x4, x4, #1",
            "    cbnz    x4, 1b",
            concat!("2:  ", $send),
            "    ret",
            patience_low = const $crate::console::PATIENCE & 0xffff,
            patience_high = const $crate::console::PATIENCE >> 16,
        );
    };
}
#[cfg(target_os = "none")]
use early_put;
