//! EL2 of AArch64, without VHE. What reads registers and runs on the hardware is built for the target only; what decides is plain Rust
//! that the host tests.

pub mod context;
#[cfg(feature = "monitor")]
mod control;
#[cfg(feature = "v3")]
mod controller;
pub mod decode;
#[cfg(feature = "defect")]
mod defect;
#[cfg(feature = "eemi")]
mod eemi;
#[cfg(feature = "firmware-calls")]
mod firmware_calls;
mod frames;
pub mod guest;
pub mod inject;
#[cfg(feature = "its")]
pub(crate) mod its;
#[cfg(feature = "pci")]
mod pci;
pub mod psci;
pub mod short;
pub mod sysreg;
#[cfg(any(feature = "shared", feature = "monitor"))]
mod vendor;
#[cfg(feature = "shared")]
pub mod world;

#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod boot;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod cache;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod copy;
#[cfg(all(target_os = "none", target_arch = "aarch64", feature = "efi"))]
pub mod efi;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod el2;
#[cfg(all(target_os = "none", target_arch = "aarch64", not(feature = "spin")))]
pub mod firmware;
#[cfg(all(target_os = "none", target_arch = "aarch64", feature = "spin"))]
#[path = "spin_table.rs"]
pub mod firmware;
#[cfg(all(target_os = "none", target_arch = "aarch64", feature = "probe"))]
pub mod probe;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
mod registers;
#[cfg(all(target_os = "none", target_arch = "aarch64", feature = "shared"))]
mod switch;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod vectors;

/// Why the vectors call the handler.
pub mod vector {
    /// Synchronous exception.
    pub const SYNCHRONOUS: usize = 0;
    /// IRQ, and FIQ, which carries nothing of its own here: all interrupts are in group 1.
    pub const INTERRUPT: usize = 1;
    /// SError.
    pub const SYSTEM_ERROR: usize = 2;
    /// Synchronous exception, before all registers are stored: see [`short`](super::short).
    pub const SHORT: usize = 3;
    /// How many handlers there are.
    pub const HANDLERS: usize = 4;
}
