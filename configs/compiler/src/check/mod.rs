//! The rules of a system: one file each. A rule reads what is known and reports; it changes nothing and stops no other rule.

mod admission;
mod affinity;
mod channel_ends;
mod console;
mod control_page;
mod cpu_policy;
mod cpu_types;
mod cpus;
mod devices;
mod dma;
mod functions;
mod gic;
mod image;
mod interrupts;
mod iommus;
mod memory;
mod msi;
mod names;
mod notices;
mod pages;
mod partitions;
mod pools;
mod providers;
mod ram;
mod readers;
mod repeated;
mod restart;
mod schedule;
mod start;
mod streams;
mod unwatched;
mod vcpus;
mod windows;

use std::ops::Range;

use toml::Spanned;

use crate::board::Board;
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};
use crate::memory::{Arrangement, arrange};
use crate::nearest::nearest;
use crate::ownership::{Claim, Clash, Ledger, Owner, Space, ledger};
use crate::raw::{RawChannel, RawPartition, RawSystem};
use crate::resolve::Resolved;

/// What the rules look at.
pub(crate) struct Context<'a> {
    pub source: &'a SourceText,
    pub system: &'a RawSystem,
    /// `None` when the board could not be read; that is reported already.
    pub board: Option<&'a Board>,
    /// For each partition of the file, what its names stand for.
    pub resolved: &'a [Resolved],
    /// Where memory is.
    pub memory: Arrangement,
    /// Who owns what.
    pub ledger: Ledger,
}

impl<'a> Context<'a> {
    /// Finds a place for all memory, and enters everything in the ledger. What has no place is reported.
    pub fn new(
        source: &'a SourceText,
        system: &'a RawSystem,
        board: Option<&'a Board>,
        resolved: &'a [Resolved],
        findings: &mut Diagnostics,
    ) -> Self {
        let mut context = Self {
            source,
            system,
            board,
            resolved,
            memory: Arrangement::default(),
            ledger: Ledger::default(),
        };
        context.memory = arrange(&context, findings);
        if let Some(board) = board {
            context.ledger = ledger(&context, board);
        }
        context
    }

    /// Each partition of the file with what its names stand for.
    pub fn partitions(&self) -> impl Iterator<Item = (&RawPartition, &Resolved)> {
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

    /// How messages call an owner.
    fn owner(&self, owner: Owner) -> String {
        match owner {
            Owner::Hypervisor => "the hypervisor".to_owned(),
            Owner::Firmware => "firmware".to_owned(),
            Owner::Board => "nobody".to_owned(),
            Owner::Partition(index) => {
                let partition = self.system.partitions.get(index);
                partition.map_or("a partition".to_owned(), RawPartition::title)
            }
            Owner::File(index) => {
                format!("the image of {}", self.owner(Owner::Partition(index)))
            }
            Owner::Channel(index) => {
                let channel = self.system.channels.get(index);
                channel.map_or("a channel".to_owned(), RawChannel::title)
            }
        }
    }

    /// A clash from the side of the one that the system file can change: the later of two places in the file.
    fn sides<'c>(&self, clash: &Clash<'c>) -> (&'c Claim, &'c Claim) {
        let place = |claim: &Claim| claim.span.as_ref().map(|span| span.start);
        if place(clash.first) > place(clash.second) {
            (clash.first, clash.second)
        } else {
            (clash.second, clash.first)
        }
    }

    /// Reports the clashes of a space, each pair of claimants once.
    fn report_clashes(
        &self,
        space: &Space,
        report: impl Fn(&Self, &Clash<'_>) -> Option<Diagnostic>,
        findings: &mut Diagnostics,
    ) {
        let (clashes, cut) = space.clashes();
        let mut found: Vec<Diagnostic> = Vec::new();
        for one in clashes.iter().filter_map(|clash| report(self, clash)) {
            let same =
                |other: &Diagnostic| other.message == one.message && other.location == one.location;
            if !found.iter().any(same) {
                found.push(one);
            }
        }
        if cut && let Some(last) = found.last_mut() {
            last.notes
                .push("there are more clashes: correct these first".to_owned());
        }
        findings.extend(found);
    }

    /// Where the file names its board.
    pub fn board_span(&self) -> Range<usize> {
        self.system.board.as_ref().map_or(0..0, Spanned::span)
    }
}

const RULES: &[fn(&Context<'_>, &mut Diagnostics)] = &[
    names::check,
    partitions::check,
    pools::check,
    cpus::check,
    cpu_policy::check,
    vcpus::check,
    affinity::check,
    cpu_types::check,
    schedule::check,
    windows::check,
    admission::check,
    start::check,
    control_page::check,
    notices::check,
    readers::check,
    repeated::check,
    restart::check,
    unwatched::check,
    channel_ends::check,
    memory::check,
    ram::check,
    image::check,
    devices::check,
    providers::check,
    console::check,
    pages::check,
    interrupts::check,
    dma::check,
    functions::check,
    gic::check,
    msi::check,
    streams::check,
    iommus::check,
];

/// Applies every rule.
pub(crate) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    for rule in RULES {
        rule(context, findings);
    }
}
