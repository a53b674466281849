//! No page of registers has two owners, and none of the hypervisor's is given away.

use model::memory::PAGE;

use super::Context;
use crate::board::Board;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::ownership::{Claim, Clash, Owner};

/// How many neighbours a finding names.
const NEIGHBOURS_SHOWN: usize = 3;

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let Some(board) = context.board else { return };
    over_memory(context, board, findings);
    context.report_clashes(&context.ledger.registers, clash, findings);
    neighbours(context, board, findings);
}

/// A device tree may say that registers lie where RAM is; whoever got them would get the RAM.
fn over_memory(context: &Context<'_>, board: &Board, findings: &mut Diagnostics) {
    for (partition, resolved) in context.partitions() {
        for (span, device) in &resolved.devices {
            let pages = device
                .registers
                .iter()
                .filter_map(|range| range.outward(PAGE));
            let in_ram = |pages: &_| board.memory.banks.iter().any(|bank| bank.overlaps(*pages));
            if let Some(pages) = pages.clone().find(in_ram) {
                let finding = kept(&device.path, &partition.title(), "memory");
                findings.push(
                    finding
                        .at(context.source, span.clone())
                        .found(format!("registers in pages {pages}")),
                );
            }
        }
    }
}

fn kept(device: &str, partition: &str, what: &str) -> Diagnostic {
    let message = format!("{device} cannot be given to {partition}: {what} is there");
    Diagnostic::error(codes::HYPERVISOR_DEVICE, message)
        .help("remove it from `devices`; partitions get a virtual GIC and a virtual console")
}

fn clash(context: &Context<'_>, clash: &Clash<'_>) -> Option<Diagnostic> {
    let (ours, theirs) = context.sides(clash);
    let at = |finding: Diagnostic| finding.at(context.source, ours.span.clone().unwrap_or(0..0));
    match theirs.owner {
        Owner::Hypervisor => {
            let finding = kept(&ours.what, &context.owner(ours.owner), &theirs.what);
            Some(at(
                finding.found(format!("registers in pages {}", ours.range))
            ))
        }
        // A device owned twice is another rule's matter; what nobody owns is put together below.
        Owner::Board => None,
        _ if ours.what == theirs.what => None,
        owner => {
            let message = format!(
                "{} and {} share a page of registers",
                ours.what, theirs.what
            );
            let pages = clash.range;
            Some(at(Diagnostic::error(codes::PAGE_SHARED, message)
                .found(format!(
                    "pages {pages}; {} belongs to {}",
                    theirs.what,
                    context.owner(owner)
                ))
                .help(match owner == ours.owner {
                    true => "what shares a page of 4KiB with something that others read is only read, too",
                    false => "protection works in pages of 4KiB: give both to one partition",
                })))
        }
    }
}

/// A partition reaches whatever else is in the pages of its devices. What is disabled is not there, or should not be.
fn neighbours(context: &Context<'_>, board: &Board, findings: &mut Diagnostics) {
    let (clashes, _) = context.ledger.registers.clashes();
    // For each device its claim and its neighbours with their pages, enabled ones first.
    let mut devices: Vec<(&Claim, Vec<(bool, &Clash<'_>)>)> = Vec::new();
    for clash in &clashes {
        let (ours, theirs) = context.sides(clash);
        if theirs.owner != Owner::Board {
            continue;
        }
        let node = board.tree.find(&theirs.what);
        let disabled = node.is_some_and(|node| !board.tree.is_enabled(node));
        let same = |one: &&mut (&Claim, _)| one.0.what == ours.what && one.0.owner == ours.owner;
        match devices.iter_mut().find(same) {
            Some((_, all)) => all.push((disabled, clash)),
            None => devices.push((ours, vec![(disabled, clash)])),
        }
    }
    for (device, mut all) in devices {
        all.sort_by_key(|(disabled, _)| *disabled);
        let present = all.iter().filter(|(disabled, _)| !disabled).count();
        let (code, shown) = (
            codes::PAGE_SHARED,
            if present > 0 { present } else { all.len() },
        );
        let mut names: Vec<&str> = Vec::new();
        for (_, clash) in all.iter().take(shown) {
            let name = context.sides(clash).1.what.as_str();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let more = names.len().saturating_sub(NEIGHBOURS_SHOWN);
        names.truncate(NEIGHBOURS_SHOWN);
        let mut listed = names.join(", ");
        if more > 0 {
            listed.push_str(&format!(" and {more} more"));
        }
        let pages = all.first().map_or(device.range, |(_, clash)| clash.range);
        let partition = context.owner(device.owner);
        let finding = if present > 0 {
            let message = format!(
                "{} shares a page of registers with {listed}, which nobody owns",
                device.what
            );
            Diagnostic::error(code, message).help(format!(
                "protection works in pages of 4KiB, so {partition} would reach both: give it the other, too, or disable the other in an overlay of the board's tree"
            ))
        } else {
            let message = format!(
                "{} shares a page of registers with {listed}, disabled in the device tree",
                device.what
            );
            Diagnostic::warning(code, message).help(format!(
                "if the board has it after all, {partition} reaches it: give it to {partition}, too, or make sure that it is off"
            ))
        };
        let span = device.span.clone().unwrap_or(0..0);
        findings.push(
            finding
                .at(context.source, span)
                .found(format!("pages {pages}")),
        );
    }
}
