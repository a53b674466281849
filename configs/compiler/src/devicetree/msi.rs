//! Which message-signalled interrupts a node can raise (Linux, msi.txt and pci-msi.txt).

use super::requesters;
use super::specifiers::{provider, specifiers};
use super::streams::Ids;
use super::{NodeId, Tree, TreeError};

const PARENT: &str = "msi-parent";
const CELLS: &str = "#msi-cells";
const MAP: &str = "msi-map";
const MASK: &str = "msi-map-mask";

/// An MSI controller that a node writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Msi {
    /// An ITS, a v2m frame or another one.
    pub controller: NodeId,
    /// DeviceIDs by which the controller knows the node; `None` where it does not tell its writers apart, as a v2m frame does not.
    pub devices: Option<Ids>,
}

/// The MSI controllers of a node: its `msi-parent`, and for a bus everything that its `msi-map` can yield.
///
/// # Errors
/// A malformed property.
pub(crate) fn msis(tree: &Tree, node: NodeId) -> Result<Vec<Msi>, TreeError> {
    let mut found = parents(tree, node)?;
    for entry in requesters::entries(tree, node, MAP)? {
        found.push(Msi {
            controller: entry.provider,
            devices: Some(Ids::Range {
                first: entry.first,
                count: entry.count,
            }),
        });
    }
    Ok(found)
}

/// The MSI controller of one requester of a bus; `None` when it has none.
///
/// # Errors
/// A malformed property.
pub(crate) fn of_requester(
    tree: &Tree,
    bus: NodeId,
    requester: u32,
) -> Result<Option<Msi>, TreeError> {
    if tree.has(bus, MAP) {
        let found = requesters::look_up(tree, bus, MAP, MASK, requester)?;
        return Ok(found.map(|(controller, id)| Msi {
            controller,
            devices: Some(Ids::one(id)),
        }));
    }
    // Without a map the requester IDs are the DeviceIDs.
    let mut parents = parents(tree, bus)?.into_iter();
    Ok(parents.next().map(|msi| Msi {
        devices: Some(Ids::one(requester)),
        ..msi
    }))
}

fn parents(tree: &Tree, node: NodeId) -> Result<Vec<Msi>, TreeError> {
    // A single phandle is allowed whatever `#msi-cells` says: a PCI host's requester IDs are the DeviceIDs then.
    if let Some([phandle]) = tree.cells(node, PARENT)?.as_deref() {
        return Ok(vec![Msi {
            controller: provider(tree, node, PARENT, *phandle)?,
            devices: None,
        }]);
    }
    let all = specifiers(tree, node, PARENT, CELLS)?.into_iter();
    let msi = all.map(|one| Msi {
        controller: one.provider,
        devices: one.arguments.first().map(|id| Ids::one(*id)),
    });
    Ok(msi.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(property: &str, cells: &[u32]) -> (Tree, NodeId, NodeId) {
        let mut tree = Tree::new();
        let its = tree.add(Tree::ROOT, "its");
        tree.set_cells(its, "phandle", &[1]);
        tree.set_cells(its, CELLS, &[1]);
        let node = tree.add(Tree::ROOT, "node");
        tree.set_cells(node, property, cells);
        (tree, node, its)
    }

    #[test]
    fn platform_device_names_its_device_id() {
        let (tree, node, its) = with(PARENT, &[1, 0x40]);
        let devices = Some(Ids::one(0x40));
        assert_eq!(
            msis(&tree, node).unwrap(),
            [Msi {
                controller: its,
                devices
            }]
        );
    }

    #[test]
    fn lone_phandle_is_enough() {
        let (tree, node, its) = with(PARENT, &[1]);
        assert_eq!(
            msis(&tree, node).unwrap(),
            [Msi {
                controller: its,
                devices: None
            }]
        );
    }

    #[test]
    fn pci_host_has_a_range_of_device_ids() {
        let (tree, node, _) = with(MAP, &[0, 1, 0x2_0000, 0x1_0000]);
        let devices = msis(&tree, node).unwrap()[0].devices;
        assert!(devices.is_some_and(|ids| ids.contains(0x2_ffff) && !ids.contains(0x3_0000)));
    }

    #[test]
    fn each_requester_has_a_device_id_of_its_own() {
        let (tree, node, its) = with(MAP, &[0, 1, 0x2_0000, 0x100]);
        let id = |tree: &Tree, requester| {
            let found = of_requester(tree, node, requester).unwrap();
            found.map(|msi| (msi.controller, msi.devices))
        };
        assert_eq!(id(&tree, 0x18), Some((its, Some(Ids::one(0x2_0018)))));
        assert_eq!(id(&tree, 0x100), None);
        let (tree, _, its) = with(PARENT, &[1]);
        assert_eq!(id(&tree, 0x18), Some((its, Some(Ids::one(0x18)))));
    }

    #[test]
    fn unknown_controller_is_an_error_with_path_and_property() {
        let (tree, node, _) = with(PARENT, &[2]);
        let error = msis(&tree, node).unwrap_err().to_string();
        assert!(
            error.starts_with("/node: `msi-parent` names the phandle 0x2"),
            "{error}"
        );
    }
}
