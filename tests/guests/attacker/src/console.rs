//! A flood of text, and random values in all registers of the console.

use board::random::Random;
use board::{Board, mmio};
use vandal::report::Tally;

const CHARACTERS: u64 = 5_000;
/// Offset of the data register (Arm DDI 0183, 3.3.1).
const DATA: u64 = 0;

/// Writes without looking whether there is room, and then anything anywhere.
pub fn flood(board: &'static Board, _: &mut Tally) {
    let mut random = Random::new(CHARACTERS);
    for _ in 0..CHARACTERS {
        let value = random.draw();
        let (register, value) = match value % 8 {
            0 => (value >> 8 & 0xffc, value >> 32),
            1 => (DATA, u64::from(b'\n')),
            _ => (DATA, value >> 32 & 0x7f),
        };
        // SAFETY: the board's console is there; nothing of Rust's depends on its registers.
        unsafe {
            mmio::write32(board.uart.base + register, value as u32);
            mmio::read32(board.uart.base + register);
        }
    }
}
