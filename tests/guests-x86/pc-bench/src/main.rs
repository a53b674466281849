//! Measures exits and interrupts, 1,000 of each, in ticks of the time stamp counter: under `-icount shift=0,sleep=off` a tick is an instruction.
//!
//! Nothing is subtracted: `bench: overhead` is what two reads of the counter in a row cost.
#![no_std]
#![no_main]

mod peer;

use core::hint::black_box;

use pc::{Machine, apic, cpu, println, probe, second};

pc::entry!(main);

const ROUNDS: usize = 1000;

/// From the arming of a timer to its deadline, for a CPU that spins: longer than arming takes.
const SPIN_US: u64 = 20;
/// The same for a CPU that sleeps: time for another guest of the CPU to go on.
const SLEEP_US: u64 = 100;

/// A row of figures in ticks.
fn row(name: &str, mut sample: impl FnMut() -> u64) {
    let mut times = [0u64; ROUNDS];
    for time in &mut times {
        *time = sample();
    }
    times.sort_unstable();
    let [least, middle, late, most] =
        [0, 50, 99, 100].map(|share| times[(ROUNDS - 1) * share / 100]);
    println!("bench: {name} min={least} p50={middle} p99={late} max={most} ticks");
}

/// From one read of the counter to the next around `what`.
fn measure(name: &str, mut what: impl FnMut()) {
    row(name, || {
        let start = cpu::tsc();
        what();
        cpu::tsc() - start
    });
}

/// Calls `wait` until the timer has interrupted, `us` microseconds from now. Returns the time from that deadline on.
fn timer(us: u64, wait: impl Fn()) -> u64 {
    let (tsc_khz, apic_khz) = cpu::frequencies();
    let [ticks, counts] = [tsc_khz, apic_khz].map(|khz| us * u64::from(khz) / 1000);
    let before = apic::ticks();
    let deadline = cpu::tsc() + ticks;
    apic::wake_after(counts as u32);
    while apic::ticks() == before {
        wait();
    }
    cpu::tsc() - deadline
}

fn main(machine: &Machine) -> ! {
    exits();
    interrupts();
    let mut apics = machine.apics();
    if let (Some(own), Some(other)) = (apics.next(), apics.next()) {
        let peer = peer::start(own, other);
        row("ipi-other", || {
            timer(SPIN_US, cpu::sleep);
            peer.ping()
        });
    }
    println!("bench: done");
    cpu::power_off()
}

fn exits() {
    /// An MSR that the policy answers with zero, and a port that nothing drives.
    const MICROCODE: u32 = 0x8b;
    const NOBODYS: u16 = 0x80;
    measure("overhead", || ());
    measure("vmmcall", || {
        cpu::hypercall(0);
    });
    measure("cpuid", || {
        black_box(cpu::cpuid(0));
    });
    measure("rdmsr", || {
        probe::read_msr(MICROCODE);
    });
    measure("out", || cpu::output(NOBODYS, 0));
}

/// Interrupts of this CPU alone, their handler included.
fn interrupts() {
    let own = probe::read_msr(apic::IDENTIFIER).unwrap_or(0) as u32;
    apic::prepare_timer();
    measure("timer-arm", || apic::wake_after(u32::MAX));
    row("timer-spin", || timer(SPIN_US, cpu::take_interrupts));
    row("timer-hlt", || timer(SLEEP_US, cpu::sleep));
    measure("ipi-self", || {
        apic::interrupt_itself(second::CALL as u8);
        cpu::take_interrupts();
    });
    measure("ipi-command", || {
        apic::command(second::to(own, second::CALL));
        cpu::take_interrupts();
    });
}
