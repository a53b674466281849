//! Channels: where their memory lies in a PC's RAM, where their partitions see it, and who rings whom.

use std::collections::BTreeMap;

use model::memory::{MemoryKind, PAGE};

use super::place::{Free, Placed};
use crate::check::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::memory::{ChannelMemory, behind};
use crate::range::{AddressRange, human_size};
use crate::raw::RawChannel;
use crate::raw::channel::{Access, RawEnd};

/// Memory from this size on lies at a multiple of it, so that it is mapped by blocks.
const BLOCK: u64 = 2 << 20;
/// Where a PC has its local APIC, and where devices write to interrupt.
const APIC: AddressRange = AddressRange {
    base: 0xfee0_0000,
    size: 1 << 20,
};

/// A channel with its place.
pub(super) struct Channel {
    pub name: String,
    pub memory: AddressRange,
    pub uncached: bool,
    pub ends: Vec<End>,
}

/// A partition's end of a channel.
#[derive(Clone, Copy)]
pub(super) struct End {
    /// The partition's place in the file.
    pub partition: usize,
    pub seen: AddressRange,
    pub writable: bool,
    pub doorbell: bool,
}

impl Channel {
    /// How an end is mapped.
    pub fn kind(&self, end: &End) -> MemoryKind {
        match (self.uncached, end.writable) {
            (false, true) => MemoryKind::Shared,
            (false, false) => MemoryKind::ReadOnly,
            (true, true) => MemoryKind::Device,
            (true, false) => MemoryKind::DeviceReadOnly,
        }
    }
}

/// The memory of the file's channels; what it fixes is taken.
pub(super) fn fixed(
    context: &Context<'_>,
    free: &mut Free,
    findings: &mut Diagnostics,
) -> Vec<Option<ChannelMemory>> {
    let channels = context.memory.channels.clone();
    for (memory, raw) in channels.iter().zip(&context.system.channels) {
        let Some(memory) = memory else { continue };
        let Some(lies) = memory.lies() else { continue };
        if !free.take(lies) {
            let message = format!(
                "the memory of {} is not free where it is asked for",
                raw.title()
            );
            findings.push(
                Diagnostic::error(codes::OUTSIDE_RAM, message)
                    .at(context.source, memory.span.clone())
                    .found(lies.to_string())
                    .help("leave `address` out: the compiler finds a place"),
            );
        }
    }
    channels
}

/// Finds a place for every channel, in RAM and in the view of each end. `view`: memory and BARs of each partition.
pub(super) fn arrange(
    context: &Context<'_>,
    channels: &mut [Option<ChannelMemory>],
    free: &mut Free,
    (memory, bars): (Vec<&[Placed]>, &[Vec<AddressRange>]),
    findings: &mut Diagnostics,
) -> Vec<Channel> {
    let partitions = context.system.partitions.iter().enumerate();
    let names =
        partitions.filter_map(|(index, one)| Some((one.name.as_ref()?.get_ref().as_str(), index)));
    let names: BTreeMap<&str, usize> = names.collect();
    let ram = |partition: usize| {
        let regions = memory.get(partition).copied().unwrap_or_default();
        regions.iter().map(|region| region.seen)
    };
    // What rules that ask no board do not know of: memory that they saw no place of, registers, and the local APIC.
    let unknown = |partition: usize| {
        let asked = context
            .memory
            .partitions
            .get(partition)
            .into_iter()
            .flatten();
        let placed = asked
            .zip(ram(partition))
            .filter(|(asked, _)| asked.seen().is_none());
        let bars = bars.get(partition).into_iter().flatten().copied();
        placed.map(|(_, seen)| seen).chain(bars).chain([APIC])
    };
    // What each partition has so far, and what its ends ask for.
    let mut taken: Vec<Vec<AddressRange>> = (0..memory.len())
        .map(|partition| ram(partition).chain(unknown(partition)).collect())
        .collect();
    let partition_of = |end: &RawEnd| names.get(end.partition.get_ref().as_str()).copied();
    for (raw, channel) in context.system.channels.iter().zip(channels.iter()) {
        let Some(channel) = channel else { continue };
        for (number, end) in raw.ends().iter().enumerate() {
            // One beyond all addresses is told of elsewhere.
            let (Some(seen), Some(partition)) = (channel.seen(number), partition_of(end)) else {
                continue;
            };
            if unknown(partition).any(|other| other.overlaps(seen)) {
                findings.push(covered(context, raw, end));
            }
            if let Some(own) = taken.get_mut(partition) {
                own.push(seen);
            }
        }
    }
    let mut found = Vec::new();
    for (raw, channel) in context.system.channels.iter().zip(channels) {
        let (Some(channel), Some(name)) = (channel, &raw.name) else {
            continue;
        };
        let align = if channel.size < BLOCK { PAGE } else { BLOCK };
        channel.pa = channel.pa.or_else(|| free.find(channel.size, align));
        let Some(memory) = channel.lies() else {
            let message = format!("the memory of {} has no place on the board", raw.title());
            findings.push(
                Diagnostic::error(codes::NOT_PLACEABLE, message)
                    .at(context.source, channel.span.clone())
                    .found(human_size(channel.size))
                    .help("ask for less memory here or in a partition"),
            );
            continue;
        };
        let end = |(end, at): (&RawEnd, &Option<u64>)| {
            let partition = partition_of(end)?;
            let behind = || behind(ram(partition), channel.size, taken.get_mut(partition)?);
            Some(End {
                partition,
                seen: AddressRange::new((*at).or_else(behind)?, channel.size)?,
                writable: end.access == Access::ReadWrite,
                doorbell: end.doorbell,
            })
        };
        let ends: Option<Vec<End>> = raw.ends().iter().zip(&channel.ends).map(end).collect();
        found.extend(ends.map(|ends| Channel {
            name: name.get_ref().clone(),
            memory,
            uncached: raw.uncached,
            ends,
        }));
    }
    found
}

fn covered(context: &Context<'_>, raw: &RawChannel, end: &RawEnd) -> Diagnostic {
    let message = format!(
        "partition `{}` would see {} where it sees memory, registers or another channel",
        end.partition.get_ref(),
        raw.title()
    );
    let span = end
        .at
        .as_ref()
        .map_or(end.span.clone(), toml::Spanned::span);
    Diagnostic::error(codes::CHANNEL_COVERS, message)
        .at(context.source, span)
        .help("leave `at` out: the compiler finds a place")
}
