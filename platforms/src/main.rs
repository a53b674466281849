//! The image: the core, the drivers and one [`SYSTEM`], put together and brought up.
//!
//! Boot goes from the first instruction (hv `arch/aarch64/boot.rs`) through [`boot`] to one endless series of exits on each pCPU:
//! the boot CPU builds the hypervisor's map, compares the board with what the image was built for, builds every partition's translation,
//! starts the other CPUs, and then does what each of them does: configures its EL2 and runs its virtual CPU.
#![no_std]
#![no_main]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[cfg(not(any(feature = "v2", feature = "v3")))]
compile_error!(
    "the image needs its interrupt controller's feature: `cargo xtask build SYSTEM.toml` chooses it"
);
#[cfg(all(feature = "v2", feature = "v3"))]
compile_error!(
    "the image has one interrupt controller: `cargo xtask build SYSTEM.toml` chooses its feature"
);

mod bring_up;
#[cfg(feature = "iommu")]
mod dma;
mod early;
#[cfg(feature = "efi")]
mod efi;
mod epitaph;
mod interrupts;
mod log;
mod machine;
mod map;
#[cfg(feature = "pci")]
mod pci;
#[cfg(feature = "monitor")]
mod records;
#[cfg(feature = "self-check")]
mod self_check;
mod serial;
#[cfg(feature = "shared")]
mod shared;
#[cfg(not(feature = "shared"))]
#[path = "shared/absent.rs"]
mod shared;
#[cfg(feature = "spin")]
mod spin;
mod start;
mod storage;
#[cfg(feature = "trace")]
mod trace;

/// The system that this image is linked with, as the configuration compiler wrote it.
mod table {
    include!(env!("BULKHEAD_SYSTEM"));
}

pub(crate) use table::SYSTEM;
