//! Puts the fragments of an overlay in place.

use super::references::exact;
use super::{FRAGMENT, Fragment, SYMBOLS};
use crate::devicetree::reader::DEEPEST;
use crate::devicetree::{NodeId, Tree, TreeError};

/// Merges each fragment into its target, then adds the overlay's labels to those of the tree.
pub(super) fn merge(
    base: &mut Tree,
    overlay: &Tree,
    fragments: &[Fragment],
) -> Result<(), TreeError> {
    let mut targets = Vec::new();
    for fragment in fragments {
        let target = target(base, overlay, fragment.node)?;
        put(base, overlay, fragment.content, target)?;
        targets.push((overlay.name(fragment.node), base.path(target)));
    }
    symbols(base, overlay, &targets)
}

fn target(base: &Tree, overlay: &Tree, fragment: NodeId) -> Result<NodeId, TreeError> {
    if let Some(phandle) = overlay.cell(fragment, "target")? {
        return base.by_phandle(phandle).ok_or_else(|| {
            let what = format!("is the phandle {phandle:#x}, which no node has");
            overlay.error(fragment, "target", what)
        });
    }
    const PATH: &str = "target-path";
    let path = overlay.string(fragment, PATH).unwrap_or_default();
    let named = if path.starts_with('/') {
        exact(base, path)
    } else {
        // An alias, and what follows it below the node that it stands for.
        let (alias, rest) = path.split_once('/').unwrap_or((path, ""));
        let aliases = base.exact_child(Tree::ROOT, "aliases");
        let start = aliases.and_then(|aliases| base.string(aliases, alias));
        start.and_then(|start| exact(base, &format!("{start}/{rest}")))
    };
    named.ok_or_else(|| {
        overlay.error(
            fragment,
            PATH,
            format!("is no node of the tree: \"{path}\""),
        )
    })
}

/// Merges a node with all below it.
fn put(base: &mut Tree, overlay: &Tree, from: NodeId, to: NodeId) -> Result<(), TreeError> {
    let depth =
        |tree: &Tree, node| std::iter::successors(Some(node), |at| tree.parent(*at)).count();
    let mut pairs = vec![(from, to)];
    while let Some((from, to)) = pairs.pop() {
        if depth(base, to) > DEEPEST {
            let what = format!("would nest deeper than {DEEPEST} levels");
            return Err(overlay.error(from, FRAGMENT, what));
        }
        for property in overlay.properties(from) {
            let name = property.name.as_str();
            if matches!(name, "phandle" | "linux,phandle") && base.phandle(to).is_some() {
                // What refers to the node by its old phandle must go on to do so.
                let what = format!("would be a second one of {}", base.path(to));
                return Err(overlay.error(from, name, what));
            }
            base.set(to, name, property.value.clone());
        }
        for child in overlay.children(from) {
            let name = overlay.name(*child);
            let twin = base.exact_child(to, name);
            let twin = twin.unwrap_or_else(|| base.add(to, name));
            pairs.push((*child, twin));
        }
    }
    Ok(())
}

/// Adds the overlay's labels, with the paths that their nodes have now.
fn symbols(base: &mut Tree, overlay: &Tree, targets: &[(&str, String)]) -> Result<(), TreeError> {
    let Some(table) = overlay.exact_child(Tree::ROOT, SYMBOLS) else {
        return Ok(());
    };
    for label in overlay.properties(table) {
        let path = overlay.string(table, &label.name).unwrap_or_default();
        let place = path
            .strip_prefix('/')
            .and_then(|path| path.split_once('/'))
            .and_then(|(fragment, rest)| Some((fragment, rest.strip_prefix(FRAGMENT)?)));
        // Labels of the fragments themselves end with the overlay.
        let Some((fragment, rest)) = place else {
            continue;
        };
        let target = targets.iter().find(|(name, _)| *name == fragment);
        let (_, target) = target.ok_or_else(|| {
            let what = format!("is a label in a fragment that is not there: {path}");
            overlay.error(table, &label.name, what)
        })?;
        let now = format!("{}{rest}", target.trim_end_matches('/'));
        let now = if now.is_empty() { "/" } else { &now };
        let known = base.exact_child(Tree::ROOT, SYMBOLS);
        let known = known.unwrap_or_else(|| base.add(Tree::ROOT, SYMBOLS));
        base.set_string(known, &label.name, now);
    }
    Ok(())
}
