//! Has QEMU's `edu` device send it interrupts by message and counts them, before and after a reset.
#![no_std]
#![no_main]

use board::{Board, println, psci};

board::entry!(main);

fn main(board: &'static Board) -> ! {
    match msi::run("msi", board) {
        Ok(true) => {
            println!("msi: resetting");
            psci::system_reset()
        }
        Ok(false) => println!("msi: done"),
        Err(what) => println!("msi: FAILED: {what}"),
    }
    psci::system_off()
}
