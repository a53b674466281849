//! Each interrupt has one owner, and a virtual distributor has it.

use std::collections::BTreeSet;

use model::ids::IntId;
use toml::Spanned;

use super::Context;
use crate::board::{Device, END_INTID};
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::ownership::{Clash, Owner};
use crate::raw::{RawChannel, RawConsole, RawPartition};
use crate::resolve::Resolved;

/// How many SPIs a virtual distributor has at most.
const SPIS: u32 = END_INTID - IntId::FIRST_SPI;

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    for partition in &context.system.partitions {
        for interrupt in &partition.interrupts {
            let spi = *interrupt.spi.get_ref();
            if spi >= SPIS {
                let message = format!("{} cannot have SPI {spi}", partition.title());
                findings.push(
                    Diagnostic::error(codes::NO_SUCH_SPI, message)
                        .at(context.source, interrupt.spi.span())
                        .expected(format!("0 to {}", SPIS - 1))
                        .help("give the number as device trees do: INTID minus 32"),
                );
            }
        }
    }
    for (partition, resolved) in context.partitions() {
        enough(context, partition, resolved, findings);
    }
    context.report_clashes(&context.ledger.interrupts, clash, findings);
}

/// Each extended SPI and each doorbell of a partition, and what tells it of others' failures, has an SPI inside that the partition does not use otherwise.
fn enough(
    context: &Context<'_>,
    partition: &RawPartition,
    resolved: &Resolved,
    findings: &mut Diagnostics,
) {
    let devices = resolved.devices.iter().flat_map(|(_, one)| &one.interrupts);
    let listed = partition.interrupts.iter().map(|one| *one.spi.get_ref());
    let listed = listed.map(|spi| IntId::new(IntId::FIRST_SPI.saturating_add(spi)));
    let console = partition.console.as_ref().map(Spanned::get_ref);
    let console = context
        .board
        .filter(|_| matches!(console, Some(RawConsole::Virtual)))
        .map(|board| board.virtual_uart.intid);
    let used: BTreeSet<IntId> = devices
        .map(|one| one.intid)
        .chain(listed)
        .chain(console)
        .collect();
    let is_extended = |device: &Device| {
        let mut interrupts = device.interrupts.iter();
        interrupts.any(|one| one.intid.extended_spi().is_some())
    };
    let mut extended = resolved.devices.iter();
    if used.len() > SPIS as usize
        && let Some((span, device)) = extended.find(|(_, one)| is_extended(one))
    {
        let message = format!(
            "{} has no SPI left for the extended SPIs of {}",
            partition.title(),
            device.path
        );
        findings.push(
            Diagnostic::error(codes::NO_SPI_LEFT, message)
                .at(context.source, span.clone())
                .found(format!("{} SPIs and extended SPIs", used.len()))
                .expected(format!("at most {SPIS} in one partition"))
                .help("give it fewer devices, or shorten `interrupts`"),
        );
    }
    let name = partition.name.as_ref().map(Spanned::get_ref);
    let ends = context.system.channels.iter().flat_map(RawChannel::ends);
    let ours = ends.filter(|end| end.doorbell && Some(end.partition.get_ref()) == name);
    let partitions = &context.system.partitions;
    let mut notices = partitions.iter().flat_map(|one| &one.notify);
    let notice = notices.find(|told| Some(told.get_ref()) == name);
    let mut ours = ours
        .map(|end| end.span.clone())
        .chain(notice.map(Spanned::span));
    // The first one for which nothing is left is told; so would each one after it be.
    if let Some(span) = ours.nth((SPIS as usize).saturating_sub(used.len())) {
        let message = format!("{} has no SPI left for a doorbell", partition.title());
        findings.push(
            Diagnostic::error(codes::NO_SPI_LEFT, message)
                .at(context.source, span)
                .found(format!(
                    "{} SPIs of devices and of `interrupts`",
                    used.len()
                ))
                .expected(format!("at most {SPIS} together with the doorbells"))
                .help("shorten `interrupts`, or do without the doorbell"),
        );
    }
}

fn clash(context: &Context<'_>, clash: &Clash<'_>) -> Option<Diagnostic> {
    let (ours, theirs) = context.sides(clash);
    let owner = context.owner(ours.owner);
    let number = clash.range.base;
    let (message, help) = if ours.owner == theirs.owner {
        let message = match ours.what == theirs.what {
            true => format!("{owner} lists {} twice", ours.what),
            false => format!(
                "{owner} lists {}, which {} brings along",
                ours.what, theirs.what
            ),
        };
        (message, "remove it from `interrupts`")
    } else if ours.what == theirs.what && ours.what.starts_with('/') {
        // A device owned twice is another rule's matter.
        return None;
    } else {
        let other = context.owner(theirs.owner);
        let holder = match theirs.owner {
            Owner::Partition(_) if ours.what == theirs.what => other,
            Owner::Partition(_) => format!("{} of {other}", theirs.what),
            _ => theirs.what.clone(),
        };
        let message = match ours.what.starts_with('/') {
            true => format!(
                "the interrupt of {} ({owner}) belongs to {holder}",
                ours.what
            ),
            false => format!("{owner} cannot have {}: it belongs to {holder}", ours.what),
        };
        let help = match ours.what.starts_with('/') {
            true => "an interrupt is delivered to one owner: give both devices to one partition",
            false => "an interrupt is delivered to one owner: list it in one partition",
        };
        (message, help)
    };
    let extended = number.checked_sub(IntId::FIRST_EXTENDED_SPI.into());
    let found = match extended {
        Some(extended) => format!("INTID {number} (extended SPI {extended})"),
        None => format!("INTID {number} (SPI {})", number.saturating_sub(32)),
    };
    Some(
        Diagnostic::error(codes::INTERRUPT_OWNED_TWICE, message)
            .at(context.source, ours.span.clone().unwrap_or(0..0))
            .found(found)
            .help(help),
    )
}
