//! Packages from Debian's archive, without touching the user's apt configuration.
//!
//! A private apt state (its own sources, lists and cache) is derived from the machine's own sources: the same mirror, the same
//! keyring, plus the backports suite. It serves two ends: a newer QEMU for the host, and arm64 kernels and BusyBox for guests,
//! which are unpacked into a cache outside the source tree and never installed.

pub mod apt;
pub mod package;
pub mod release;
pub mod sources;
