//! By which interrupt a partition is told of others' failures, as docs/containment.md describes it.

use super::Guest;
use super::cells::edge;
use crate::devicetree::Tree;
use crate::system::Partition;

/// A device under the root, so that Linux can bind a driver to it.
pub(super) fn write(guest: &mut Guest<'_>, partition: &Partition) {
    let Some(spi) = partition.notices else {
        return;
    };
    let tree = &mut guest.tree;
    let node = tree.add(Tree::ROOT, "failures");
    tree.set_string(node, "compatible", "bulkhead,failures");
    tree.set_cells(node, "interrupts", &edge(spi));
}
