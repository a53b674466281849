//! Never sleeps, and says how much time it got in each period of 10 ms. It prints the same a second time, when others have begun and ended what they do at
//! their start, and goes on.
#![no_std]
#![no_main]

use control::supply::Supply;
use pc::{Machine, cpu, println};

pc::entry!(main);

/// Length of a period in milliseconds.
const PERIOD_MS: u64 = 10;
/// A gap of more nanoseconds than this was not spent in the loop.
const GAP_NS: u64 = 400;

fn main(_machine: &Machine) -> ! {
    println!("busy: spinning");
    let khz = u64::from(cpu::frequencies().0);
    let (period, short) = (PERIOD_MS * khz, (GAP_NS * khz).div_ceil(1_000_000));
    loop {
        let supply = Supply::measure(cpu::tsc, period, short);
        let supply = supply.map(|ticks| ticks * 1_000_000 / khz);
        println!("busy: {supply} ns");
    }
}
