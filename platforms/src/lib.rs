//! Drivers of boards that are not interrupt controllers or IOMMUs: serial ports.
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

pub mod console;
#[cfg(feature = "self-check")]
pub mod cores;
pub mod device_tree;
