//! A partition's memory is whole pages and leaves the registers that it sees alone.

use model::memory::PAGE;
use toml::Spanned;

use super::{Context, virtual_gic};
use crate::board::Board;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::range::{AddressRange, align_down, human_size};
use crate::raw::{RawConsole, RawPartition};
use crate::resolve::Resolved;
use crate::stage2::address_bits;

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    for (partition, resolved) in context.partitions() {
        let Some(size) = partition.memory.first().map(|region| &region.size) else {
            continue;
        };
        let bytes = *size.get_ref();
        let report = |code, message: String| {
            Diagnostic::error(code, message).at(context.source, size.span())
        };
        if !bytes.is_multiple_of(PAGE) {
            let finding = report(
                codes::UNALIGNED_MEMORY,
                format!("the memory of {} is no multiple of 4KiB", partition.title()),
            );
            let near = align_down(bytes, PAGE).saturating_add(PAGE);
            findings.push(
                finding
                    .found(format!("{bytes:#x} bytes"))
                    .help(format!("round it up: `memory = \"{near:#x}\"`")),
            );
        }
        let Some(board) = context.board else { continue };
        let Some(memory) = context
            .memory(bytes)
            .filter(|memory| address_bits(memory.end()).is_some())
        else {
            let message = format!(
                "the memory of {} ends beyond 48 bits of address",
                partition.title()
            );
            findings.push(
                report(codes::ADDRESS_SPACE, message)
                    .found(human_size(bytes))
                    .help("ask for less memory"),
            );
            continue;
        };
        // The lowest that is covered limits the size; the others would only repeat it.
        let covered = seen_registers(board, partition, resolved)
            .into_iter()
            .filter(|(range, _)| memory.overlaps(*range))
            .min_by_key(|(range, _)| range.base);
        if let Some((range, what)) = covered {
            let message = format!("the memory of {} would cover {what}", partition.title());
            let finding = report(codes::MEMORY_COVERS_DEVICE, message)
                .found(format!("memory {memory}, {what} {range}"))
                .help(format!(
                    "its memory begins at the board's RAM base; at most {} fit",
                    human_size(range.base.saturating_sub(memory.base))
                ));
            findings.push(finding);
        }
    }
}

/// Registers at addresses of their own in a partition's view.
fn seen_registers(
    board: &Board,
    partition: &RawPartition,
    resolved: &Resolved,
) -> Vec<(AddressRange, String)> {
    let mut seen: Vec<(AddressRange, String)> = virtual_gic(board, partition)
        .map(|(range, what)| (range, what.to_owned()))
        .collect();
    let console = partition.console.as_ref().map(Spanned::get_ref);
    if let Some(RawConsole::Virtual) = console {
        seen.push((board.virtual_uart.page, "the virtual console".to_owned()));
    }
    for (_, device) in &resolved.devices {
        seen.extend(
            device
                .registers
                .iter()
                .map(|range| (*range, device.path.clone())),
        );
    }
    seen
}
