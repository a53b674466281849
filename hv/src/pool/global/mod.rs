//! Pools whose virtual CPUs may run on any of several pCPUs: one policy for all of them, behind one lock.
//!
//! # Principles
//! - The policy decides who runs where. Each pCPU asks it about itself, at the end of an exit or when it is called, and does what it says:
//!   a pCPU never touches a virtual CPU that another one has.
//! - A virtual CPU is in one of two places: loaded on a pCPU, which alone reaches it, or put down in the [`Pool`]. It is put down with all of its
//!   state, floating point included, before the policy hears of it, and the policy gives it to another pCPU only afterwards. So nobody ever waits
//!   for a pCPU to put something down: who is chosen and not there yet comes by a call when it is.
//! - Who wants something of a virtual CPU leaves a request and calls the pCPU where it is loaded, or was last ([`Whereabouts`]). A pCPU that
//!   is called looks at the requests of all that are put down.
//! - The lock is held for the decision alone, whose length depends on the size of the pool and on nothing that guests do. Time is read after
//!   the lock was taken.
//! - A pCPU with nothing to run has nothing loaded: it only waits, and hands on the interrupts that come.
//!
//! # Interrupts
//! - List registers are moved as they are. An SPI that a guest ends in one is active in the distributor, which all pCPUs
//!   reach (IHI 0069H 4.1, IHI 0048B 3.2.1); an LPI has no active state.
//! - A timer's interrupt is private to the pCPU, so its physical state goes along: `put_down` tells it, and `take_up` brings the new pCPU into
//!   it. While its virtual CPU is put down, its timer is off, and the pCPU that had it last sets its alarm for a sleeper.
//! - A device's interrupt always goes to the home of its virtual CPU, and is handed on by a note and a call when that is elsewhere. Taking it
//!   along would make each move as long as the list of a partition's interrupts, and write the distributor, which all partitions share.
//!
//! # Translations
//! All virtual CPUs of a partition share its VMID, and what one of them invalidates is invalidated on all pCPUs (`HCR_EL2.FB`, Arm ARM D19.2.48), also
//! on those where it was before. What is left is that another one of the same partition was on this pCPU in the meantime: then the pCPU
//! forgets. A DSB waits only for maintenance that its own pCPU has begun (Arm ARM, "Completion of TLB maintenance"), so there is one
//! before a virtual CPU leaves.
//!
//! # Limits
//! - A virtual CPU that waits is put down, even if nobody needs its place: waking it costs a whole switch.

mod policy;
mod pool;
mod post;
mod turns;
mod whereabouts;

#[cfg(test)]
mod tests;

/// Atomics that a model checker replaces: see `tests/loom`.
mod atomic {
    pub use core::sync::atomic::{AtomicU64, Ordering, fence};
}

pub use policy::{GlobalPolicy, START};
pub use pool::{Member, Pool};
pub use post::Post;
pub use turns::{bring_up, schedule};
pub use whereabouts::Whereabouts;
