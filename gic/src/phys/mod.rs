//! Drivers for the physical interrupt controller.

mod cpu_table;
#[cfg(feature = "its")]
pub mod its;
#[cfg(feature = "its")]
pub mod lpi;
mod mmio;
mod sysreg;
#[cfg(all(test, feature = "v2", feature = "v3"))]
mod tests;
#[cfg(feature = "v2")]
pub mod v2;
#[cfg(feature = "v3")]
pub mod v3;
#[cfg(feature = "v3")]
mod wait;

pub use cpu_table::CpuTable;

/// Priority of every physical interrupt: the hypervisor does not let them preempt each other. The virtual priorities are the guest's.
const PRIORITY: u8 = 0xa0;

/// [`PRIORITY`] for the four interrupts of one priority register.
const FOUR_PRIORITIES: u32 = u32::from_ne_bytes([PRIORITY; 4]);
