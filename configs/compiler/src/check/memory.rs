//! What a partition sees at addresses of its own does not overlap: memory, channels, registers.

use std::ops::Range;

use toml::Spanned;

use super::Context;
use crate::board::Board;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::memory::seen;
use crate::ownership::Owner;
use crate::range::{AddressRange, human_size};
use crate::stage2::address_bits;

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    for index in 0..context.system.partitions.len() {
        let mut things = view(context, index);
        too_far(context, &things, findings);
        wraps(context, index, findings);
        things.sort_by_key(|thing| thing.pages);
        overlaps(context, index, &things, findings);
    }
}

/// A kind of thing in a partition's view, in the order in which findings are about one rather than the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Channel,
    Region,
    Device,
    Emulated,
}

/// A thing in a partition's view.
struct Thing {
    kind: Kind,
    pages: AddressRange,
    /// As it is shown.
    range: AddressRange,
    what: String,
    /// Where the system file asks for it.
    span: Range<usize>,
}

fn view(context: &Context<'_>, index: usize) -> Vec<Thing> {
    let partition = &context.system.partitions[index];
    let mut things = Vec::new();
    if let (Some(board), Some(resolved)) = (context.board, context.resolved.get(index)) {
        for one in seen(board, partition, resolved) {
            let mut devices = resolved.devices.iter();
            let device = devices.find(|(_, device)| device.path == one.what);
            things.push(Thing {
                kind: if one.emulated {
                    Kind::Emulated
                } else {
                    Kind::Device
                },
                pages: one.pages,
                range: one.range,
                what: one.what,
                span: device.map_or(partition.span.clone(), |(span, _)| span.clone()),
            });
        }
    }
    let mut memory = |kind, range: Option<AddressRange>, what: String, span: Range<usize>| {
        things.extend(range.map(|range| Thing {
            kind,
            pages: range,
            range,
            what,
            span,
        }));
    };
    for region in context.memory.partitions.get(index).into_iter().flatten() {
        let what = format!("the memory of {}", partition.title());
        memory(Kind::Region, region.seen(), what, region.span.clone());
    }
    let page = context.memory.pages.get(index).copied().flatten();
    if let Some(asked) = &partition.control_page {
        let what = format!("the page of calls of {}", partition.title());
        memory(Kind::Channel, page, what, asked.span());
    }
    let name = partition.name.as_ref().map(Spanned::get_ref);
    for (raw, channel) in context.system.channels.iter().zip(&context.memory.channels) {
        let Some(channel) = channel else { continue };
        for (number, end) in raw.ends().iter().enumerate() {
            if Some(end.partition.get_ref()) == name {
                let span = end.at.as_ref().map_or(end.span.clone(), Spanned::span);
                let doorbell = format!("the doorbell page of {}", raw.title());
                memory(
                    Kind::Channel,
                    channel.doorbell(number),
                    doorbell,
                    span.clone(),
                );
                memory(Kind::Channel, channel.seen(number), raw.title(), span);
            }
        }
    }
    things
}

/// Stage 2 translates 48 bits.
fn too_far(context: &Context<'_>, things: &[Thing], findings: &mut Diagnostics) {
    for thing in things {
        let memory = matches!(thing.kind, Kind::Channel | Kind::Region);
        if memory && address_bits(thing.pages.end()).is_none() {
            let message = format!("{} ends beyond 48 bits of address", thing.what);
            findings.push(
                Diagnostic::error(codes::ADDRESS_SPACE, message)
                    .at(context.source, thing.span.clone())
                    .found(human_size(thing.pages.size))
                    .help("choose a lower `at`, or ask for less memory"),
            );
        }
    }
}

