//! A guest tree that is proven, or what is wrong with it.

use super::overlay::{Refused, overlaid};
use super::proof::prove;
use super::{Owned, guest_tree};
use crate::board::Board;
use crate::codes;
use crate::devicetree::Tree;
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};
use crate::system::Partition;

/// Makes the device tree of a partition, and proves that it names only what the partition owns.
///
/// # Errors
/// Everything in it that the partition does not own, or that leads nowhere.
pub(crate) fn proven_tree(
    board: &Board,
    partition: &Partition,
    source: &SourceText,
) -> Result<Tree, Diagnostics> {
    let mut findings = Diagnostics::default();
    let tree = match guest_tree(board, partition) {
        Ok(tree) => tree,
        Err(error) => {
            let message = format!(
                "the device tree of partition `{}` cannot be written: {error}",
                partition.name
            );
            findings.push(
                Diagnostic::error(codes::ADDRESS_SPACE, message)
                    .at(source, partition.memory_span())
                    .help("give the partition memory below 4 GiB as it sees it"),
            );
            return Err(findings);
        }
    };
    let owned = Owned::new(board, partition);
    for unsound in prove(&tree, &owned) {
        let message = format!(
            "the device tree of partition `{}` is unsound: {unsound}",
            partition.name
        );
        findings.push(
            Diagnostic::error(codes::GUEST_TREE_UNSOUND, message)
                .at(source, partition.memory_span())
                .help(
                    "remove the device from `devices`; the board's device tree may be wrong there",
                ),
        );
    }
    if findings.has_errors() {
        return Err(findings);
    }
    let Some(overlay) = &partition.overlay else {
        return Ok(tree);
    };
    overlaid(&tree, &overlay.tree, board, &owned).map_err(|refused| {
        let finding = overlay_finding(&partition.name, refused);
        finding.at(source, overlay.span.clone()).into()
    })
}

fn overlay_finding(partition: &str, refused: Refused) -> Diagnostic {
    match refused {
        Refused::Unfit(error) => Diagnostic::error(
            codes::OVERLAY_UNFIT,
            format!("the overlay of partition `{partition}` does not fit its device tree: {error}"),
        )
        .help("name nodes that the partition has: by the board's labels, or by path"),
        Refused::Unsound(lines) => {
            let message = format!(
                "the overlay of partition `{partition}` names what the partition does not own"
            );
            let mut finding = Diagnostic::error(codes::OVERLAY_UNSOUND, message);
            finding.notes = lines;
            finding
                .help("give it to the partition in the system file, or take it out of the overlay")
        }
    }
}
