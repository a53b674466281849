//! A partition's overlay, put on its tree.

use super::Owned;
use super::proof::prove;
use crate::board::Board;
use crate::devicetree::{Tree, TreeError};

const LABELS: &str = "__symbols__";

/// What is wrong with an overlay.
pub(super) enum Refused {
    /// It cannot be put on the tree.
    Unfit(TreeError),
    /// With it the tree names what the partition does not own; one line for each.
    Unsound(Vec<String>),
}

/// The tree with the overlay, proved again. The board's labels of what is here can be used, and stay in the tree.
pub(super) fn overlaid(
    tree: &Tree,
    overlay: &Tree,
    board: &Board,
    owned: &Owned,
) -> Result<Tree, Refused> {
    let mut tree = tree.clone();
    label(&mut tree, board);
    tree.apply(overlay).map_err(Refused::Unfit)?;
    let unsound = prove(&tree, owned);
    if !unsound.is_empty() {
        let lines = unsound.iter().map(ToString::to_string);
        return Err(Refused::Unsound(lines.collect()));
    }
    Ok(tree)
}

/// Gives a guest tree the board's labels of what is in it.
fn label(tree: &mut Tree, board: &Board) {
    let Some(table) = board.tree.find(&format!("/{LABELS}")) else {
        return;
    };
    let gic = (
        board.tree.path(board.gic.node),
        board.tree.phandle(board.gic.node),
    );
    let mut labels = Vec::new();
    for label in board.tree.properties(table) {
        let Some(path) = board.tree.string(table, &label.name) else {
            continue;
        };
        // The interrupt controller is the one node that is copied to another place.
        let node = match path == gic.0 {
            true => gic.1.and_then(|phandle| tree.by_phandle(phandle)),
            false => tree.find(path),
        };
        if let Some(node) = node {
            labels.push((label.name.clone(), tree.path(node)));
        }
    }
    let node = tree.add(Tree::ROOT, LABELS);
    for (name, path) in labels {
        tree.set_string(node, &name, &path);
    }
}
