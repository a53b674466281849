//! Renesas IPMMU, "IPMMU-VMSA", of R-Car Gen3 and Gen4 and RZ/G2.
//!
//! # The hardware
//! Devices are connected to micro-TLBs of *cache* instances. A micro-TLB that is off lets everything pass untranslated; one that is on uses
//! a *context*. The one *main* instance has a translation table for each context, walks it for all caches, and raises the interrupts.
//! A context that is off translates nothing either. So nothing is ever turned off here: what is to be denied uses a context whose table is
//! empty.
//!
//! Renesas gives the manual (R-Car Gen3 Hardware User's Manual, chapter 16, IPMMU) to customers only. What stands here are the facts that
//! two drivers agree on which Renesas wrote or reviewed, and the binding: Linux drivers/iommu/ipmmu-vmsa.c, Xen
//! xen/drivers/passthrough/arm/ipmmu-vmsa.c, and renesas,ipmmu-vmsa.yaml. It has never run on silicon.
//!
//! # What is here
//! - [`driver`]: the crate's [`Iommu`](crate::Iommu);
//! - [`instances`]: registers of main and caches, micro-TLBs, and the way from one empty table to "nothing passes";
//! - [`context`]: one address space;
//! - [`revision`]: whether the chip is one on which it can be used.
//!
//! # What the hardware does not tell
//! A fault names its context, so the partition, but neither stream nor direction; what faults between two reads of a context's status
//! counts once. It is not told that faults were lost.

pub mod context;
pub mod driver;
pub mod instances;
mod register_map;
#[cfg(any(test, feature = "models"))]
#[allow(missing_docs, reason = "its names are the manual's")]
pub mod register_model;
pub mod revision;
#[cfg(test)]
mod start_tests;
#[cfg(test)]
mod tests;

pub use driver::Driver;
