//! The rules of a system: one file each. A rule reads what is known and reports; it changes nothing and stops no other rule.

mod admission;
mod affinity;
mod carried;
mod channel_ends;
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
mod providers;
mod restart;
mod schedule;
mod start;
mod vcpus;
mod windows;

use crate::board::Board;
use crate::diagnostics::{Diagnostics, SourceText};
use crate::guest_gic;
use crate::nearest::nearest;
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

    /// For each partition whose pool does not exist, the pool that it seems to mean.
    fn misspelt_pools(&self) -> Vec<&str> {
        let pools: Vec<&str> = self
            .system
            .pools
            .iter()
            .map(|pool| pool.name.get_ref().as_str())
            .collect();
        let named = self.system.partitions.iter();
        let unknown = named
            .flat_map(RawPartition::pools)
            .map(|pool| pool.get_ref().as_str())
            .filter(|name| !pools.contains(name));
        unknown
            .filter_map(|name| nearest(name, pools.iter().copied()))
            .collect()
    }

    /// The memory that a partition of `size` bytes sees.
    fn memory(&self, size: u64) -> Option<AddressRange> {
        AddressRange::new(self.board?.ram_base(), size)
    }
}

/// Where a partition sees the frames of its interrupt controller, and what they are.
fn virtual_gic(
    board: &Board,
    partition: &RawPartition,
) -> impl Iterator<Item = (AddressRange, &'static str)> {
    let vcpus = partition.vcpus.len().max(1) as u64;
    let frames = [
        (guest_gic::distributor(board), "the GIC distributor"),
        (guest_gic::cpu_interface(board), "the GIC CPU interface"),
        (
            guest_gic::redistributors(board, vcpus),
            "the GIC redistributor region",
        ),
    ];
    frames
        .into_iter()
        .filter_map(|(range, what)| Some((range?, what)))
}

const RULES: &[fn(&Context<'_>, &mut Diagnostics)] = &[
    carried::check,
    names::check,
    partitions::check,
    pools::check,
    cpus::check,
    vcpus::check,
    affinity::check,
    schedule::check,
    windows::check,
    admission::check,
    start::check,
    restart::check,
    channel_ends::check,
    memory::check,
    image::check,
    devices::check,
    providers::check,
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
