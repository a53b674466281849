//! Never sleeps, and says how much time it got in each period. What the hypervisor has counted is printed beside it.
#![no_std]
#![no_main]

use core::fmt;

use board::timer::{self, Timer};
use board::{Board, println, psci};
use control::supply::Supply;
use model::counter::Counter;

/// Length of a period in microseconds.
const PERIOD_US: u64 = 10_000;
/// A gap of more nanoseconds than this was not spent in the loop.
const GAP_NS: u64 = 400;

board::entry!(main);

fn main(_board: &'static Board) -> ! {
    println!("busy: spinning");
    let period = timer::ticks(PERIOD_US);
    let gap = (GAP_NS * timer::frequency()).div_ceil(1_000_000_000);
    loop {
        let supply = Supply::measure(|| Timer::Physical.now(), period, gap);
        let supply = supply.map(timer::nanoseconds);
        println!("busy: {supply} ns");
        println!("busy: counted{Counted}");
    }
}

/// The counters that the hypervisor has of this CPU, as `name=value`.
struct Counted;

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for counter in Counter::ALL {
            if let Ok(value) = psci::counter(counter as u64) {
                write!(f, " {}={value}", counter.name())?;
            }
        }
        Ok(())
    }
}
