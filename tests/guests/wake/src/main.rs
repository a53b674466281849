//! Sleeps in WFI until its timer, and says how late it woke up: from the timer's deadline to the instruction behind WFI.
//!
//! Interrupts stay masked, so that no handler of its own is measured. The unit is a nanosecond.
#![no_std]
#![no_main]

use board::timer::{self, Timer};
use board::{Board, cpu, println};
use control::spread::Spread;

/// From one deadline to the next, in microseconds.
const PERIOD_US: u64 = 1_000;
const SAMPLES: usize = 500;

board::entry!(main);

fn main(board: &'static Board) -> ! {
    cpu::mask_interrupts();
    board.gic.init_distributor();
    board.gic.init_cpu();
    board.gic.enable(board.virtual_timer);
    println!("wake: every {PERIOD_US} us");
    let mut samples = [0; SAMPLES];
    loop {
        let (sleeps, missed) = measure(board, &mut samples);
        let late = Spread::of(&mut samples);
        println!("wake: late {late} ns, missed {missed}, {sleeps} sleeps");
    }
}

/// Fills the samples. Returns how often it slept, and how many deadlines had passed before it could sleep.
fn measure(board: &Board, samples: &mut [u64; SAMPLES]) -> (u64, u64) {
    let period = timer::ticks(PERIOD_US);
    let (mut sleeps, mut missed) = (0, 0);
    let mut deadline = Timer::Virtual.now() + period;
    for sample in samples {
        Timer::Virtual.arm(deadline);
        let mut now = Timer::Virtual.now();
        while now < deadline {
            cpu::wait_for_interrupt();
            sleeps += 1;
            now = Timer::Virtual.now();
        }
        Timer::Virtual.disarm();
        if let Some(interrupt) = board.gic.acknowledge() {
            board.gic.end(interrupt);
        }
        let late = now - deadline;
        *sample = timer::nanoseconds(late);
        missed += late / period;
        deadline += period * (late / period + 1);
    }
    (sleeps, missed)
}
