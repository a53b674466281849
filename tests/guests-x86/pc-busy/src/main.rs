//! Never sleeps, and says how much time it got in each period of 10 ms.
//!
//! It reads the time stamp counter in a loop. What lies between two readings was its own time if it is short, and somebody else's otherwise.
//! Periods count from the counter's start, as the hypervisor counts them. It prints the same a second time, when others have begun and ended what
//! they do at their start, and goes on.
#![no_std]
#![no_main]

use pc::{Machine, cpu, println};

pc::entry!(main);

/// Length of a period in milliseconds.
const PERIOD_MS: u64 = 10;
/// Periods that are measured.
const PERIODS: u64 = 50;
/// A gap of more nanoseconds than this was not spent in the loop.
const GAP_NS: u64 = 400;

fn main(_machine: &Machine) -> ! {
    println!("busy: spinning");
    let khz = u64::from(cpu::frequencies().0);
    loop {
        measure(khz);
    }
}

/// Measures and prints once.
fn measure(khz: u64) {
    let (period, short) = (PERIOD_MS * khz, (GAP_NS * khz).div_ceil(1_000_000));
    let mut last = cpu::tsc();
    // The first period is not whole.
    let first = last / period + 1;
    let (mut least, mut most, mut total, mut longest) = (u64::MAX, 0, 0, 0);
    let (mut current, mut supply) = (first - 1, 0);
    while current < first + PERIODS {
        let now = cpu::tsc();
        let passed = now - last;
        if passed > short && current >= first {
            longest = longest.max(passed);
        }
        if now / period == current {
            if passed <= short {
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
    let nanoseconds = |ticks: u64| ticks * 1_000_000 / khz;
    println!(
        "busy: supply min={} mean={} max={} gap={} ns",
        nanoseconds(least),
        nanoseconds(total / PERIODS),
        nanoseconds(most),
        nanoseconds(longest)
    );
}
