//! Where a virtual CPU is, for those who call it.
//!
//! Two sides meet here, each of which writes one word and then reads the other's:
//!
//! | who asks something of it | the pCPU that takes it up |
//! |---|---|
//! | leaves the request | says where it is: [`Whereabouts::arrive`] |
//! | looks where it is: [`Whereabouts::find`] | looks for requests |
//! | calls that pCPU | enters the guest if there are none |
//!
//! With a fence between the two steps on both sides, at least one of them sees what the other has written (the litmus test that is
//! known as store buffering): either the call goes to the new pCPU, or the request is found there. `tests/loom` tries all interleavings.

use super::atomic::{AtomicU64, Ordering, fence};

/// The pCPU that a virtual CPU is loaded on, or was last.
#[derive(Debug)]
pub struct Whereabouts {
    pcpu: AtomicU64,
}

impl Whereabouts {
    /// At first it is looked for on `pcpu`.
    pub fn new(pcpu: u64) -> Self {
        Self {
            pcpu: AtomicU64::new(pcpu),
        }
    }

    /// It is on `pcpu` from now on. Requests that are looked for after this are found, or the call for them comes to `pcpu`.
    pub fn arrive(&self, pcpu: u64) {
        self.pcpu.store(pcpu, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The pCPU to call, after a request was left.
    pub fn find(&self) -> u64 {
        fence(Ordering::SeqCst);
        self.pcpu.load(Ordering::Relaxed)
    }
}
