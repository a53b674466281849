//! Instructions.

use core::arch::asm;
use core::arch::x86_64::{__cpuid, _rdtsc, CpuidResult};

/// CPUID with ECX = 0.
pub fn cpuid(leaf: u32) -> CpuidResult {
    __cpuid(leaf)
}

/// The time stamp counter.
pub fn tsc() -> u64 {
    // SAFETY: every CPU with long mode has it.
    unsafe { _rdtsc() }
}

/// Frequency of the time stamp counter and of the APIC's timer in kHz, as the hypervisor says.
pub fn frequencies() -> (u32, u32) {
    let leaf = cpuid(0x4000_0010);
    (leaf.eax, leaf.ebx)
}

/// Reads a byte from an I/O port.
pub fn input(port: u16) -> u8 {
    let value;
    // SAFETY: no port concerns memory that Rust knows of.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nostack)) };
    value
}

/// Writes a byte to an I/O port.
pub fn output(port: u16, value: u8) {
    // SAFETY: as for `input`.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nostack)) };
}

/// Writes 16 bits to an I/O port.
pub fn output_word(port: u16, value: u16) {
    // SAFETY: as for `input`.
    unsafe { asm!("out dx, ax", in("dx") port, in("ax") value, options(nostack)) };
}

/// CR4.
pub fn cr4() -> u64 {
    let value;
    // SAFETY: reading has no effect.
    unsafe { asm!("mov {}, cr4", out(reg) value, options(nostack, nomem)) };
    value
}

/// Turns CR0.NE over, and returns CR0 as it was and as it is.
pub fn turn_numeric_error() -> (u64, u64) {
    const NUMERIC_ERROR: u64 = 1 << 5;
    let (before, after);
    // SAFETY: the bit says how errors of floating point are told, and the program has none.
    unsafe {
        asm!(
            "mov {before}, cr0",
            "mov {after}, {before}",
            "xor {after}, {bit}",
            "mov cr0, {after}",
            "mov {after}, cr0",
            before = out(reg) before,
            after = out(reg) after,
            bit = in(reg) NUMERIC_ERROR,
            options(nostack)
        );
    }
    (before, after)
}

/// INVD.
pub fn invalidate_caches() {
    // SAFETY: the hypervisor does not let it drop anything.
    unsafe { asm!("invd", options(nostack)) };
}

/// Takes interrupts that wait.
pub fn take_interrupts() {
    // SAFETY: the handlers keep all registers and touch only what is theirs.
    unsafe { asm!("sti", "nop", "cli", options(nostack)) };
}

/// Sleeps until an interrupt has been taken.
pub fn sleep() {
    // SAFETY: the handlers keep all registers and touch only what is theirs.
    unsafe { asm!("sti", "hlt", "cli", options(nostack)) };
}

/// The CPU is Intel's.
pub fn is_intel() -> bool {
    cpuid(0).ebx == u32::from_le_bytes(*b"Genu")
}

/// Turns every VMMCALL of the program into a VMCALL where the CPU is Intel's: they differ in the last byte alone.
pub fn choose_hypercall() {
    unsafe extern "C" {
        static __start_hypercalls: u64;
        static __stop_hypercalls: u64;
    }
    if !is_intel() {
        return;
    }
    let (first, end) = (&raw const __start_hypercalls, &raw const __stop_hypercalls);
    let mut site = first;
    while site < end {
        // SAFETY: the linker has put the addresses of all such instructions between these symbols; the program's memory is mapped writable, and no other
        // CPU executes it yet.
        unsafe {
            (*site as *mut u8).add(2).write_volatile(0xc1);
            site = site.add(1);
        }
    }
}

/// A hypercall without an argument. Returns RAX.
pub fn hypercall(function: u32) -> u64 {
    hypercall_with(function, 0)
}

/// A hypercall with an argument in RBX. Returns RAX.
pub fn hypercall_with(function: u32, argument: u64) -> u64 {
    hypercall_with_two(function, argument, 0)
}

/// A hypercall with arguments in RBX and RCX. Returns RAX.
pub fn hypercall_with_two(function: u32, argument: u64, second: u64) -> u64 {
    let answer;
    // SAFETY: the hypervisor changes no registers but these; RBX, which Rust keeps for itself, is put back.
    unsafe {
        asm!(
            "xchg rbx, {argument}",
            "2:",
            "vmmcall",
            ".pushsection hypercalls, \"aR\", @progbits",
            ".quad 2b",
            ".popsection",
            "xchg rbx, {argument}",
            argument = inout(reg) argument => _,
            inout("rax") u64::from(function) => answer,
            inout("rcx") second => _,
            out("rdx") _,
            options(nostack)
        );
    }
    answer
}

/// PSCI SYSTEM_OFF.
pub fn power_off() -> ! {
    loop {
        hypercall(0x8400_0008);
    }
}
