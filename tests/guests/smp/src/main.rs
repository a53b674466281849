//! Exercises PSCI, SGIs and both timers on every CPU of the device tree, then switches off.
//!
//! Each step prints one line. A step that fails prints `smp: FAILED …`, and `smp: done` is missing.
#![no_std]
#![no_main]

mod power;
mod ring;
mod timers;
mod worker;

use board::{Board, println, psci};

board::entry!(main);

/// How long a CPU may take to answer; far more than any needs, so that a loaded machine does not fail a test.
const PATIENCE_US: u64 = 20_000_000;

/// What a failed step says.
type Failure = &'static str;

fn main(board: &'static Board) -> ! {
    println!(
        "smp: {} CPUs, GICv{}",
        board.cpus.len(),
        board.gic.version()
    );
    board::interrupt::set_handler(|intid| {
        ring::on_interrupt(intid);
        timers::on_interrupt(intid);
    });
    board.gic.init_distributor();
    worker::set_up_cpu(board);
    board::cpu::unmask_interrupts();
    match run(board) {
        Ok(()) => println!("smp: done {} cpus", board.cpus.len()),
        Err(failure) => println!("smp: FAILED {failure}"),
    }
    psci::system_off()
}

fn run(board: &'static Board) -> Result<(), Failure> {
    power::check_answers(board)?;
    power::start_all(board)?;
    power::check_running(board)?;
    ring::run(board)?;
    timers::run(board)?;
    power::cycle_all(board)
}
