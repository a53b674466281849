//! Applies overlays to a tree (dtc, Documentation/dt-object-internal.txt; what `fdtoverlay` does).
//!
//! An overlay is a tree of fragments. Each names a target in the base tree by phandle or path, and has a node `__overlay__` whose
//! properties and nodes are merged into the target. `dtc -@` notes in the overlay where its phandles stand, since they must change:
//! `__local_fixups__` for those of the overlay's own nodes, `__fixups__` for those of labels of the base tree.
//!
//! - `references` gives the overlay's phandles their final values;
//! - `merge` puts the fragments in place and makes the overlay's labels known.

mod merge;
mod references;

use super::{NodeId, Tree, TreeError};

const FRAGMENT: &str = "__overlay__";
const FIXUPS: &str = "__fixups__";
const LOCAL_FIXUPS: &str = "__local_fixups__";
const SYMBOLS: &str = "__symbols__";

impl Tree {
    /// Merges an overlay into the tree. On an error the tree is as it was.
    ///
    /// # Errors
    /// A fragment without target, a label or path that the tree does not have, or a malformed overlay; paths are those of the overlay.
    pub fn apply(&mut self, overlay: &Self) -> Result<(), TreeError> {
        if let Some(first) = overlay.reservations.first() {
            let what = format!("reserves {first}: an overlay cannot");
            return Err(overlay.error(Self::ROOT, "/memreserve/", what));
        }
        let mut result = self.clone();
        let mut overlay = overlay.clone();
        references::resolve(&result, &mut overlay)?;
        let fragments = fragments(&overlay)?;
        if fragments.is_empty() {
            let what = "is missing in every node: this is no overlay";
            return Err(overlay.error(Self::ROOT, FRAGMENT, what));
        }
        merge::merge(&mut result, &overlay, &fragments)?;
        *self = result;
        Ok(())
    }

    /// The child of exactly that name.
    fn exact_child(&self, node: NodeId, name: &str) -> Option<NodeId> {
        let is_called = |child: &&NodeId| self.name(**child) == name;
        self.children(node).iter().find(is_called).copied()
    }
}

/// A fragment of an overlay.
struct Fragment {
    node: NodeId,
    /// Its `__overlay__`.
    content: NodeId,
}

/// The fragments in their order. Children of the root without `__overlay__` are tables.
fn fragments(overlay: &Tree) -> Result<Vec<Fragment>, TreeError> {
    let fragment = |node: &NodeId| {
        let content = overlay.exact_child(*node, FRAGMENT)?;
        if !overlay.has(*node, "target") && !overlay.has(*node, "target-path") {
            let what = "is missing, and so is `target-path`: the fragment goes nowhere";
            return Some(Err(overlay.error(*node, "target", what)));
        }
        Some(Ok(Fragment {
            node: *node,
            content,
        }))
    };
    let children = overlay.children(Tree::ROOT);
    children.iter().filter_map(fragment).collect()
}

#[cfg(test)]
mod tests;
