//! COM1, polled.

use core::fmt::{self, Write};

use crate::cpu::{input, output};

const COM1: u16 = 0x3f8;
/// Line status: the transmitter takes a byte.
const ROOM: u8 = 1 << 5;

/// The console.
pub struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while input(COM1 + 5) & ROOM == 0 {
                core::hint::spin_loop();
            }
            output(COM1, byte);
        }
        Ok(())
    }
}

/// Line status: a byte was received.
const RECEIVED: u8 = 1 << 0;

/// The oldest byte that was typed.
pub fn read_byte() -> Option<u8> {
    (input(COM1 + 5) & RECEIVED != 0).then(|| input(COM1))
}

/// Prints a line.
#[macro_export]
macro_rules! println {
    ($($argument:tt)*) => {{
        use core::fmt::Write as _;
        // Writing cannot fail.
        let _ = writeln!($crate::console::Console, $($argument)*);
    }};
}
