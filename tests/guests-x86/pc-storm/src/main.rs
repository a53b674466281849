//! Exits as often as it can, in every way that it has, one after the other, for those who share its CPU to wake up beside; then for ever by a timer
//! whose interrupts leave no time for anything else. Its partition has the policy `inject`.
#![no_std]
#![no_main]

use pc::{Machine, apic, cpu, println, probe, second};

pc::entry!(main);

/// How long a storm lasts, in milliseconds.
const LENGTH_MS: u64 = 10;

/// A storm: what it is called, what begins it, and what it does again and again.
type Storm = (&'static str, fn(), fn());

const STORMS: [Storm; 11] = [
    ("hypercalls", nothing, || {
        cpu::hypercall(0x1234);
    }),
    ("CPUID", nothing, || {
        core::hint::black_box(cpu::cpuid(0));
    }),
    ("MSRs that are refused", nothing, || {
        probe::read_msr(0x3a);
    }),
    ("timers that end at once", apic::prepare_timer, || {
        apic::wake_after(1);
        cpu::take_interrupts();
    }),
    (
        "a timer of a short period",
        short_period,
        cpu::take_interrupts,
    ),
    ("the same, not taken", short_period, nothing),
    ("interrupts to itself", apic::stop_timer, || {
        apic::interrupt_itself(second::CALL as u8);
        cpu::take_interrupts();
    }),
    ("interrupts that its priority holds back", nothing, || {
        apic::set_task_priority(0xff);
        apic::interrupt_itself(second::CALL as u8);
        cpu::take_interrupts();
        apic::set_task_priority(0);
        cpu::take_interrupts();
    }),
    ("NMIs to itself", nothing, || {
        let own = probe::read_msr(apic::IDENTIFIER).unwrap_or(0) as u32;
        apic::command(second::to(own, second::NON_MASKABLE));
    }),
    ("text", nothing, || {
        cpu::output(0x3f8, b'.');
        cpu::output(0x3f8, b'\n');
    }),
    ("foreign memory", nothing, || {
        probe::read(0x3fff_f000);
    }),
];

fn nothing() {}

/// Some two times as long as an interrupt takes.
fn short_period() {
    apic::start_timer(1_500);
}

fn main(_machine: &Machine) -> ! {
    let length = LENGTH_MS * u64::from(cpu::frequencies().0);
    let mut rounds = 0u64;
    for (_, begin, again) in STORMS {
        begin();
        let start = cpu::tsc();
        while cpu::tsc() - start < length {
            again();
            rounds += 1;
        }
    }
    println!("storm: {} kinds, {rounds} rounds", STORMS.len());
    // One interrupt after the other: no instruction comes between.
    apic::start_timer(1);
    loop {
        cpu::take_interrupts();
    }
}
