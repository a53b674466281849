//! What the real-time guests of all architectures have in common: the plant that they control, and what they measure.
#![no_std]

pub mod jitter;
pub mod plant;
pub mod spread;
pub mod supply;
