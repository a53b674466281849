//! A partition's memory is whole pages and leaves the registers that it sees alone.

use model::memory::PAGE;

use super::Context;
use crate::board::{Board, GicKind};
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::guest_gic;
use crate::range::{AddressRange, align_down, human_size};
use crate::raw::RawPartition;
use crate::resolve::Resolved;
use crate::stage2::address_bits;

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    for (partition, resolved) in context.partitions() {
        let Some(size) = &partition.memory else {
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
        for (range, what) in seen_registers(board, partition, resolved) {
            if memory.overlaps(range) {
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
}

/// Registers at addresses of their own in a partition's view.
fn seen_registers(
    board: &Board,
    partition: &RawPartition,
    resolved: &Resolved,
) -> Vec<(AddressRange, String)> {
    let vcpus = partition
        .vcpus
        .as_ref()
        .map_or(1, |vcpus| u64::from(*vcpus.get_ref()));
    let mut seen: Vec<(AddressRange, String)> = Vec::new();
    if let Some(range) = guest_gic::distributor(board) {
        seen.push((range, "the GIC distributor".to_owned()));
    }
    let (second, name) = match &board.gic.kind {
        GicKind::V2 { .. } => (guest_gic::cpu_interface(board), "the GIC CPU interface"),
        GicKind::V3 { .. } => (
            guest_gic::redistributors(board, vcpus),
            "the GIC redistributors",
        ),
    };
    seen.extend(second.map(|range| (range, name.to_owned())));
    seen.push((board.console.registers, "the console".to_owned()));
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
