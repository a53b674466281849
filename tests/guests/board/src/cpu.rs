//! This CPU: its registers, identity and interrupt mask.

use core::arch::asm;

/// Reads a system register by its assembler name.
#[macro_export]
macro_rules! read_register {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: the registers named in this workspace have no side effect on Rust's memory when read.
        unsafe { ::core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value, options(nomem, nostack)) };
        value
    }};
}

/// Writes a system register by its assembler name and synchronizes the context.
#[macro_export]
macro_rules! write_register {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: the registers written in this workspace are timers, the interrupt interface, and plain numbers; none changes memory.
        unsafe { ::core::arch::asm!(concat!("msr ", $name, ", {}"), "isb", in(reg) value, options(nostack)) };
    }};
}

/// The exception level, 0 to 3.
pub fn exception_level() -> u64 {
    (read_register!("CurrentEL") >> 2) & 3
}

/// This CPU's index in the device tree.
pub fn index() -> usize {
    // The boot code keeps it in TPIDR_EL0, which nothing else here uses.
    read_register!("tpidr_el0") as usize
}

/// The affinity fields of MPIDR_EL1: Aff3 in bits 39:32, Aff2 to Aff0 in bits 23:0, all else zero.
pub fn affinity() -> u64 {
    read_register!("mpidr_el1") & 0xff_00ff_ffff
}

/// The CPU's product name, or `None` for one that is not listed here.
pub fn model() -> Option<&'static str> {
    let midr = read_register!("midr_el1");
    match (midr >> 24 & 0xff, midr >> 4 & 0xfff) {
        (0x41, 0xd03) => Some("cortex-a53"),
        (0x41, 0xd04) => Some("cortex-a35"),
        (0x41, 0xd05) => Some("cortex-a55"),
        (0x41, 0xd07) => Some("cortex-a57"),
        (0x41, 0xd08) => Some("cortex-a72"),
        (0x41, 0xd0b) => Some("cortex-a76"),
        (0x41, 0xd0c) => Some("neoverse-n1"),
        (0x41, 0xd49) => Some("neoverse-n2"),
        (0, 0x051) => Some("qemu-max"),
        _ => None,
    }
}

/// Masks IRQ on this CPU and says whether it was unmasked before.
pub fn mask_interrupts() -> bool {
    let before = read_register!("daif");
    // SAFETY: masking interrupts cannot break memory safety; the memory clobber keeps guarded accesses behind it.
    unsafe { asm!("msr daifset, #2", options(nostack)) };
    before & (1 << 7) == 0
}

/// Unmasks IRQ on this CPU.
pub fn unmask_interrupts() {
    // SAFETY: handlers are Rust functions that only touch what is shared safely.
    unsafe { asm!("msr daifclr, #2", options(nostack)) };
}

/// Waits for an interrupt, which wakes the CPU even while it is masked.
pub fn wait_for_interrupt() {
    // SAFETY: WFI changes no state; DSB completes earlier stores first.
    unsafe { asm!("dsb sy", "wfi", options(nostack)) };
}

/// Stops this CPU for ever, interrupts masked.
pub fn park() -> ! {
    mask_interrupts();
    loop {
        wait_for_interrupt();
    }
}
