//! Spins, and asks nothing of anybody: the neighbour to compare others with.
#![no_std]
#![no_main]

use board::{Board, cpu, println};

board::entry!(main);

fn main(_: &'static Board) -> ! {
    cpu::mask_interrupts();
    println!("spin: spinning");
    loop {
        core::hint::spin_loop();
    }
}
