//! Plain text straight to the serial port: before there is a console, and after there is one no more. Waits for the wire, within bounds.

use core::fmt::{self, Write};

use crate::console::Port;
use crate::cpu;

/// Text that goes out at once.
struct Early(Port);

impl Write for Early {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.0.write_polled(b'\r');
            }
            self.0.write_polled(byte);
        }
        Ok(())
    }
}

/// One line of the hypervisor's own.
pub fn line(arguments: fmt::Arguments<'_>) {
    let mut early = Early(Port::of_system());
    // Writing cannot fail.
    let _ = early.write_str("[hv] ");
    let _ = early.write_fmt(arguments);
    let _ = early.write_str("\n");
}

/// The image cannot run here: says why in one line, and waits for ever.
pub fn stop(arguments: fmt::Arguments<'_>) -> ! {
    line(format_args!("stop: {arguments}"));
    cpu::halt()
}
