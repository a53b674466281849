//! One end of a channel, as its device tree describes it.
//!
//! The end that may write fills the whole channel with the next message when `w` is typed on its console, and resets its
//! partition when `r` is typed. The end that may only read waits for each message, checks every word of it, and then tries to
//! write. Both say first what the channel held when they started: messages are numbered, zeros are number 0.
#![no_std]
#![no_main]

mod end;

use board::{Board, println, psci, timer, uart};

use end::End;

/// How long a reader waits for the next message, in microseconds.
const PATIENCE: u64 = 60_000_000;
/// How often a writer looks for what was typed, in microseconds.
const PERIOD: u64 = 1_000;

board::entry!(main);

fn main(board: &'static Board) -> ! {
    let end = End::find(board).unwrap_or_else(|what| fail(what));
    println!(
        "channel: {} is {}, {} KiB at {:#x}",
        end.name,
        if end.writable {
            "read-write"
        } else {
            "read-only"
        },
        end.region.size >> 10,
        end.region.base
    );
    let number = end.message();
    match number {
        Some(0) => println!("channel: starts with zeros only"),
        Some(number) => println!("channel: starts with message {number}"),
        None => println!("channel: starts with neither zeros nor a message"),
    }
    if end.writable {
        write(&end, number.unwrap_or(0))
    } else {
        read(&end, number.unwrap_or(0))
    }
}

/// Writes a message, or starts anew, when it is told to.
fn write(end: &End, mut number: u64) -> ! {
    loop {
        match uart::read_byte() {
            Some(b'w') => {
                number += 1;
                end.write(number);
                println!("channel: wrote message {number}");
            }
            Some(b'r') => {
                println!("channel: resetting");
                psci::system_reset()
            }
            Some(_) => (),
            None => {
                timer::wait_until(PERIOD, || false);
            }
        }
    }
}

/// Checks each message, and that this end cannot change it.
fn read(end: &End, mut number: u64) -> ! {
    loop {
        if !timer::wait_until(PATIENCE, || end.number() != number) {
            fail("no new message");
        }
        number = end
            .message()
            .unwrap_or_else(|| fail("the message is not whole"));
        println!("channel: message {number} is whole");
        for address in end.edges() {
            match end.try_write(address) {
                Ok(()) => println!("channel: write at {address:#x} was not refused"),
                Err(fault) => println!(
                    "channel: write at {:#x} refused: {}, status {:#x}",
                    fault.address,
                    fault.class(),
                    fault.status()
                ),
            }
        }
        if end.message() != Some(number) {
            fail("the message changed");
        }
        println!("channel: message {number} is still whole");
    }
}

fn fail(what: &str) -> ! {
    println!("channel: FAILED: {what}");
    psci::system_off()
}
