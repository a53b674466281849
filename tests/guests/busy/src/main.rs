//! Never sleeps, and says how much time it got in each period.
//!
//! It reads the counter in a loop. What lies between two readings was its own time if it is short, and somebody else's otherwise.
//! Periods are those of the system counter, as the hypervisor counts them. What the hypervisor has counted is printed beside it.
#![no_std]
#![no_main]

use core::fmt;

use board::timer::{self, Timer};
use board::{Board, println, psci};

/// Length of a period in microseconds.
const PERIOD_US: u64 = 10_000;
/// Periods that are measured.
const PERIODS: u64 = 50;
/// A gap of more nanoseconds than this was not spent in the loop.
const GAP_NS: u64 = 400;

/// Counters of the hypervisor, in the order of their numbers (docs/guest-abi.md).
const COUNTERS: [&str; 13] = [
    "entries",
    "periods",
    "supply",
    "least",
    "depletions",
    "preemptions",
    "blackout",
    "overrun",
    "late",
    "windows",
    "missed",
    "lateness",
    "migrations",
];

board::entry!(main);

fn main(_board: &'static Board) -> ! {
    println!("busy: spinning");
    let period = timer::ticks(PERIOD_US);
    let gap = (GAP_NS * timer::frequency()).div_ceil(1_000_000_000);
    loop {
        measure(period, gap);
    }
}

/// Measures and prints once.
fn measure(period: u64, gap: u64) {
    let mut last = Timer::Physical.now();
    // The first period is not whole.
    let first = last / period + 1;
    let (mut least, mut most, mut total, mut longest) = (u64::MAX, 0, 0, 0);
    let (mut current, mut supply) = (first - 1, 0);
    while current < first + PERIODS {
        let now = Timer::Physical.now();
        let passed = now - last;
        if passed > gap && current >= first {
            longest = longest.max(passed);
        }
        if now / period == current {
            if passed <= gap {
                supply += passed;
            }
        } else {
            if current >= first {
                least = least.min(supply);
                most = most.max(supply);
                total += supply;
            }
            current = now / period;
            supply = 0;
        }
        last = now;
    }
    let nanoseconds = |ticks: u64| ticks * 1_000 / (timer::frequency() / 1_000_000).max(1);
    println!(
        "busy: supply min={} mean={} max={} gap={} ns",
        nanoseconds(least),
        nanoseconds(total / PERIODS),
        nanoseconds(most),
        nanoseconds(longest)
    );
    println!("busy: counted{Counted}");
}

/// The counters that the hypervisor has of this CPU, as `name=value`.
struct Counted;

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, name) in (0..).zip(COUNTERS) {
            if let Ok(value) = psci::counter(number) {
                write!(f, " {name}={value}")?;
            }
        }
        Ok(())
    }
}
