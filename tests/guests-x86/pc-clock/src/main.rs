//! Counts interrupts of its own timer, which reach it without the hypervisor, and switches off.
#![no_std]
#![no_main]

use pc::{Machine, apic, cpu, println};

pc::entry!(main);

/// Interrupts that are counted.
const TICKS: u64 = 500;

fn main(_machine: &Machine) -> ! {
    let (tsc_khz, apic_khz) = cpu::frequencies();
    println!("clock: {TICKS} ticks of 1 ms");
    let start = cpu::tsc();
    apic::start_timer(apic_khz);
    while apic::ticks() < TICKS {
        cpu::sleep();
    }
    apic::stop_timer();
    let milliseconds = (cpu::tsc() - start) / u64::from(tsc_khz.max(1));
    // A tick may come late, and later ones may catch up; none comes before its time. The frequencies were measured beside whatever else the
    // host of an emulated machine did.
    assert!(
        milliseconds >= TICKS / 2,
        "{TICKS} ticks in {milliseconds} ms"
    );
    println!("clock: done, {milliseconds} ms");
    cpu::power_off()
}
