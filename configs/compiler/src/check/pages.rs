//! No page of registers has two owners, and none of the hypervisor's is given away.

use model::memory::PAGE;

use super::{Context, virtual_gic};
use crate::board::Board;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::range::AddressRange;

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let Some(board) = context.board else { return };
    let console_given = context
        .partitions()
        .any(|(_, resolved)| resolved.owns(board.console.node));
    let kept = hypervisor_pages(board, console_given);
    let mut taken: Vec<(AddressRange, (usize, bool), &str)> = Vec::new();
    for (index, (partition, resolved)) in context.partitions().enumerate() {
        // A virtual GIC may be larger than the board's: a redistributor for each virtual CPU, in one piece.
        let gic: Vec<_> = virtual_gic(board, partition).collect();
        let kept = || kept.iter().chain(&gic);
        for (span, device) in &resolved.devices {
            let pages = device
                .registers
                .iter()
                .filter_map(|range| range.outward(PAGE));
            for page in pages {
                if let Some((_, what)) = kept().find(|(range, _)| range.overlaps(page)) {
                    let message = format!(
                        "{} cannot be given to {}: {what} is there",
                        device.path,
                        partition.title()
                    );
                    findings.push(
                        Diagnostic::error(codes::HYPERVISOR_DEVICE, message)
                            .at(context.source, span.clone())
                            .found(format!("registers in pages {page}"))
                            .help("remove it from `devices`; partitions get a virtual GIC and a virtual console"),
                    );
                    break;
                }
                let other = taken.iter().find(|(range, owner, path)| {
                    // A page that others read, too, is written by nobody.
                    *owner != (index, device.read_only)
                        && *path != device.path
                        && range.overlaps(page)
                });
                if let Some((_, owner, path)) = other {
                    let help = match owner.0 == index {
                        true => {
                            "what shares a page of 4KiB with something that others read is only read, too"
                        }
                        false => "protection works in pages of 4KiB: give both to one partition",
                    };
                    let owner = &context.system.partitions[owner.0];
                    let message = format!("{} and {path} share a page of registers", device.path);
                    findings.push(
                        Diagnostic::error(codes::PAGE_SHARED, message)
                            .at(context.source, span.clone())
                            .found(format!("pages {page}; {path} belongs to {}", owner.title()))
                            .help(help),
                    );
                }
                taken.push((page, (index, device.read_only), &device.path));
            }
        }
    }
}

/// What is never given away: GIC, memory, and the console unless a partition owns it.
fn hypervisor_pages(board: &Board, console_given: bool) -> Vec<(AddressRange, &'static str)> {
    let gic = board
        .gic
        .registers
        .iter()
        .map(|range| (*range, "the interrupt controller"));
    let memory = board.memory.banks.iter().map(|range| (*range, "memory"));
    let console = (!console_given).then_some((board.console.registers, "the hypervisor's console"));
    let pages = gic.chain(memory).chain(console);
    pages
        .filter_map(|(range, what)| Some((range.outward(PAGE)?, what)))
        .collect()
}
