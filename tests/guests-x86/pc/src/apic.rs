//! The local APIC by its x2APIC registers.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::probe;

/// Vector of the timer; the entry code has its handler.
const VECTOR: u64 = 0x40;
const PERIODIC: u64 = 1 << 17;
/// The MSR with the CPU's identifier.
pub const IDENTIFIER: u32 = 0x802;

unsafe extern "C" {
    static guest_ticks: AtomicU64;
}

fn write(register: u32, value: u64) {
    // SAFETY: registers of the APIC concern no memory.
    unsafe {
        asm!(
            "wrmsr",
            in("ecx") register,
            in("eax") value as u32,
            in("edx") (value >> 32) as u32,
            options(nostack)
        );
    }
}

/// Switches the APIC on, spurious vector 255.
pub fn enable() {
    write(0x80f, 0x1ff);
}

/// Writes the interrupt command register.
pub fn command(value: u64) {
    write(0x830, value);
}

/// Readies the timer for single interrupts of its undivided clock.
pub fn prepare_timer() {
    enable();
    // Divided by 1.
    write(0x83e, 0b1011);
    write(0x832, VECTOR);
}

/// Lets the timer interrupt once, after `count` counts, 1 at least.
pub fn wake_after(count: u32) {
    write(0x838, u64::from(count.max(1)));
}

/// Lets the timer interrupt every `count` counts of its undivided clock.
pub fn start_timer(count: u32) {
    prepare_timer();
    write(0x832, PERIODIC | VECTOR);
    write(0x838, u64::from(count));
}

/// True when an interrupt with this vector waits.
pub fn is_requested(vector: u8) -> bool {
    const REQUESTS: u32 = 0x820;
    let requests = probe::read_msr(REQUESTS + u32::from(vector / 32));
    requests.is_some_and(|requests| requests >> (vector % 32) & 1 != 0)
}

/// Interrupts this CPU with a vector.
pub fn interrupt_itself(vector: u8) {
    write(0x83f, u64::from(vector));
}

/// Holds back interrupts of this class, in bits 7 to 4, and below.
pub fn set_task_priority(priority: u8) {
    write(0x808, u64::from(priority));
}

/// Stops the timer.
pub fn stop_timer() {
    write(0x838, 0);
}

/// Interrupts of the timer so far.
pub fn ticks() -> u64 {
    // SAFETY: the entry code defines it, as eight aligned bytes that only its handler changes, atomically.
    unsafe { guest_ticks.load(Ordering::Relaxed) }
}
