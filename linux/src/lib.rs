//! What Bulkhead gives to ordinary programs in a Linux partition, by Linux' generic UIO driver (`uio_pdrv_genirq`):
//!
//! - an end of a [`Channel`]: its memory, the page that rings, and the interrupt. docs/channels.md has the whole path;
//! - the page of calls ([`Control`]) about the life of other partitions, of which the program `bulkheadctl` is the command line. docs/containment.md
//!   has that.
//!
//! # Principles
//! - What the kernel says of the device is checked before anything is mapped; what the other end writes is the business of the
//!   [queue](bulkhead_channel), which trusts none of it.
//! - UIO maps memory as Device memory, so only an uncached channel is taken: all accesses are aligned loads and stores of 32 bits.
//! - An end is for the life of its process: its memory is never unmapped, and no reference to it can dangle.

mod bind;
mod control;
mod device;
mod end;
mod map;

pub use bind::BindError;
pub use control::{Answer, Control, ControlError, Covered};
pub use device::{Device, DeviceError};
pub use end::{Channel, OpenError};
