//! Arm SMMUv2 (Arm IHI 0062): MMU-500 (Arm DDI 0517) and ThunderX's among them.
//!
//! Each partition behind it has one context bank with its stage 2, from the first bank on. Each stream has a stream mapping entry that
//! leads to its partition's bank, or to a fault. What matches no entry faults, too.
//!
//! - [`deny`]: nothing passes, whatever firmware left behind;
//! - [`driver`]: the rest of it, as the crate's [`Iommu`](crate::Iommu);
//! - [`features`]: what the hardware can do, and where its registers are;
//! - [`mapping`]: which entries a device's streams take;
//! - [`context`]: what a partition's context bank holds;
//! - [`fault`]: what it refused.
//!
//! # ThunderX
//! Its SMMUs share one TLB, so a VMID must mean the same at all of them (Cavium erratum 27704). It does: a VMID is a partition's in the
//! whole system, and so are its tables.

pub mod context;
pub mod deny;
pub mod driver;
pub mod fault;
pub mod features;
pub mod mapping;
mod register_map;
#[cfg(any(test, feature = "models"))]
#[allow(missing_docs, reason = "its names are the manual's")]
pub mod register_model;
#[cfg(test)]
mod tests;

pub use deny::deny_all;
pub use driver::{SmmuV2, start};
