//! Every byte of RAM has one owner.

use toml::Spanned;

use super::Context;
use crate::board::Board;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::memory::page_aligned;
use crate::ownership::{Clash, Owner};
use crate::range::{AddressRange, human_size};

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let Some(board) = context.board else { return };
    let partitions = context
        .system
        .partitions
        .iter()
        .zip(&context.memory.partitions);
    for (partition, regions) in partitions {
        for region in regions.iter().filter(|region| region.fixed) {
            let what = format!("the memory of {}", partition.title());
            let finding = region
                .lies()
                .map_or_else(|| Some(wraps(&what)), |range| in_ram(board, range, &what));
            findings.extend(finding.map(|one| one.at(context.source, region.span.clone())));
        }
    }
    for (channel, memory) in context.system.channels.iter().zip(&context.memory.channels) {
        let Some(memory) = memory.as_ref().filter(|memory| memory.fixed) else {
            continue;
        };
        let what = format!("the memory of {}", channel.title());
        let finding = memory
            .lies()
            .map_or_else(|| Some(wraps(&what)), |range| in_ram(board, range, &what));
        findings.extend(finding.map(|one| one.at(context.source, memory.span.clone())));
    }
    for (partition, resolved) in context.partitions() {
        let Some(file) = resolved.separate() else {
            continue;
        };
        let what = format!("the image of {}", partition.title());
        let address = Spanned::new(file.span.clone(), file.address);
        page_aligned(&address, "address", &what, context.source, findings);
        let finding = file
            .lies()
            .map_or_else(|| Some(wraps(&what)), |range| in_ram(board, range, &what));
        findings.extend(finding.map(|one| one.at(context.source, file.span.clone())));
    }
    context.report_clashes(&context.ledger.memory, clash, findings);
}

fn wraps(what: &str) -> Diagnostic {
    let message = format!("{what} ends beyond 64 bits of address");
    Diagnostic::error(codes::OUTSIDE_RAM, message).help("choose a lower `address`")
}

/// What is wrong with memory at a fixed place, if no bank holds all of it.
fn in_ram(board: &Board, range: AddressRange, what: &str) -> Option<Diagnostic> {
    let banks = &board.memory.banks;
    if banks.iter().any(|bank| bank.contains(range)) {
        return None;
    }
    let message = format!("{what} does not lie in the board's RAM");
    let mut finding = Diagnostic::error(codes::OUTSIDE_RAM, message).found(range.to_string());
    for bank in banks {
        finding = finding.note(format!("RAM: {} at {bank}", human_size(bank.size)));
    }
    Some(finding.help(
        "choose an `address` in RAM, or leave it out: the compiler finds a place. Where firmware adds memory at boot, take the tree that it hands over",
    ))
}

fn clash(context: &Context<'_>, clash: &Clash<'_>) -> Option<Diagnostic> {
    let (ours, theirs) = context.sides(clash);
    let memory = |owner| match owner {
        Owner::File(_) => context.owner(owner),
        _ => format!("the memory of {}", context.owner(owner)),
    };
    let what = memory(ours.owner);
    let both = format!(
        "{}; {} has {}",
        ours.range,
        context.owner(theirs.owner),
        theirs.range
    );
    let error = |code, message: String| {
        Diagnostic::error(code, message)
            .at(context.source, ours.span.clone().unwrap_or(0..0))
            .found(both.clone())
    };
    let leave = "leave `address` out: the compiler finds a place";
    Some(match (ours.owner, theirs.owner) {
        (Owner::Hypervisor, _) | (_, Owner::Hypervisor) if ours.span.is_some() => error(
            codes::MEMORY_OF_HYPERVISOR,
            format!("{what} overlaps {}", theirs.what),
        )
        .help(format!(
            "choose an `address` from {:#x} on, or {leave}",
            theirs.range.end()
        )),
        (Owner::Hypervisor, Owner::Firmware) | (Owner::Firmware, Owner::Hypervisor) => {
            let (image, firmware) = match ours.owner {
                Owner::Hypervisor => (ours, theirs),
                _ => (theirs, ours),
            };
            let message = format!("{} overlaps {}", image.what, firmware.what);
            Diagnostic::error(codes::IMAGE_RESERVED, message)
                .at(context.source, context.board_span())
                .found(format!("{}; reserved: {}", image.range, firmware.range))
                .help("correct `load` in board.toml, or use smaller guest images")
        }
        (_, Owner::Firmware) => error(
            codes::MEMORY_RESERVED,
            format!("{what} overlaps what firmware keeps: {}", theirs.what),
        )
        .help(format!("choose another `address`, or {leave}")),
        (one, other) if one == other => error(
            codes::MEMORY_COLLIDES,
            format!("two regions of {} overlap", context.owner(one)),
        )
        .help(format!("choose another `address` for one, or {leave}")),
        (Owner::File(_), _) | (_, Owner::File(_)) => error(
            codes::MEMORY_COLLIDES,
            format!("{what} overlaps {}", memory(theirs.owner)),
        )
        .help(format!("choose another `address`, or {leave}")),
        (_, other) => error(
            codes::MEMORY_COLLIDES,
            format!("{what} overlaps that of {}", context.owner(other)),
        )
        .help(format!("choose another `address` for one, or {leave}")),
    })
}
