//! Sleeps until its timer, and says how late it woke up: from the timer's deadline to the instruction behind HLT, the interrupt's handler included.
#![no_std]
#![no_main]

use control::spread::Spread;
use pc::{Machine, apic, cpu, println};

pc::entry!(main);

/// From one deadline to the next, in microseconds.
const PERIOD_US: u64 = 1_000;
const SAMPLES: usize = 200;

fn main(_machine: &Machine) -> ! {
    let (tsc_khz, apic_khz) = cpu::frequencies();
    let (tsc_khz, apic_khz) = (u64::from(tsc_khz), u64::from(apic_khz));
    println!("wake: every {PERIOD_US} us");
    apic::prepare_timer();
    let period = PERIOD_US * tsc_khz / 1_000;
    let mut samples = [0; SAMPLES];
    let (mut sleeps, mut missed) = (0, 0);
    let mut deadline = cpu::tsc() + period;
    for sample in &mut samples {
        let left = deadline.saturating_sub(cpu::tsc());
        apic::wake_after((left * apic_khz / tsc_khz).max(1) as u32);
        let mut now = cpu::tsc();
        while now < deadline {
            cpu::sleep();
            sleeps += 1;
            now = cpu::tsc();
        }
        let late = now - deadline;
        *sample = late * 1_000_000 / tsc_khz;
        missed += late / period;
        deadline += period * (late / period + 1);
    }
    let late = Spread::of(&mut samples);
    println!("wake: late {late} ns, missed {missed}, {sleeps} sleeps");
    cpu::power_off()
}
