//! An end of a channel in a Linux partition, for ordinary programs: Linux' generic UIO driver (`uio_pdrv_genirq`, bound by its parameter
//! `of_id=bulkhead,channel-uncached`) gives out the memory, the page that rings, and the interrupt. docs/channels.md has the whole path.
//!
//! # Principles
//! - What the kernel says of the device is checked before anything is mapped; what the other end writes is the business of the
//!   [queue](bulkhead_channel), which trusts none of it.
//! - UIO maps memory as Device memory, so only an uncached channel is taken: all accesses are aligned loads and stores of 32 bits.
//! - An end is for the life of its process: its memory is never unmapped, and no reference to it can dangle.

mod device;
mod end;

pub use device::{Device, DeviceError};
pub use end::{Channel, OpenError};
