//! The image for PCs: the core, what decides on x86, and one [`SYSTEM`], put together and brought up.
//!
//! Boot goes from the PVH or Multiboot2 entry ([`boot`]) through [`start`] to one endless series of exits on each pCPU ([`run`]): the boot CPU compares
//! the machine with what the image was built for, builds the hypervisor's map and every partition's translation, starts the other CPUs,
//! and then does what each of them does: enters its virtual CPU ([`world`]), does what the exit asks for ([`exits`]), and starts and stops together
//! with the others of the same partition ([`life`], [`siblings`]). Where several virtual CPUs share a pCPU, module `shared` says whose turn it is.
#![no_std]
#![no_main]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod apic;
mod boot;
#[cfg(feature = "channels")]
mod channel;
mod console;
mod cpu;
#[cfg(feature = "defect")]
mod defect;
mod dma;
mod early;
mod epitaph;
mod exceptions;
mod exits;
mod life;
mod loader;
mod log;
mod machine;
mod map;
mod partition;
mod pci;
mod processors;
mod report;
mod run;
mod seat;
#[cfg(feature = "shared")]
mod shared;
mod siblings;
mod start;
mod storage;
#[cfg_attr(not(feature = "trace"), path = "trace/absent.rs")]
mod trace;
mod world;

/// The system that this image is linked with, as the configuration compiler wrote it.
mod table {
    include!(env!("BULKHEAD_SYSTEM"));
}

pub(crate) use table::SYSTEM;
