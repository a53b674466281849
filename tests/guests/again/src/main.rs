//! Asks to be started again as soon as it has started. Its image is large, so that to put it into place takes a while.
#![no_std]
#![no_main]

use board::{Board, println, psci};

/// What makes the image large: a mebibyte that is not zero.
#[used]
static BALLAST: [u8; 1 << 20] = [0xa5; 1 << 20];

board::entry!(main);

fn main(_: &'static Board) -> ! {
    let whole = BALLAST.iter().all(|byte| *byte == 0xa5);
    println!("again: started, {}", if whole { "whole" } else { "FAILED" });
    psci::system_reset()
}
