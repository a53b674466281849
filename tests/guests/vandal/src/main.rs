//! Attacks everything that a partition does not own, and says what it got.
//!
//! Each attack prints `vandal: <what> -> <answers with counts>`, with `BREACH` first among the answers if something foreign
//! could be read or changed; the last lines are `vandal: tried N, contained N, breaches N` and `vandal: done`. Then it masks
//! its interrupts and spins for ever. What the device tree gives to it is its own and is left alone, so on the bare board
//! the same program tries less and breaches nothing.
#![no_std]
#![no_main]

use board::{Board, cpu, println};
use vandal::report::Tally;
use vandal::{hypercalls, instructions, interrupts, memory, registers, stage1};

board::entry!(main);

fn main(board: &'static Board) -> ! {
    println!(
        "vandal: {} MiB are mine at {:#x}; the rest is not",
        board.ram_size() >> 20,
        memory::own_ram(board).base
    );
    interrupts::set_up(board);

    let mut tally = Tally::default();
    memory::run(board, &mut tally);
    stage1::run(board, &mut tally);
    registers::run(&mut tally);
    hypercalls::run(board, &mut tally);
    instructions::run(board, &mut tally);
    interrupts::run(board, &mut tally);
    hypercalls::start_other_cpus_nowhere(board, &mut tally);

    println!("vandal: {tally}");
    println!("vandal: done");
    cpu::mask_interrupts();
    loop {
        core::hint::spin_loop();
    }
}