/// What ends beyond even 64 bits is no range at all.
fn wraps(context: &Context<'_>, index: usize, findings: &mut Diagnostics) {
    let Some(partition) = context.system.partitions.get(index) else {
        return;
    };
    let mut report = |what: String, size: u64, span: Range<usize>| {
        let message = format!("{what} ends beyond 48 bits of address");
        findings.push(
            Diagnostic::error(codes::ADDRESS_SPACE, message)
                .at(context.source, span)
                .found(human_size(size))
                .help("choose a lower `at`, or ask for less memory"),
        );
    };
    for region in context.memory.partitions.get(index).into_iter().flatten() {
        // Where memory is seen as it lies, the rule of `address` tells.
        if region.ipa.is_some() && region.seen().is_none() && !region.identity {
            let what = format!("the memory of {}", partition.title());
            report(what, region.size, region.span.clone());
        }
    }
    let name = partition.name.as_ref().map(Spanned::get_ref);
    for (raw, channel) in context.system.channels.iter().zip(&context.memory.channels) {
        let Some(channel) = channel else { continue };
        for (number, end) in raw.ends().iter().enumerate() {
            let placed = channel.ends.get(number).is_some_and(Option::is_some);
            if Some(end.partition.get_ref()) == name && placed && channel.seen(number).is_none() {
                let span = end.at.as_ref().map_or(end.span.clone(), Spanned::span);
                report(raw.title(), channel.size, span);
            }
        }
    }
}

/// Things are sorted by their places.
fn overlaps(context: &Context<'_>, index: usize, things: &[Thing], findings: &mut Diagnostics) {
    // A region or device that overlaps several things is reported once: the lowest is what it must be moved away from.
    let mut reported: Vec<*const Thing> = Vec::new();
    for (number, low) in things.iter().enumerate() {
        for high in &things[number + 1..] {
            if high.pages.base >= low.pages.end() {
                break;
            }
            let (ours, theirs) = if low.kind <= high.kind {
                (low, high)
            } else {
                (high, low)
            };
            let allowed = match (ours.kind, theirs.kind) {
                (Kind::Emulated, _) | (Kind::Device, Kind::Device) => true,
                // Where the hypervisor has registers itself, that is the reason.
                (Kind::Device, _) => {
                    let registers = &context.ledger.registers;
                    registers.has(Owner::Hypervisor, ours.pages)
                }
                _ => false,
            };
            if allowed || reported.contains(&std::ptr::from_ref(ours)) {
                continue;
            }
            reported.push(ours);
            findings
                .push(overlap(context, index, ours, theirs).at(context.source, ours.span.clone()));
        }
    }
}

fn overlap(context: &Context<'_>, index: usize, ours: &Thing, theirs: &Thing) -> Diagnostic {
    let partition = &context.system.partitions[index];
    let title = partition.title();
    match (ours.kind, theirs.kind) {
        (Kind::Channel, _) => {
            let message = format!("{title} would see {} where {} is", ours.what, theirs.what);
            Diagnostic::error(codes::CHANNEL_COVERS, message)
                .found(format!(
                    "{} {}, {} {}",
                    ours.what, ours.range, theirs.what, theirs.range
                ))
                .help("choose another `at`, or leave it out: the compiler finds a place")
        }
        (Kind::Region, Kind::Region) => {
            let message = format!("{title} would see two regions of memory at one place");
            Diagnostic::error(codes::REGIONS_OVERLAP, message)
                .found(format!("{} and {}", ours.range, theirs.range))
                .help("choose another `at`, or leave it out: a region follows the one before it")
        }
        (Kind::Region, _) => {
            let message = format!("{} would cover {}", ours.what, theirs.what);
            let finding = Diagnostic::error(codes::MEMORY_COVERS_DEVICE, message).found(format!(
                "memory {}, {} {}",
                ours.range, theirs.what, theirs.range
            ));
            let base = context.board.map(Board::ram_base);
            let most = human_size(theirs.pages.base.saturating_sub(ours.range.base));
            let written = partition
                .memory
                .iter()
                .any(|raw| raw.span == ours.span && (raw.at.is_some() || raw.identity));
            match written {
                false if Some(ours.range.base) == base => finding.help(format!(
                    "its memory begins at the board's RAM base; at most {most} fit"
                )),
                _ => finding.help(format!("at most {most} fit from there; or move it")),
            }
        }
        _ => {
            let message = format!(
                "{} cannot be given to {title}: {} is there",
                ours.what, theirs.what
            );
            Diagnostic::error(codes::HYPERVISOR_DEVICE, message)
                .found(format!("registers in pages {}", ours.pages))
                .help(
                    "remove it from `devices`; partitions get a virtual GIC and a virtual console",
                )
        }
    }
}
