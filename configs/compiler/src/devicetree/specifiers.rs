//! Lists of `<phandle argument …>`: how a node names what it uses of others. The provider says how many arguments follow its phandle
//! (`#clock-cells`, `#iommu-cells` and so on).

use super::{NodeId, Tree, TreeError};

/// One entry of such a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Specifier {
    /// Place in the list. Entries with the phandle 0 are empty: they count, and are left out.
    pub index: usize,
    pub provider: NodeId,
    pub arguments: Vec<u32>,
}

/// Reads the list `property` of a node; `width` is the name of the property with the number of arguments.
///
/// # Errors
/// A phandle that no node has, a provider without `width`, or a list that is cut off.
pub(crate) fn specifiers(
    tree: &Tree,
    node: NodeId,
    property: &str,
    width: &str,
) -> Result<Vec<Specifier>, TreeError> {
    let cells = tree.cells(node, property)?.unwrap_or_default();
    let mut found = Vec::new();
    let mut rest = cells.as_slice();
    let mut index = 0;
    while let Some((phandle, tail)) = rest.split_first() {
        rest = tail;
        if *phandle != 0 {
            let provider = provider(tree, node, property, *phandle)?;
            let count = tree.cell(provider, width)?.ok_or_else(|| {
                let what = format!("names {}, which has no `{width}`", tree.path(provider));
                tree.error(node, property, what)
            })?;
            let (arguments, tail) = rest.split_at_checked(count as usize).ok_or_else(|| {
                let what = format!("is cut off: {} wants {count} cells", tree.path(provider));
                tree.error(node, property, what)
            })?;
            rest = tail;
            found.push(Specifier {
                index,
                provider,
                arguments: arguments.to_vec(),
            });
        }
        index += 1;
    }
    Ok(found)
}

/// The node that a property names by phandle.
///
/// # Errors
/// No node has that phandle.
pub(crate) fn provider(
    tree: &Tree,
    node: NodeId,
    property: &str,
    phandle: u32,
) -> Result<NodeId, TreeError> {
    tree.by_phandle(phandle).ok_or_else(|| {
        let what = format!("names the phandle {phandle:#x}, which no node has");
        tree.error(node, property, what)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(list: &[u32]) -> (Tree, NodeId, [NodeId; 2]) {
        let mut tree = Tree::new();
        let one = tree.add(Tree::ROOT, "one");
        tree.set_cells(one, "phandle", &[1]);
        tree.set_cells(one, "#reset-cells", &[1]);
        let none = tree.add(Tree::ROOT, "none");
        tree.set_cells(none, "phandle", &[2]);
        tree.set_cells(none, "#reset-cells", &[0]);
        let user = tree.add(Tree::ROOT, "user");
        tree.set_cells(user, "resets", list);
        (tree, user, [one, none])
    }

    #[test]
    fn each_provider_takes_its_own_number_of_arguments() {
        let (tree, user, [one, none]) = tree(&[1, 7, 2, 1, 8]);
        let found = specifiers(&tree, user, "resets", "#reset-cells").unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|one| (one.provider, one.arguments.as_slice()))
            .collect();
        assert_eq!(found, [(one, &[7][..]), (none, &[]), (one, &[8])]);
    }

    #[test]
    fn empty_entry_keeps_the_places_of_the_others() {
        let (tree, user, [_, none]) = tree(&[0, 2]);
        let found = specifiers(&tree, user, "resets", "#reset-cells").unwrap();
        assert_eq!((found[0].index, found[0].provider), (1, none));
    }

    #[test]
    fn broken_lists_are_errors_with_path_and_property() {
        for (list, what) in [
            (
                &[9][..],
                "/user: `resets` names the phandle 0x9, which no node has",
            ),
            (&[1], "/user: `resets` is cut off: /one wants 1 cells"),
        ] {
            let (tree, user, _) = tree(list);
            let error = specifiers(&tree, user, "resets", "#reset-cells").unwrap_err();
            assert_eq!(error.to_string(), what);
        }
        let (tree, user, _) = tree(&[1, 7]);
        let error = specifiers(&tree, user, "resets", "#clock-cells").unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("/one, which has no `#clock-cells`")
        );
    }
}
