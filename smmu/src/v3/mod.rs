//! Arm SMMUv3 (Arm IHI 0070): the beginning, deny by default, and the end, naming faults.
//!
//! - [`deny`]: nothing passes, whatever firmware left behind;
//! - [`event`]: decoding the records of the event queue.

pub mod deny;
pub mod event;

pub use deny::deny_all;
pub use event::{Record, decode};
