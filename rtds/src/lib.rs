//! Scheduling policies: which virtual CPU runs on which physical one, and when.
//!
//! # Principles
//! - A policy is a pure state machine: it is told what happened and what time it is, and answers what to do. It reads no clock, arms no
//!   timer, takes no lock.
//! - Time is [`embassy_time::Instant`] in nanosecond ticks.
//!
//! # What is here
//! - `admission`: whether what is promised fits the processors, asked when a system is built. Behind a feature: no image has it.
//! - [`dedicated`]: the policy of `dedicated` pools, complete. One virtual CPU owns one physical CPU from boot on, and no scheduler runs.
//! - [`key`]: the two orders of the `rtds` policy, by which vCPUs run and by which their budgets are replenished, as types that cannot
//!   be taken for one another.
//!
//! # Limits
//! The `rtds` and `cyclic` policies themselves are not here: [`model::system::Policy`] does not have them. The configuration compiler
//! admits virtual CPUs to such pools, and builds no image for them.
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

#[cfg(any(test, feature = "admission"))]
pub mod admission;
pub mod dedicated;
pub mod key;

pub use dedicated::{AssignError, Dedicated, Owner};
pub use key::{Arrival, Level, ReplenishKey, RunKey};
