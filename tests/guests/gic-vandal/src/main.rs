//! Reads and writes random values at random places of its interrupt controller, a million times and again: every frame that its device tree
//! names, with every width, aligned or not, and every system register of the CPU interface.
//!
//! It keeps its interrupts masked, so whatever it makes pending stays so. After each million it prints `gic-vandal: round N: … faults`, and
//! after the first also `gic-vandal: done`. It never ends.
#![no_std]
#![no_main]

use board::random::Random;
use board::{Board, cpu, println};
use gic_vandal::operate;

/// Operations of a round.
const OPERATIONS: u64 = 1_000_000;

/// The same in every run.
const SEED: u64 = 0x6769_635f_7661_6e64;

board::entry!(main);

fn main(board: &'static Board) -> ! {
    cpu::mask_interrupts();
    let frames = gic_vandal::frames::of(board);
    println!(
        "gic-vandal: GICv{}, {} bytes of registers, {OPERATIONS} operations a round",
        board.gic.version(),
        frames.iter().map(|frame| frame.size).sum::<u64>()
    );
    let mut random = Random::new(SEED);
    for round in 1_u64.. {
        let mut faults = 0_u64;
        for _ in 0..OPERATIONS {
            let choice = random.draw();
            let value = random.draw();
            faults += u64::from(operate(board, &frames, choice, value).is_err());
        }
        println!("gic-vandal: round {round}: {faults} faults");
        if round == 1 {
            println!("gic-vandal: done");
        }
    }
    cpu::park()
}
