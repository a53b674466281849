//! The queue of a channel, as the ends of a channel have it.

use super::atomic;

#[path = "../../../channel/src/layout.rs"]
pub mod layout;
#[path = "../../../channel/src/queue.rs"]
pub mod queue;
