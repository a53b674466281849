//! Drivers for the physical interrupt controller.

mod cpu_table;
mod mmio;
mod sysreg;
#[cfg(test)]
mod tests;
pub mod v2;
pub mod v3;

pub use cpu_table::{CpuTable, MAX_CPUS};

/// Priority of every physical interrupt: the hypervisor does not let them preempt each other. The virtual priorities are the guest's.
const PRIORITY: u8 = 0xa0;

/// [`PRIORITY`] for the four interrupts of one priority register.
const FOUR_PRIORITIES: u32 = u32::from_ne_bytes([PRIORITY; 4]);

/// How often a status bit is read before the hardware counts as dead: far above the few accesses that any implementation needs,
/// and less than a second even when each read takes a microsecond.
const PATIENCE: u32 = 500_000;

/// Reads until `done` holds; false when it never does.
fn wait_until(mut done: impl FnMut() -> bool) -> bool {
    (0..PATIENCE).any(|_| {
        let finished = done();
        if !finished {
            core::hint::spin_loop();
        }
        finished
    })
}
