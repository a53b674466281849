//! Device register accesses.
//!
//! Written in assembly because a hypervisor can only emulate loads and stores of one general-purpose register without
//! write-back (Arm ARM, ESR_ELx.ISS.ISV), and a compiler promises neither for volatile accesses.

use core::arch::asm;

/// Reads a 32-bit register.
///
/// # Safety
/// `address` is a readable device register or RAM, or a fault guard is active.
pub unsafe fn read32(address: u64) -> u32 {
    let value: u32;
    // SAFETY: the caller vouches for the address.
    unsafe { asm!("ldr {:w}, [{}]", out(reg) value, in(reg) address, options(nostack)) };
    value
}

/// Writes a 32-bit register.
///
/// # Safety
/// Writing `value` to `address` breaks nothing that Rust relies on, or a fault guard is active.
pub unsafe fn write32(address: u64, value: u32) {
    // SAFETY: the caller vouches for the address and the effect.
    unsafe { asm!("str {:w}, [{}]", in(reg) value, in(reg) address, options(nostack)) };
}

/// Reads a 64-bit register.
///
/// # Safety
/// As for [`read32`].
pub unsafe fn read64(address: u64) -> u64 {
    let value: u64;
    // SAFETY: the caller vouches for the address.
    unsafe { asm!("ldr {}, [{}]", out(reg) value, in(reg) address, options(nostack)) };
    value
}

/// Writes a 64-bit register.
///
/// # Safety
/// As for [`write32`].
pub unsafe fn write64(address: u64, value: u64) {
    // SAFETY: the caller vouches for the address and the effect.
    unsafe { asm!("str {}, [{}]", in(reg) value, in(reg) address, options(nostack)) };
}
