//! Counts the interrupts of a Cadence triple timer counter (Zynq UltraScale+ TRM, UG1085, chapter 14), against the architectural timer's clock.
//!
//! The first time it resets itself at the end, with the timer at work. The second time, which it knows by the timer, its interrupts come although nobody has taken them
//! for a while.
#![no_std]
#![no_main]

use board::timer::{self, Timer};
use board::{Board, cpu, mmio, println, psci};

/// Registers of the first of its three counters (UG1087, module TTC).
mod register {
    pub const CLOCK_CONTROL: u64 = 0x00;
    pub const COUNTER_CONTROL: u64 = 0x0c;
    pub const INTERVAL: u64 = 0x24;
    /// Which interrupts came; reading clears them.
    pub const INTERRUPTS: u64 = 0x54;
    pub const ENABLED: u64 = 0x60;
}
/// Half of its clock.
const PRESCALED: u32 = 1;
/// From zero to the interval and again, without a waveform.
const PERIODIC: u32 = 1 << 5 | 1 << 1;
const STOPPED: u32 = 1;
/// Counts of one interval: 16 bits are the fewest that the timer has.
const COUNTS: u32 = 65_000;
/// The interval is over.
const OVER: u32 = 1;

const SAMPLES: u64 = 500;
/// Most from one interrupt to the next, in microseconds.
const PATIENCE_US: u64 = 1_000_000;

/// Registers of the timer.
#[derive(Clone, Copy)]
struct Counter(u64);

impl Counter {
    fn read(self, offset: u64) -> u32 {
        // SAFETY: the device tree says that the timer's registers are there.
        unsafe { mmio::read32(self.0 + offset) }
    }

    fn write(self, offset: u64, value: u32) {
        // SAFETY: as above; a timer writes no memory.
        unsafe { mmio::write32(self.0 + offset, value) }
    }
}

board::entry!(main);

fn main(board: &'static Board) -> ! {
    cpu::mask_interrupts();
    match run(board) {
        Err(what) => println!("ttc: FAILED, {what}"),
        Ok(true) => psci::system_reset(),
        Ok(false) => println!("ttc: done"),
    }
    loop {
        cpu::wait_for_interrupt();
    }
}

/// Counts the interrupts of one start; true after the first one.
fn run(board: &'static Board) -> Result<bool, &'static str> {
    let node = board.find("cdns,ttc").ok_or("there is no timer")?;
    let counter = Counter(node.region().ok_or("the timer has no registers")?.base);
    // An SPI's number is the second cell.
    let intid = 32
        + node
            .cells("interrupts")
            .nth(1)
            .ok_or("the timer has no interrupt")?;
    let first = counter.read(register::ENABLED) == 0;
    println!(
        "ttc: {} start, INTID {intid}",
        if first { "first" } else { "second" }
    );
    board.gic.init_distributor();
    board.gic.init_cpu();
    board.gic.enable(board.virtual_timer);
    board.gic.enable(intid);
    if first {
        counter.write(register::COUNTER_CONTROL, STOPPED);
        counter.write(register::CLOCK_CONTROL, PRESCALED);
        counter.write(register::INTERVAL, COUNTS);
        counter.write(register::ENABLED, OVER);
        counter.write(register::COUNTER_CONTROL, PERIODIC);
    }
    // The first one may have waited for this guest.
    let began = next(board, counter, intid)?;
    let mut last = began;
    for _ in 0..SAMPLES {
        last = next(board, counter, intid)?;
    }
    let each = (last - began) * 1_000_000 / timer::frequency() / SAMPLES;
    println!("ttc: {SAMPLES} of {SAMPLES} interrupts, {each} us each");
    Ok(first)
}

/// Sleeps until the timer's next interrupt, takes it, and says when it came.
fn next(board: &Board, counter: Counter, intid: u32) -> Result<u64, &'static str> {
    Timer::Virtual.arm(Timer::Virtual.now() + timer::ticks(PATIENCE_US));
    let interrupt = loop {
        cpu::wait_for_interrupt();
        if let Some(interrupt) = board.gic.acknowledge() {
            break interrupt;
        }
    };
    let now = Timer::Virtual.now();
    Timer::Virtual.disarm();
    let found = interrupt.intid();
    let over = counter.read(register::INTERRUPTS) & OVER != 0;
    board.gic.end(interrupt);
    match (found == intid, over) {
        (true, true) => Ok(now),
        (true, false) => Err("an interrupt without a cause"),
        (false, _) => Err("no interrupt came"),
    }
}
