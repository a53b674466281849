//! A guest tree that is proven, or what is wrong with it.

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
                    .at(source, partition.memory_span.clone())
                    .help("give the partition memory below 4 GiB as it sees it"),
            );
            return Err(findings);
        }
    };
    for unsound in prove(&tree, &Owned::new(board, partition)) {
        let message = format!(
            "the device tree of partition `{}` is unsound: {unsound}",
            partition.name
        );
        findings.push(
            Diagnostic::error(codes::GUEST_TREE_UNSOUND, message)
                .at(source, partition.memory_span.clone())
                .help(
                    "remove the device from `devices`; the board's device tree may be wrong there",
                ),
        );
    }
    if findings.has_errors() {
        return Err(findings);
    }
    Ok(tree)
}
