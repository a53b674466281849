//! The vocabulary that the configuration compiler and the hypervisor share.
//!
//! A [`System`](system::System) is what is left of a TOML file and a device tree after every check has passed: plain `'static` data
//! with no pointer to anything that can change. The compiler writes it as Rust source, the image is linked with it, and the
//! hypervisor sizes every container from it.
//!
//! Principles:
//! - types only, with the invariants that a type can carry; checks live in the compiler, behaviour in `hv`;
//! - addresses, interrupts and CPUs are newtypes, so that an intermediate physical address never stands where a physical one must;
//! - everything can be built in a `const`.
#![no_std]

pub mod board;
#[cfg(feature = "monitor")]
pub mod call;
#[cfg(feature = "channels")]
pub mod channel;
#[cfg(any(feature = "monitor", feature = "pristine"))]
pub mod checksum;
#[cfg(feature = "counters")]
pub mod counter;
pub mod device;
#[cfg(feature = "channels")]
pub mod doorbell;
pub mod exit;
#[cfg(feature = "files")]
pub mod file;
#[cfg(feature = "eemi")]
pub mod firmware;
pub mod ids;
#[cfg(feature = "iommu")]
pub mod iommu;
#[cfg(feature = "ipmmu")]
pub mod ipmmu;
#[cfg(feature = "its")]
pub mod its;
pub mod memory;
#[cfg(feature = "monitor")]
pub mod monitor;
pub mod partition;
#[cfg(feature = "pci")]
pub mod pci;
pub mod system;
pub mod time;
#[cfg(feature = "trace")]
pub mod trace;
#[cfg(feature = "x86")]
pub mod x86;

pub use ids::{IntId, Ipa, Mpidr, Pa, PartitionId, PcpuId, StreamId, VcpuId, Vmid};
