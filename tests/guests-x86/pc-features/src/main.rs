//! Says which features CPUID shows, which values XCR0 takes, and which MSRs can be reached.
#![no_std]
#![no_main]

use pc::{Machine, cpu, println, probe};

pc::entry!(main);

/// CR4.OSXSAVE.
const OS_XSAVE: u64 = 1 << 18;

fn main(_machine: &Machine) -> ! {
    let shows = |word: u32, bit: u32| if word >> bit & 1 != 0 { "yes" } else { "no" };
    let basic = cpu::cpuid(1).ecx;
    println!(
        "features: sse4.2 {}, xsave {}, avx {}, rdrand {}, avx2 {}",
        shows(basic, 20),
        shows(basic, 26),
        shows(basic, 28),
        shows(basic, 30),
        shows(cpu::cpuid(7).ebx, 5)
    );
    // SAFETY: the bit makes XSETBV exist, and nothing else here depends on it.
    let taken = unsafe { probe::set_cr4(cpu::cr4() | OS_XSAVE) }.is_some();
    let state = cpu::cpuid(0xd).eax;
    println!(
        "features: OSXSAVE taken: {taken}, shown {}, components {:#x}",
        shows(cpu::cpuid(1).ecx, 27),
        state & 0b111
    );
    for value in [0b011, 0b111, 0b101, 0b001] {
        let taken = probe::set_xcr0(value).is_some();
        println!("features: XCR0 {value:#x} taken: {taken}");
    }
    for (name, msr) in [
        ("SYSENTER_EIP", 0x176),
        ("PAT", 0x277),
        ("TSC_AUX", 0xc000_0103),
    ] {
        let value = probe::read_msr(msr);
        // SAFETY: it gets the value that it has.
        let written = value.and_then(|value| unsafe { probe::write_msr(msr, value) });
        let [read, written] = [value, written].map(|done| done.is_some());
        println!("features: {name} read: {read}, written: {written}");
    }
    println!("features: done");
    cpu::power_off()
}
