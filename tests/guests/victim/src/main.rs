//! Sleeps until its timer, 20 times, and checks a piece of its memory, byte by byte, and its own registers each time. Then it says how late it
//! woke up, from the timer's deadline to the instruction behind WFI, in nanoseconds; and begins again. With a channel it takes each ring at once, and
//! takes and sends messages between two deadlines, whatever they are.
//!
//! Interrupts stay masked, so that no handler of its own is measured.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering};

use board::timer::{self, Timer};
use board::{Board, cpu, println, read_register, write_register};
use bulkhead_channel::{MOST_BYTES, Message};
use messages::end::End;

/// From one deadline to the next, in microseconds.
const PERIOD_US: u64 = 1_000;
const SAMPLES: usize = 20;
/// Doublewords that are checked in a period: all of them in a round.
const PIECE: usize = 2_048;
/// Messages that are taken and sent between two deadlines.
const MESSAGES: usize = 4;

static MEMORY: [AtomicU64; SAMPLES * PIECE] = [const { AtomicU64::new(0) }; SAMPLES * PIECE];

board::entry!(main);

fn main(board: &'static Board) -> ! {
    cpu::mask_interrupts();
    board.gic.init_distributor();
    board.gic.init_cpu();
    // It sets the interrupt controller up anew, and unmasks interrupts.
    let mut end = End::find(board).ok();
    cpu::mask_interrupts();
    board.gic.enable(board.virtual_timer);
    for (place, word) in MEMORY.iter().enumerate() {
        word.store(secret(place), Ordering::Relaxed);
    }
    write_register!("tpidrro_el0", SECRET);
    println!("victim: ready");
    let mut samples = [0; SAMPLES];
    loop {
        let missed = round(board, &mut end, &mut samples);
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
fn round(board: &Board, end: &mut Option<End>, samples: &mut [u64; SAMPLES]) -> u64 {
    let period = timer::ticks(PERIOD_US);
    let mut missed = 0;
    let mut deadline = Timer::Virtual.now() + period;
    for (sample, piece) in samples.iter_mut().zip(0..) {
        Timer::Virtual.arm(deadline);
        let mut now = Timer::Virtual.now();
        while now < deadline {
            cpu::wait_for_interrupt();
            if end.is_some() {
                take_interrupts(board, end);
            }
            now = Timer::Virtual.now();
        }
        Timer::Virtual.disarm();
        take_interrupts(board, end);
        let late = now - deadline;
        *sample = timer::nanoseconds(late);
        missed += late / period;
        deadline += period * (late / period + 1);
        check(piece * PIECE);
        exchange(end);
    }
    missed
}

/// Takes what interrupts: the timer, and the doorbell if there is one.
fn take_interrupts(board: &Board, end: &Option<End>) {
    while let Some(interrupt) = board.gic.acknowledge() {
        let intid = interrupt.intid();
        let is_bell = end.as_ref().is_some_and(|end| end.intid == intid);
        if intid == board.virtual_timer {
            // Its line stays up until then.
            Timer::Virtual.disarm();
        } else if !is_bell {
            println!("victim: FAILED, interrupt {intid}");
        }
        board.gic.end(interrupt);
    }
}

/// Uses the channel as if the other end kept its rules. What comes is nothing, a message of a possible length, or the word that some are lost.
fn exchange(end: &mut Option<End>) {
    let Some(end) = end else { return };
    let mut buffer = [0; MOST_BYTES];
    for _ in 0..MESSAGES {
        if let Some((message, ring)) = end.queue.receive(&mut buffer) {
            if matches!(message, Message::Whole(length) if length > MOST_BYTES) {
                println!("victim: FAILED, a message of impossible length");
            }
            end.answer(ring);
        }
        if let Ok(ring) = end.queue.send(&buffer) {
            end.answer(ring);
        }
    }
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
