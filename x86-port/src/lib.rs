//! The core of Bulkhead on x86: the parts that can be built and tested on any host.
//!
//! # What is here
//! - [`vendor`]: which hardware virtualization a CPU has, from its CPUID leaves and model-specific registers given as data;
//! - [`npt`]: AMD's nested page tables as a format of the core's table builder, [`hv::memory`].
//!
//! # Limits
//! There is no binary: nothing boots on x86 yet. What that takes (PVH and multiboot2 boot, the world switch by VMRUN, the local APIC,
//! ACPI tables for guests, VT-d) is the subject of the x86 port's own issue.
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

pub mod npt;
pub mod vendor;
