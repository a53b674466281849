//! A second CPU: started by INIT and SIPI (Intel SDM volume 3, 9.4.4), called by interrupts.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::apic;

/// Where the second CPU begins: a page below 1 MiB that nothing else uses.
pub const PAGE: u64 = 0x8000;

/// Vector of a call; the entry code has its handler.
pub const CALL: u64 = 0x41;

static SECOND: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    static guest_startup: u8;
    static guest_startup_end: u8;
    static guest_calls: AtomicU64;
    static guest_non_maskables: AtomicU64;
}

/// Calls so far, of either CPU.
pub fn calls() -> u64 {
    // SAFETY: the entry code defines it, as eight aligned bytes that only its handler changes, atomically. The same holds below.
    unsafe { guest_calls.load(Ordering::Acquire) }
}

/// Non-maskable interrupts so far, of either CPU.
pub fn non_maskables() -> u64 {
    // SAFETY: see `calls`.
    unsafe { guest_non_maskables.load(Ordering::Acquire) }
}

/// An interrupt command for one CPU.
pub const fn to(apic: u32, what: u64) -> u64 {
    (apic as u64) << 32 | what
}

/// INIT, and startup at [`PAGE`].
pub const INIT: u64 = 0x4500;
/// Startup at [`PAGE`].
pub const STARTUP: u64 = 0x4600 | PAGE >> 12;
/// A non-maskable interrupt.
pub const NON_MASKABLE: u64 = 0x4400;

/// Has the CPU `apic` run `main`, whatever it did before.
pub fn start(apic: u32, main: fn() -> !) {
    SECOND.store(main as usize as u64, Ordering::Release);
    let from = &raw const guest_startup;
    let length = &raw const guest_startup_end as usize - from as usize;
    // SAFETY: the page is the program's, and nothing is there.
    unsafe { core::ptr::copy_nonoverlapping(from, PAGE as *mut u8, length) };
    apic::command(to(apic, INIT));
    for _ in 0..2 {
        apic::command(to(apic, STARTUP));
    }
}

/// Called by the entry code on the second CPU, on a stack of its own.
#[unsafe(no_mangle)]
extern "C" fn guest_second() -> ! {
    let main = SECOND.load(Ordering::Acquire) as *const ();
    // SAFETY: `start` has stored a function of this type.
    let main: fn() -> ! = unsafe { core::mem::transmute(main) };
    apic::enable();
    main()
}
