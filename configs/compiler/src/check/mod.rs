//! The rules of a system: one file each. A rule reads what is known and reports; it changes nothing and stops no other rule.

mod console;
mod cpus;
mod devices;
mod dma;
mod image;
mod interrupts;
mod memory;
mod names;
mod pages;
mod partitions;
mod pools;
mod vcpus;

use crate::board::Board;
use crate::diagnostics::{Diagnostics, SourceText};
use crate::range::AddressRange;
use crate::raw::{RawPartition, RawSystem};
use crate::resolve::Resolved;

/// What the rules look at.
pub(crate) struct Context<'a> {
    pub source: &'a SourceText,
    pub system: &'a RawSystem,
    /// `None` when the board could not be read; that is reported already.
    pub board: Option<&'a Board>,
    /// For each partition of the file, what its names stand for.
    pub resolved: &'a [Resolved],
}

impl Context<'_> {
    /// Each partition of the file with what its names stand for.
    fn partitions(&self) -> impl Iterator<Item = (&RawPartition, &Resolved)> {
        self.system.partitions.iter().zip(self.resolved)
    }

    /// The memory that a partition of `size` bytes sees.
    fn memory(&self, size: u64) -> Option<AddressRange> {
        AddressRange::new(self.board?.ram_base(), size)
    }
}

const RULES: &[fn(&Context<'_>, &mut Diagnostics)] = &[
    names::check,
    partitions::check,
    pools::check,
    cpus::check,
    vcpus::check,
    memory::check,
    image::check,
    devices::check,
    console::check,
    pages::check,
    interrupts::check,
    dma::check,
];

/// Applies every rule.
pub(crate) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    for rule in RULES {
        rule(context, findings);
    }
}
