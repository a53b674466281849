//! Measures exits, 1,000 of each, in ticks of the time stamp counter: under `-icount shift=0,sleep=off` a tick is an instruction.
//!
//! A figure is the difference of two counter reads; nothing is subtracted, and `bench: overhead` is what two reads in a row cost.
#![no_std]
#![no_main]

use pc::{Machine, cpu, println, probe};

pc::entry!(main);

const ROUNDS: usize = 1000;

fn measure(name: &str, mut what: impl FnMut()) {
    let mut times = [0u64; ROUNDS];
    for time in &mut times {
        let start = cpu::tsc();
        what();
        *time = cpu::tsc() - start;
    }
    times.sort_unstable();
    let [least, middle, late, most] =
        [0, 50, 99, 100].map(|share| times[(ROUNDS - 1) * share / 100]);
    println!("bench: {name} min={least} p50={middle} p99={late} max={most} ticks");
}

fn main(_machine: &Machine) -> ! {
    /// An MSR that the policy answers with zero, and a port that nothing drives.
    const MICROCODE: u32 = 0x8b;
    const NOBODYS: u16 = 0x80;
    measure("overhead", || ());
    measure("vmmcall", || {
        cpu::hypercall(0);
    });
    measure("cpuid", || {
        core::hint::black_box(cpu::cpuid(0));
    });
    measure("rdmsr", || {
        probe::read_msr(MICROCODE);
    });
    measure("out", || cpu::output(NOBODYS, 0));
    println!("bench: done");
    cpu::power_off()
}
