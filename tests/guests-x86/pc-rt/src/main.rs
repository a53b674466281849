//! A 1 kHz control loop that measures how late it is woken, by the timer of its own local APIC.
//!
//! After 2,000 periods it prints a histogram of its wake-up lateness, as the guest `rt` of the Arm boards does, then one status line every five
//! seconds.
#![no_std]
#![no_main]

mod clock;

use clock::{Clock, PERIOD_US};
use control::jitter::{CLASSES, Jitter};
use control::plant::Loop;
use pc::{Machine, println};
use static_cell::ConstStaticCell;

pc::entry!(main);

/// Periods between two status lines: five seconds.
const STATUS_PERIODS: u64 = 5_000_000 / PERIOD_US;

/// The measurement: larger than the stack.
static JITTER: ConstStaticCell<Jitter> = ConstStaticCell::new(Jitter::new());

fn main(_machine: &Machine) -> ! {
    let mut clock = Clock::start();
    println!(
        "rt: control loop, {PERIOD_US} us period, time stamp counter at {} kHz",
        clock.tsc_khz()
    );
    let mut plant = Loop::default();
    let jitter = JITTER.take();
    clock.begin();
    while {
        let lateness = clock.wait();
        plant.step();
        !jitter.add(lateness)
    } {}
    report(jitter, clock.missed());

    // What was missed while the report was printed is none of the loop's.
    clock.begin();
    let mut worst = 0;
    for period in 1.. {
        worst = worst.max(clock.wait());
        plant.step();
        if period % STATUS_PERIODS == 0 {
            println!(
                "rt: status {period} periods, missed {}, worst {worst} ns, plant at {}/1000",
                clock.missed(),
                plant.output()
            );
            worst = 0;
        }
    }
    pc::cpu::power_off()
}

fn report(jitter: &mut Jitter, missed: u64) {
    if let Some(summary) = jitter.summary() {
        println!("rt: jitter {summary} of {PERIOD_US} us");
    }
    for (low, high, count) in (0..CLASSES).map(|class| jitter.class(class)) {
        if count > 0 {
            println!("rt: jitter {low}..{high} ns {count}");
        }
    }
    println!("rt: missed {missed} periods");
    println!("rt: done");
}
