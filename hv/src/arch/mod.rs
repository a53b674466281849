//! The architectures that the core runs on. Nothing outside names one.

pub mod aarch64;

/// One turn of waiting. Host threads give way: with more of them than CPUs the next ticket's holder may not be running. So does QEMU under
/// `-icount`, which runs one CPU at a time, at a YIELD.
pub(crate) fn relax() {
    #[cfg(all(not(test), target_arch = "aarch64"))]
    // SAFETY: a hint (Arm ARM C6.2, YIELD).
    unsafe {
        core::arch::asm!("yield", options(nomem, nostack, preserves_flags));
    }
    #[cfg(all(not(test), not(target_arch = "aarch64")))]
    core::hint::spin_loop();
    #[cfg(test)]
    std::thread::yield_now();
}
