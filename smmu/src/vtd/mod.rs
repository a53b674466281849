//! Intel VT-d (Intel 671081, "Virtualization Technology for Directed I/O", revision 4.1), in its legacy mode: a stream is the bus, device and
//! function number by which a PCI function makes its requests.
//!
//! - [`driver`]: from the first register write on, as the crate's [`Iommu`](crate::Iommu);
//! - [`features`]: what the hardware can do;
//! - [`context_table`]: whose function reaches what;
//! - [`interrupt_table`]: which interrupts a function may raise, and where they go;
//! - [`queue`]: telling the hardware to forget;
//! - [`fault_record`]: what it refused.
//!
//! # Limits
//! Its tables and the partitions' are read coherently, or lie in memory that the CPU does not cache: the platform sees to that. Interrupts in the
//! compatibility format are off. QEMU delivers them all the same.

pub mod context_table;
pub mod driver;
pub mod fault_record;
pub mod features;
pub mod interrupt_table;
pub mod queue;
mod register_map;
#[cfg(test)]
mod register_model;
#[cfg(test)]
mod tests;

pub use driver::{VtD, pages};
