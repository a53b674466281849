//! Scheduling policies: which virtual CPU runs on which physical one, and when.
//!
//! # Principles
//! - A policy is a pure state machine: it is told what happened and what time it is, and answers what to do. It reads no clock, arms no
//!   timer, takes no lock.
//! - Time is [`embassy_time::Instant`] in nanosecond ticks.
//!
//! # What is here
//! - [`rtds`](mod@rtds): budgets in periods, the earliest deadline first. [`key`] has its two orders, by which virtual CPUs run and by
//!   which their budgets are replenished, as types that cannot be taken for one another; [`queue`] is the queue for both; [`account`]
//!   and [`counters`] are about one virtual CPU.
//! - [`cyclic`]: windows of a frame that repeats.
//! - `admission`: whether what is promised fits the processors, asked when a system is built. Behind a feature: no image has it.
//! - `sim`: a simulator that drives the policy of the image on the host, with a model of the reference's rules beside it. Behind a
//!   feature too.
//!
//! An image has the features `rtds` and `cyclic` only for pools with these policies. `dedicated` pools have none: one virtual CPU owns one physical CPU from
//! boot on, and no scheduler runs.
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

#[cfg(any(test, feature = "sim"))]
extern crate alloc;

#[cfg(all(feature = "rtds", any(test, feature = "admission")))]
pub mod admission;
#[cfg(feature = "cyclic")]
pub mod cyclic;
#[cfg(any(feature = "rtds", feature = "cyclic"))]
pub mod ids;

#[cfg(feature = "rtds")]
pub mod account;
#[cfg(feature = "rtds")]
pub mod counters;
#[cfg(feature = "rtds")]
pub mod key;
#[cfg(feature = "rtds")]
pub mod queue;
#[cfg(feature = "rtds")]
pub mod rtds;
#[cfg(all(feature = "rtds", any(test, feature = "sim")))]
pub mod sim;
#[cfg(feature = "rtds")]
mod slots;

#[cfg(all(test, feature = "rtds"))]
mod tests;

#[cfg(any(feature = "rtds", feature = "cyclic"))]
pub use ids::{PcpuIndex, PcpuSet, VcpuIndex};
#[cfg(feature = "rtds")]
pub use {
    account::{Parameters, Reservation, ReservationError},
    counters::Counters,
    key::{Arrival, Level, ReplenishKey, RunKey},
    rtds::{Actions, AddError, Event, Rtds, Standing},
};
