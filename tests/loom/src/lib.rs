//! What CPUs do with the words that they share, in every order that the memory model allows.
//!
//! The files under test are the hypervisor's own, compiled here once more with [loom](https://docs.rs/loom)'s atomics instead of the processor's:
//! loom runs each test once for every interleaving of its threads and every value that a load may return.
#![cfg(test)]

/// Loom's, for the files below.
mod atomic {
    pub use loom::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
}

#[path = "../../../hv/src/partition/requests.rs"]
mod requests;
#[path = "../../../hv/src/sync/tickets.rs"]
mod tickets;
#[path = "../../../hv/src/pool/global/whereabouts.rs"]
mod whereabouts;

mod call;
mod channel;
mod lock;
mod messages;
mod pool;
mod sgis;
