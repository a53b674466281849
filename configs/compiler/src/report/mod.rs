//! The report of a system: who owns what, and why it fits. Facts are collected once; the page and the drawings read only those.
//!
//! ```text
//! plan ── collect ── facts ──┬── report.json
//!                            ├── html ── svg ── report.html
//!                            └── the summary of `check`
//! ```

mod collect;
mod dts;
mod facts;
mod html;
mod markup;
mod owners;
mod risks;
#[cfg(test)]
pub(crate) mod sample;
mod svg;
pub(crate) mod units;
mod verdict;

pub(crate) use collect::{conclude, report, share};
pub use facts::*;
