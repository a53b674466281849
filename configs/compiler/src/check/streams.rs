//! No stream of an IOMMU has two owners: its translation would have to be that of both.

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::ownership::{MOST_ENTRIES, StreamClaim, stream_clashes};

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let Some(board) = context.board else { return };
    for (iommu, claims) in context.ledger.streams.iommus() {
        let path = board.tree.path(iommu);
        if claims.len() > MOST_ENTRIES {
            findings.push(too_many(context, claims, &path));
        }
        // A device owned twice is another rule's matter.
        let own = |(first, second): &(&StreamClaim, &StreamClaim)| first.device != second.device;
        for (first, second) in stream_clashes(claims).into_iter().filter(own) {
            findings.push(shared(context, first, second, &path));
        }
    }
}

fn place(claim: &StreamClaim) -> Option<usize> {
    claim.span.as_ref().map(|span| span.start)
}

fn shared(
    context: &Context<'_>,
    one: &StreamClaim,
    other: &StreamClaim,
    iommu: &str,
) -> Diagnostic {
    let (theirs, ours) = match place(one) > place(other) {
        true => (other, one),
        false => (one, other),
    };
    let message = format!(
        "{} of {} and {} of {} share a DMA stream",
        ours.device,
        context.owner(ours.owner),
        theirs.device,
        context.owner(theirs.owner)
    );
    Diagnostic::error(codes::STREAM_OWNED_TWICE, message)
        .at(context.source, ours.span.clone().unwrap_or(0..0))
        .found(match ours.ids == theirs.ids {
            true => format!("stream {} of {iommu}", ours.ids),
            false => format!("streams {} and {} of {iommu}", ours.ids, theirs.ids),
        })
        .help("the IOMMU cannot tell the two apart: give both devices to one partition")
}

fn too_many(context: &Context<'_>, claims: &[StreamClaim], iommu: &str) -> Diagnostic {
    let message = format!("the devices have too many DMA streams at {iommu}");
    let last = claims.last().and_then(|claim| claim.span.clone());
    Diagnostic::error(codes::IOMMU_FULL, message)
        .at(context.source, last.unwrap_or(0..0))
        .found(format!("{} entries", claims.len()))
        .expected(format!("at most {MOST_ENTRIES}"))
        .help("give fewer devices away, or correct the board's device tree")
}
