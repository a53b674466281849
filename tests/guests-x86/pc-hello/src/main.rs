//! Says what it sees and switches off.
#![no_std]
#![no_main]

use pc::{Machine, cpu, println};

pc::entry!(main);

fn main(machine: &Machine) -> ! {
    let leaf = cpu::cpuid(0x4000_0100);
    let mut name = [0; 12];
    for (bytes, word) in name.chunks_exact_mut(4).zip([leaf.ebx, leaf.ecx, leaf.edx]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    println!(
        "hello: from 64-bit mode under {}",
        core::str::from_utf8(&name).unwrap_or("?")
    );
    let (tsc, apic) = cpu::frequencies();
    println!(
        "hello: {} MiB RAM, counter at {tsc} kHz, timer at {apic} kHz",
        machine.memory_size() >> 20
    );
    assert!(
        cpu::cpuid(0x8000_0001).ecx & 1 << 2 == 0,
        "SVM must not be seen"
    );
    println!("hello: switching off");
    cpu::power_off()
}
