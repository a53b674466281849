//! Tries to reach what it does not own, every way that a PC has, and says what it got.
//!
//! Each attack prints `vandal: <what> -> <answer with its count>`, with `BREACH` first if something foreign could be reached; the last lines are
//! `vandal: tried N, contained N, breaches N` and `vandal: done`. Its partition has 16 MiB and the policy `inject`: each access outside is a
//! general-protection fault, and it goes on.
#![no_std]
#![no_main]

mod tally;

use pc::{Machine, cpu, println, probe};
use tally::Tally;

pc::entry!(main);

/// What an access that the hypervisor refuses ends in.
const FAULT: &str = "#GP";

fn main(machine: &Machine) -> ! {
    let end = machine.memory_size();
    println!("vandal: {} MiB are mine", end >> 20);
    let mut tally = Tally::default();
    memory(&mut tally, end);
    registers(&mut tally);
    interrupt_commands(&mut tally);

    let privileged = [probe::vmrun(), probe::clgi()];
    tally.add(
        "instructions of SVM",
        "#UD",
        privileged.map(|outcome| outcome.is_none()),
    );
    if cpu::is_intel() {
        of_vmx(&mut tally);
    }
    extended_state(&mut tally);
    cpu::invalidate_caches();
    ports(&mut tally);

    // Unknown calls answer that they are unknown.
    let unknown = cpu::hypercall(0x1234) == u64::MAX;
    tally.add("unknown hypercall", "refused", [unknown]);
    tally.tell();
    println!("vandal: done");
    cpu::power_off()
}

/// What VMX keeps of the control registers does not show. QEMU, which has no VMX, takes these for something else.
fn of_vmx(tally: &mut Tally) {
    const VMXE: u64 = 1 << 13;
    const NUMERIC_ERROR: u64 = 1 << 5;
    tally.add("instructions of VMX", "#UD", [probe::vmxon().is_none()]);
    let before = cpu::cr4();
    // SAFETY: it is refused.
    let outcome = unsafe { probe::set_cr4(before | VMXE) };
    tally.add("VMXE in CR4", FAULT, [outcome.is_none()]);
    let hidden = [before, cpu::cr4()].map(|cr4| cr4 & VMXE == 0);
    tally.add("look for VMXE in CR4", "hidden", hidden);
    let turned = [(); 2].map(|()| cpu::turn_numeric_error());
    let turned = turned.map(|(before, after)| before ^ after == NUMERIC_ERROR);
    tally.add("NE in CR0", "as written", turned);
}

/// Values of XCR0 that no CPU takes harm nobody.
fn extended_state(tally: &mut Tally) {
    const OSXSAVE: u64 = 1 << 18;
    if cpu::cpuid(1).ecx >> 26 & 1 == 0 {
        return;
    }
    // SAFETY: nothing but XSETBV and its kind depends on this bit.
    unsafe { probe::set_cr4(cpu::cr4() | OSXSAVE) };
    let values = [0, u64::MAX, 1 << 62 | 1].map(|value| probe::set_xcr0(value).is_none());
    tally.add("values that XCR0 has not", FAULT, values);
}

fn memory(tally: &mut Tally, end: u64) {
    // Behind its memory, the hypervisor's other partitions as they lie, the IOAPIC, the APIC's page, the firmware.
    let foreign = [
        end,
        0x200_0000,
        0x3fff_f000,
        0xfec0_0000,
        0xfee0_0000,
        0xffff_fff0,
    ];
    let read = |address| probe::read(address).is_none();
    tally.add("read outside its memory", FAULT, foreign.map(read));
    // SAFETY: it is not the program's memory.
    let written = |address| unsafe { probe::write(address, 0) }.is_none();
    tally.add("write outside its memory", FAULT, foreign.map(written));
}

fn registers(tally: &mut Tally) {
    // VM_CR, VM_HSAVE_PA, SMM_BASE, FEATURE_CONTROL, MTRR.
    let foreign = [0xc001_0114, 0xc001_0117, 0xc001_0111, 0x3a, 0x2ff];
    let read = |register| probe::read_msr(register).is_none();
    tally.add("read of foreign MSRs", FAULT, foreign.map(read));
    // SAFETY: the program does not depend on these.
    let written = |register| unsafe { probe::write_msr(register, 0) }.is_none();
    tally.add("write to foreign MSRs", FAULT, foreign.map(written));
    // EFER as it is, and SVME; the timer as SMI.
    let own = [(0xc000_0080, 0x1500), (0x832, 0x240)];
    // SAFETY: what is refused changes nothing, and its timer is never started.
    let written = |(register, value)| unsafe { probe::write_msr(register, value) }.is_none();
    tally.add("SVME, and the timer as SMI", FAULT, own.map(written));
}

fn interrupt_commands(tally: &mut Tally) {
    // INIT, SIPI, NMI and SMI to all others. A fixed interrupt to another's CPU. The others tell whether one arrives.
    let commands = [
        (0x830, 0xc_4500),
        (0x830, 0xc_4608),
        (0x830, 0xc_4400),
        (0x830, 0xc_4200),
        (0x830, 0x8_4500),
    ];
    // SAFETY: what is dropped changes nothing.
    let sent = |(register, value)| unsafe { probe::write_msr(register, value) }.is_some();
    tally.add("interrupt commands", "no effect", commands.map(sent));
    // SAFETY: the local vector table's entry for LINT0, as SMI, is dropped.
    unsafe { probe::write_msr(0x835, 0x200) };
}

fn ports(tally: &mut Tally) {
    // Reset, keyboard controller's reset, PCI configuration, the interval timer, the PICs, fast A20 with its reset.
    for port in [0xcf9, 0x64, 0xcf8, 0xcfc, 0x43, 0x40, 0x21, 0xa1, 0x92] {
        cpu::output(port, 0xfe);
    }
    // Power off.
    cpu::output_word(0x604, 0x2000);
    let reads = [0xcf9, 0x64, 0x43, 0x40, 0x21, 0xa1, 0x92].map(|port| cpu::input(port) == 0xff);
    tally.add("ports of the machine", "no effect", reads);
}
