//! The core of Bulkhead on x86: what decides, built and tested on any host. The image around it is `main.rs`, built for the target alone.
//!
//! # What is here
//! - [`vendor`]: which hardware virtualization a CPU has, from its CPUID leaves and model-specific registers given as data;
//! - [`nested`], [`npt`] and [`host`]: nested and own page tables as formats of the core's table builder, [`hv::memory`];
//! - [`pvh`], [`multiboot2`] and [`memory_map`]: what the boot loader says of the machine;
//! - [`guest`] and [`exit`]: a virtual CPU and its exits, whichever vendor's extension runs it;
//! - [`svm`] and [`vmx`]: AMD's and Intel's: what a virtual CPU begins with, and what an exit means;
//! - [`bell`]: how ends of channels ring one another;
//! - [`policy`]: what a partition sees of its CPUs;
//! - [`msi`] and [`msix`]: interrupts of PCI functions by messages;
//! - [`signal`]: what its virtual CPUs do to one another;
//! - [`phase`]: how they start and stop together;
//! - [`local_apic`]: the local APIC of one that shares its physical CPU.
//!
//! # Limits
//! Virtual CPUs that share physical ones do not move between them. docs/x86.md has the list.
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

pub mod bell;
pub mod exit;
pub mod guest;
pub mod host;
pub mod local_apic;
pub mod memory_map;
pub mod msi;
pub mod msix;
pub mod multiboot2;
pub mod nested;
pub mod npt;
pub mod phase;
pub mod policy;
pub mod pvh;
pub mod signal;
pub mod svm;
pub mod vendor;
pub mod vmx;
