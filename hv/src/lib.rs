//! The core of Bulkhead: partitions, virtual CPUs, exits, faults, consoles.
//!
//! # Principles
//! - Nothing is created, moved or allocated after boot; every container is sized by the [`System`](model::system::System).
//! - What a guest says is an allegation until it is checked. No guest input can panic, loop without bound, or hold up another partition.
//! - What decides is a pure state machine, tested on the host; what touches hardware is thin, behind [`machine`] and the `gic` crate's traits.
//! - Each pCPU runs one exit at a time, with interrupts masked, on a stack that is empty when the exit begins.
//!
//! # Limits
//! - At most 8 virtual CPUs in a partition, each of which stays on one pCPU.
//! - Guests run at AArch64 EL1, 64-bit kernels; 32-bit programs run where the CPU has AArch32 at EL0.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod arch;
#[cfg(feature = "channels")]
pub mod channel;
pub mod console;
#[cfg(feature = "iommu")]
pub mod dma;
#[cfg(feature = "channels")]
pub mod doorbell;
pub mod event;
pub mod exit;
#[cfg(test)]
mod fake;
#[cfg(feature = "files")]
pub mod files;
#[cfg(feature = "registers")]
pub mod inspect;
pub mod interface;
pub mod machine;
#[cfg(feature = "masked")]
pub mod masked;
pub mod memory;
#[cfg(feature = "monitor")]
pub mod monitor;
#[cfg(not(feature = "monitor"))]
#[path = "monitor/absent.rs"]
pub mod monitor;
pub mod partition;
#[cfg(feature = "pci")]
pub mod pci;
#[cfg(feature = "shared")]
pub mod pool;
#[cfg(not(feature = "shared"))]
#[path = "pool/absent.rs"]
pub mod pool;
pub mod power;
#[cfg(feature = "pristine")]
mod pristine;
pub mod report;
pub mod sync;
pub mod terminal;
#[cfg(feature = "trace")]
pub mod trace;
pub mod uart;
pub mod vcpu;
