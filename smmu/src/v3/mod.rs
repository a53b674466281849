//! Arm SMMUv3 (Arm IHI 0070).
//!
//! - [`deny`]: nothing passes, whatever firmware left behind;
//! - [`driver`]: the rest of it, as the crate's [`Iommu`](crate::Iommu);
//! - [`features`]: what the hardware can do;
//! - [`entry`] and [`stream_table`]: whose stream reaches what;
//! - [`command_queue`]: telling the SMMU to forget;
//! - [`event_queue`] and [`event`]: what it refused.

pub mod command_queue;
pub mod deny;
pub mod driver;
pub mod entry;
pub mod event;
pub mod event_queue;
pub mod features;
mod register_map;
#[cfg(any(test, feature = "models"))]
#[allow(missing_docs, reason = "its names are the manual's")]
pub mod register_model;
pub mod stream_table;
#[cfg(test)]
mod tests;

pub use deny::deny_all;
pub use driver::{SmmuV3, pages};
