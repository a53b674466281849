//! Says what it sees and leaves through PSCI.
//!
//! The command line chooses another end: `reset` asks for SYSTEM_RESET, `spin` spins for ever, `wfi` sleeps for ever.
#![no_std]
#![no_main]

use board::{Board, cpu, println, psci, timer};

board::entry!(main);

fn main(board: &'static Board) -> ! {
    println!(
        "hello: from EL{} on {}",
        cpu::exception_level(),
        cpu::model().unwrap_or("an unknown CPU")
    );
    println!(
        "hello: {} MiB RAM, {} CPUs, GICv{}, timer at {} Hz",
        board.ram_size() >> 20,
        board.cpus.len(),
        board.gic.version(),
        timer::frequency()
    );
    let ends = |word| {
        board
            .bootargs
            .split_ascii_whitespace()
            .any(|argument| argument == word)
    };
    if ends("reset") {
        println!("hello: resetting");
        psci::system_reset()
    } else if ends("spin") {
        println!("hello: spinning");
        loop {
            core::hint::spin_loop();
        }
    } else if ends("wfi") {
        println!("hello: sleeping");
        cpu::park()
    }
    println!("hello: switching off");
    psci::system_off()
}
