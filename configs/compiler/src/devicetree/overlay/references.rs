//! Gives the phandles of an overlay their final values.

use super::{FIXUPS, LOCAL_FIXUPS, SYMBOLS};
use crate::devicetree::{NodeId, Tree, TreeError};

/// The largest phandle: all ones is none (Devicetree Specification 0.4, section 2.3.3).
const LAST_PHANDLE: u32 = u32::MAX - 1;
/// An overlay with more references is no overlay.
const MOST_FIXUPS: usize = 16 << 10;
const PHANDLES: [&str; 2] = ["phandle", "linux,phandle"];

/// Moves the overlay's phandles behind those of `base`, and fills in what refers to them and to labels of `base`.
pub(super) fn resolve(base: &Tree, overlay: &mut Tree) -> Result<(), TreeError> {
    let distance = base
        .nodes()
        .filter_map(|node| base.phandle(node))
        .max()
        .unwrap_or(0);
    renumber(overlay, distance)?;
    if let Some(table) = overlay.exact_child(Tree::ROOT, LOCAL_FIXUPS) {
        local(overlay, table, distance)?;
    }
    if let Some(table) = overlay.exact_child(Tree::ROOT, FIXUPS) {
        external(base, overlay, table)?;
    }
    Ok(())
}

fn renumber(overlay: &mut Tree, distance: u32) -> Result<(), TreeError> {
    let nodes: Vec<NodeId> = overlay.nodes().collect();
    for node in nodes {
        for name in PHANDLES {
            if let Some(phandle) = overlay.cell(node, name)? {
                let moved = moved(phandle, distance)
                    .ok_or_else(|| overlay.error(node, name, "leaves no number for itself"))?;
                overlay.set_cells(node, name, &[moved]);
            }
        }
    }
    Ok(())
}

fn moved(phandle: u32, distance: u32) -> Option<u32> {
    let moved = phandle.checked_add(distance)?;
    (phandle != 0 && moved <= LAST_PHANDLE).then_some(moved)
}

/// `__local_fixups__` has the overlay's own shape; each property lists the offsets of phandles in the property of the same name.
fn local(overlay: &mut Tree, table: NodeId, distance: u32) -> Result<(), TreeError> {
    let mut pairs = vec![(table, Tree::ROOT)];
    let mut fixups = Vec::new();
    while let Some((table, node)) = pairs.pop() {
        for property in overlay.properties(table) {
            let offsets = overlay.cells(table, &property.name)?.unwrap_or_default();
            fixups.extend(
                offsets
                    .into_iter()
                    .map(|at| (node, property.name.clone(), at)),
            );
        }
        for child in overlay.children(table) {
            let name = overlay.name(*child);
            let twin = overlay.exact_child(node, name).ok_or_else(|| {
                overlay.error(
                    *child,
                    LOCAL_FIXUPS,
                    "tells of a node that the overlay does not have",
                )
            })?;
            pairs.push((*child, twin));
        }
        if fixups.len() > MOST_FIXUPS {
            return Err(overlay.error(table, LOCAL_FIXUPS, "has too many entries"));
        }
    }
    for (node, name, offset) in fixups {
        patch(overlay, node, &name, offset as usize, |phandle| {
            moved(phandle, distance)
        })?;
    }
    Ok(())
}

/// `__fixups__` has a property for each label, with the places that it stands at: `path:property:offset`.
fn external(base: &Tree, overlay: &mut Tree, table: NodeId) -> Result<(), TreeError> {
    let mut fixups = Vec::new();
    for label in overlay.properties(table) {
        let target =
            label_of(base, &label.name).map_err(|what| overlay.error(table, &label.name, what))?;
        for place in overlay.strings(table, &label.name) {
            let malformed = || {
                let what = format!("has a place that is no `path:property:offset`: {place}");
                overlay.error(table, &label.name, what)
            };
            let mut parts = place.splitn(3, ':');
            let (Some(path), Some(name), Some(offset)) = (parts.next(), parts.next(), parts.next())
            else {
                return Err(malformed());
            };
            let node = exact(overlay, path).ok_or_else(malformed)?;
            let offset: usize = offset.parse().map_err(|_| malformed())?;
            fixups.push((node, name.to_owned(), offset, target));
        }
        if fixups.len() > MOST_FIXUPS {
            return Err(overlay.error(table, &label.name, "has too many places"));
        }
    }
    for (node, name, offset, target) in fixups {
        patch(overlay, node, &name, offset, |_| Some(target))?;
    }
    Ok(())
}

/// The phandle of a label of the base tree.
fn label_of(base: &Tree, label: &str) -> Result<u32, String> {
    let symbols = base.exact_child(Tree::ROOT, SYMBOLS).ok_or_else(|| {
        "is a label, and the tree keeps none: compile it with `dtc -@`, or use `target-path`"
            .to_owned()
    })?;
    let path = base
        .string(symbols, label)
        .ok_or_else(|| "is a label that the tree does not have".to_owned())?;
    let node =
        exact(base, path).ok_or_else(|| format!("is a label of {path}, which is no node"))?;
    base.phandle(node)
        .ok_or_else(|| format!("is a label of {path}, which has no phandle"))
}

/// The node at exactly that path.
pub(super) fn exact(tree: &Tree, path: &str) -> Option<NodeId> {
    let names = path
        .strip_prefix('/')?
        .split('/')
        .filter(|name| !name.is_empty());
    names
        .into_iter()
        .try_fold(Tree::ROOT, |at, name| tree.exact_child(at, name))
}

/// Changes the four bytes at an offset of a property.
fn patch(
    tree: &mut Tree,
    node: NodeId,
    name: &str,
    offset: usize,
    change: impl FnOnce(u32) -> Option<u32>,
) -> Result<(), TreeError> {
    let wrong = |tree: &Tree, what: &str| tree.error(node, name, format!("{what} {offset:#x}"));
    let mut value = match tree.property(node, name) {
        Some(value) => value.to_vec(),
        None => {
            return Err(wrong(
                tree,
                "is missing, and should have a phandle at offset",
            ));
        }
    };
    let place = value
        .get_mut(offset..)
        .and_then(|tail| tail.first_chunk_mut::<4>());
    let Some(place) = place else {
        return Err(wrong(tree, "is too short for a phandle at offset"));
    };
    let changed = change(u32::from_be_bytes(*place));
    let Some(changed) = changed else {
        return Err(wrong(tree, "has a phandle without a free number at offset"));
    };
    *place = changed.to_be_bytes();
    tree.set(node, name, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlay_phandles_move_behind_those_of_the_base() {
        assert_eq!(moved(1, 0x10), Some(0x11));
        assert_eq!(moved(0, 0x10), None);
        assert_eq!(moved(2, LAST_PHANDLE - 1), None);
    }

    #[test]
    fn paths_are_taken_exactly() {
        let mut tree = Tree::new();
        let soc = tree.add(Tree::ROOT, "soc");
        let uart = tree.add(soc, "uart@1000");
        assert_eq!(exact(&tree, "/soc/uart@1000"), Some(uart));
        assert_eq!(exact(&tree, "/soc/uart"), None);
        assert_eq!(exact(&tree, "/"), Some(Tree::ROOT));
        assert_eq!(exact(&tree, "soc"), None);
    }
}
