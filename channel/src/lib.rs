//! Messages between the two ends of a channel, in the memory that they share: docs/channels.md has the format.
//!
//! # Principles
//! - One writes, one reads: each word has one end that writes it, in that end's [half](layout) of the memory. So a half may lie in memory that the other
//!   end can only read.
//! - Nothing that the other end writes is trusted. What is read is read once, copied, and bounded before it is used; this end's own numbers are kept
//!   outside the shared memory. Whatever the other end does, a call returns after a bounded number of steps, and never panics.
//! - Data costs no exit. A doorbell is rung only for an end that said that it waits.
//! - Every access is an aligned load or store of 32 bits, so the memory may be mapped as Normal or as Device memory.
//!
//! # Limits
//! - Messages of 0 to [`MOST_BYTES`] bytes; those that an end has not taken are lost when either end starts again.
//! - Of the two ends one is [`First`](End::First) and one [`Second`](End::Second): which is which, both must know beforehand.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

/// The processor's.
mod atomic {
    pub use core::sync::atomic::{AtomicU32, Ordering, fence};
}

pub mod layout;
mod queue;

pub use layout::{End, MOST_BYTES};
pub use queue::{Message, Queue, QueueError, Ring, SendError};

#[cfg(test)]
mod tests;
