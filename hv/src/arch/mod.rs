//! The architectures that the core runs on.

pub mod aarch64;
