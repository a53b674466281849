//! Plain text straight to the UART: before there is a console, and after there is one no more. Waits for the wire, within bounds.

use core::fmt::{self, Write};

use crate::SYSTEM;
use crate::serial::Port;
use hv::arch::aarch64::firmware;
use platforms::console::Uart;

/// The UART's physical address for the first instructions, which run with the MMU off.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "named for the assembly")]
static bulkhead_early_uart: u64 = SYSTEM.board.console.base.get();

/// How a 16550's registers lie, for the same instructions: the shift, and the width of an access above it.
#[cfg(feature = "ns16550")]
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "named for the assembly")]
static bulkhead_early_layout: u64 = match SYSTEM.board.console.kind {
    model::board::ConsoleKind::Ns16550 { shift, width } => shift as u64 | (width as u64) << 8,
    // Not reached: an image has the driver of its console's kind.
    _ => 0,
};

/// Text that goes out at once.
pub struct Early(Port);

impl Early {
    /// The board's UART.
    pub fn new() -> Self {
        // SAFETY: the board's device tree says that a port of this kind is there, and `map` maps it at its physical address. Whoever else
        // drives it has not begun, or is not coming back.
        Self(unsafe { Port::new(&SYSTEM.board.console) })
    }

    /// Prepares the UART.
    pub fn init(&mut self) {
        self.0.init();
    }
}

impl Write for Early {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.0.write_bytes_polled(b"\r");
            }
            self.0.write_bytes_polled(&[byte]);
        }
        Ok(())
    }
}

/// One line of the hypervisor's own.
pub fn line(arguments: fmt::Arguments<'_>) {
    let mut early = Early::new();
    // Writing cannot fail.
    let _ = early.write_str("[hv] ");
    let _ = early.write_fmt(arguments);
    let _ = early.write_str("\n");
}

/// The image cannot run here: says why in one line, and waits for ever.
pub fn stop(arguments: fmt::Arguments<'_>) -> ! {
    line(format_args!("stop: {arguments}"));
    firmware::halt()
}
