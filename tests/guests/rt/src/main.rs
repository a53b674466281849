//! A 1 kHz control loop on embassy that measures how late it is woken.
//!
//! After 2,000 periods it prints a histogram of its wake-up lateness, then one status line every five seconds.
#![no_std]
#![no_main]

mod clock;
mod executor;
mod tasks;

use board::{Board, println};

board::entry!(main);

fn main(board: &'static Board) -> ! {
    println!(
        "rt: control loop, {} us period, virtual timer at {} Hz",
        tasks::PERIOD.as_micros(),
        board::timer::frequency()
    );
    clock::start(board);
    executor::run(|spawner| {
        spawner.spawn(tasks::control_loop().expect("one control loop is started"));
        spawner.spawn(tasks::reporter().expect("one reporter is started"));
    })
}
