//! A device that may write memory by itself is given away only to a partition that is trusted with that.

use super::Context;
use crate::board::Dma;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let Some(board) = context.board else { return };
    for (partition, resolved) in context.partitions() {
        if partition.dma_trusted {
            continue;
        }
        for (span, device) in resolved
            .devices
            .iter()
            .filter(|(_, device)| board.dma(device) == Dma::Unconfined)
        {
            let is = board.tree.strings(device.node, "compatible").join(", ");
            let message = format!("{} may do DMA that nothing confines", device.path);
            findings.push(
                Diagnostic::error(codes::DMA_UNPROTECTED, message)
                    .at(context.source, span.clone())
                    .found(format!(
                        "a device that is not known to be without DMA: {is}"
                    ))
                    .help(format!(
                        "if {} may reach all memory, write `dma = \"trusted\"` in it",
                        partition.title()
                    )),
            );
        }
    }
}
