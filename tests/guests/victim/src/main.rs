//! Sleeps until its timer, 20 times, and checks a piece of its memory, byte by byte, and its own registers each time. Then it says how late it
//! woke up, from the timer's deadline to the instruction behind WFI, in nanoseconds; and begins again.
//!
//! Interrupts stay masked, so that no handler of its own is measured.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering};

use board::timer::{self, Timer};
use board::{Board, cpu, println, read_register, write_register};

/// From one deadline to the next, in microseconds.
const PERIOD_US: u64 = 1_000;
const SAMPLES: usize = 20;
/// Doublewords that are checked in a period: all of them in a round.
const PIECE: usize = 2_048;

static MEMORY: [AtomicU64; SAMPLES * PIECE] = [const { AtomicU64::new(0) }; SAMPLES * PIECE];

board::entry!(main);

fn main(board: &'static Board) -> ! {
    cpu::mask_interrupts();
    board.gic.init_distributor();
    board.gic.init_cpu();
    board.gic.enable(board.virtual_timer);
    for (place, word) in MEMORY.iter().enumerate() {
        word.store(secret(place), Ordering::Relaxed);
    }
    write_register!("tpidrro_el0", SECRET);
    println!("victim: ready");
    let mut samples = [0; SAMPLES];
    loop {
        let missed = round(board, &mut samples);
        samples.sort_unstable();
        println!(
            "victim: late p50={} max={} ns, missed={missed}, memory whole",
            samples[SAMPLES / 2 - 1],
            samples[SAMPLES - 1]
        );
    }
}

const SECRET: u64 = 0x0123_4567_89ab_cdef;

/// What belongs there.
fn secret(place: usize) -> u64 {
    SECRET.wrapping_mul(2 * place as u64 + 1)
}

/// Fills the samples. Returns how many deadlines had passed before it could sleep.
fn round(board: &Board, samples: &mut [u64; SAMPLES]) -> u64 {
    let period = timer::ticks(PERIOD_US);
    let mut missed = 0;
    let mut deadline = Timer::Virtual.now() + period;
    for (sample, piece) in samples.iter_mut().zip(0..) {
        Timer::Virtual.arm(deadline);
        let mut now = Timer::Virtual.now();
        while now < deadline {
            cpu::wait_for_interrupt();
            now = Timer::Virtual.now();
        }
        Timer::Virtual.disarm();
        while let Some(interrupt) = board.gic.acknowledge() {
            if interrupt.intid() != board.virtual_timer {
                println!("victim: FAILED, interrupt {}", interrupt.intid());
            }
            board.gic.end(interrupt);
        }
        let late = now - deadline;
        *sample = late * 1_000 / (timer::frequency() / 1_000_000).max(1);
        missed += late / period;
        deadline += period * (late / period + 1);
        check(piece * PIECE);
    }
    missed
}

/// Nobody has changed this piece of the memory, nor a register that is this guest's alone.
fn check(first: usize) {
    for (place, word) in MEMORY.iter().enumerate().skip(first).take(PIECE) {
        let found = word.load(Ordering::Relaxed);
        if found != secret(place) {
            println!("victim: FAILED, memory at {word:p} is {found:#x}");
        }
    }
    let found = read_register!("tpidrro_el0");
    if found != SECRET {
        println!("victim: FAILED, TPIDRRO_EL0 is {found:#x}");
    }
}
