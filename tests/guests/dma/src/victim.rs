//! The victim: memory with a secret in it.

use core::ptr;

use board::sleep::Sleeper;
use board::{Board, println};

/// The first half of the RAM is the program's.
const SHARE: u64 = 2;
/// What every secret word begins with.
const MARK: u32 = 0x5ec0_0000;
const MASK: u32 = 0xffe0_0000;

/// True for a word of the secret.
pub fn is_secret(word: u32) -> bool {
    word & MASK == MARK
}

/// The word of the secret at an index.
fn secret(index: usize) -> u32 {
    MARK | (index as u32 & !MASK)
}

/// Fills the second half of the RAM, and looks at it when it is told to.
pub fn watch(board: &Board, sleeper: &Sleeper) -> ! {
    let Some(ram) = board.ram.first() else {
        crate::fail("no RAM");
    };
    let size = ram.size / SHARE;
    let words = ptr::with_exposed_provenance_mut::<u32>((ram.end() - size) as usize);
    let count = size as usize / size_of::<u32>();
    for index in 0..count {
        // SAFETY: the second half of the RAM: the program, its stacks and the device tree are in the first one.
        unsafe { words.add(index).write_volatile(secret(index)) };
    }
    println!("dma: secret is in place");
    loop {
        if crate::typed(sleeper) != b'c' {
            continue;
        }
        // SAFETY: as above.
        let broken = |index: &usize| unsafe { words.add(*index).read_volatile() } != secret(*index);
        match (0..count).find(broken) {
            None => println!("dma: {size} bytes are intact"),
            Some(index) => println!("dma: FAILED: word {index} has changed"),
        }
    }
}
