//! Packages from Debian's archive, without touching the user's apt configuration.
//!
//! A private apt state (its own sources, lists and cache) is derived from the machine's own sources: the same mirror, the same
//! keyring, plus the backports suite. It serves two ends: a newer QEMU for the host, and for guests and boards arm64 kernels,
//! BusyBox and device trees, which are unpacked into a cache outside the source tree and never installed.

pub mod apt;
pub mod cache;
pub mod package;
pub mod part;
pub mod release;
pub mod sources;
pub mod uio;
