//! A device that may write memory by itself is given away only to a partition that is trusted with that, and that sees its memory
//! where it lies: nothing translates the addresses that its driver gives the device.

use std::ops::Range;

use super::Context;
use crate::board::{Board, Device, Dma, Iommu};
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::memory::Region;
use crate::range::human_size;
use crate::raw::RawPartition;
use crate::resolve::Resolved;

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let Some(board) = context.board else { return };
    for (index, (partition, resolved)) in context.partitions().enumerate() {
        if partition.dma_trusted {
            let regions = context.memory.partitions.get(index);
            let moved = regions
                .into_iter()
                .flatten()
                .find(|region| is_moved(region));
            if let (Some(moved), Some(first)) = (moved, unconfined(board, resolved).next()) {
                findings.push(elsewhere(context, partition, first, moved));
            }
            continue;
        }
        for (span, device) in unconfined(board, resolved) {
            let is = board.tree.strings(device.node, "compatible").join(", ");
            let message = format!("{} may do DMA that nothing confines", device.path);
            findings.push(
                Diagnostic::error(codes::DMA_UNPROTECTED, message)
                    .at(context.source, span.clone())
                    .found(format!(
                        "a device that is not known to be without DMA: {is}"
                    ))
                    .help(help(board, device, partition)),
            );
        }
    }
}

fn help(board: &Board, device: &Device, partition: &RawPartition) -> String {
    let trusted = format!(
        "if {} may reach all memory, write `dma = \"trusted\"` in it",
        partition.title()
    );
    match board.idle_iommu(device.node) {
        None => trusted,
        Some(iommu) if iommu.defective => format!(
            "{} is before it, and does not work rightly in this chip, as its driver in Linux says; {trusted}",
            iommu.path
        ),
        Some(Iommu { path, .. }) => format!(
            "{path} would confine it, but is disabled in the board's tree: where the hardware has it, enable it with `status = \"okay\"` in \
             an overlay of the system; {trusted}"
        ),
    }
}

/// The devices whose DMA nothing confines, with the places where they are named.
fn unconfined<'a>(
    board: &Board,
    resolved: &'a Resolved,
) -> impl Iterator<Item = &'a (Range<usize>, Device)> {
    let devices = resolved.devices.iter();
    devices.filter(|(_, device)| board.dma(device) == Dma::Unconfined)
}

/// True when the partition sees the memory at another address than it has. What has no place is reported by itself.
fn is_moved(region: &Region) -> bool {
    region.ipa.zip(region.pa).is_some_and(|(ipa, pa)| ipa != pa)
}

fn elsewhere(
    context: &Context<'_>,
    partition: &RawPartition,
    (span, device): &(Range<usize>, Device),
    region: &Region,
) -> Diagnostic {
    let title = partition.title();
    let message = format!("DMA of {} would miss the memory of {title}", device.path);
    let mut finding =
        Diagnostic::error(codes::DMA_MISSES, message).at(context.source, span.clone());
    if let Some((seen, lies)) = region.seen().zip(region.lies()) {
        finding = finding.found(format!("{title} sees at {seen} what lies at {lies}"));
    }
    let size = human_size(region.size);
    finding.help(match partition.memory.len() {
        1 => format!("write `memory = {{ size = \"{size}\", identity = true }}`"),
        _ => "write `identity = true` in each region of its memory".to_owned(),
    })
}
