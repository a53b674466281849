//! Maps from requester IDs of a bus (PCI bus, device, function) to specifiers of an IOMMU or MSI controller
//! (Linux, pci-iommu.txt and pci-msi.txt): entries of first requester, phandle, first result, length.

use super::specifiers::provider;
use super::{NodeId, Tree, TreeError};

/// One entry of such a map. Neither side wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub first_requester: u32,
    pub provider: NodeId,
    pub first: u32,
    /// At least 1.
    pub count: u32,
}

/// A longer map is no board.
const MOST_ENTRIES: usize = 1024;

/// The entries of the map `property` of a bus; none when it is missing.
///
/// # Errors
/// A malformed map.
pub(super) fn entries(tree: &Tree, bus: NodeId, property: &str) -> Result<Vec<Entry>, TreeError> {
    let cells = tree.cells(bus, property)?.unwrap_or_default();
    let (entries, rest) = cells.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(tree.error(
            bus,
            property,
            "is not a whole number of entries of four cells",
        ));
    }
    if entries.len() > MOST_ENTRIES {
        let what = format!("has more than {MOST_ENTRIES} entries");
        return Err(tree.error(bus, property, what));
    }
    let entry = |&[first_requester, phandle, first, count]: &[u32; 4]| {
        let fits = |first: u32| first.checked_add(count.saturating_sub(1)).is_some();
        if !fits(first_requester) || !fits(first) {
            return Err(tree.error(bus, property, "has an entry that wraps around"));
        }
        Ok(Entry {
            first_requester,
            provider: provider(tree, bus, property, phandle)?,
            first,
            count,
        })
    };
    // An entry of length 0 is a place that firmware fills in on the board.
    let filled = entries.iter().filter(|[_, _, _, count]| *count > 0);
    filled.map(entry).collect()
}

/// What the map says of one requester, after `mask` (the property `…-map-mask`) is applied: the provider and the number there.
///
/// # Errors
/// A malformed map or mask.
pub(super) fn look_up(
    tree: &Tree,
    bus: NodeId,
    property: &str,
    mask: &str,
    requester: u32,
) -> Result<Option<(NodeId, u32)>, TreeError> {
    let requester = requester & tree.cell(bus, mask)?.unwrap_or(u32::MAX);
    let entries = entries(tree, bus, property)?;
    let found = entries.into_iter().find_map(|entry| {
        let distance = requester.checked_sub(entry.first_requester)?;
        (distance < entry.count).then(|| (entry.provider, entry.first + distance))
    });
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bus(map: &[u32]) -> (Tree, NodeId, NodeId) {
        let mut tree = Tree::new();
        let smmu = tree.add(Tree::ROOT, "smmu");
        tree.set_cells(smmu, "phandle", &[1]);
        let bus = tree.add(Tree::ROOT, "pcie");
        tree.set_cells(bus, "iommu-map", map);
        (tree, bus, smmu)
    }

    fn at(tree: &Tree, bus: NodeId, requester: u32) -> Option<u32> {
        let found = look_up(tree, bus, "iommu-map", "iommu-map-mask", requester).unwrap();
        found.map(|(_, number)| number)
    }

    #[test]
    fn requester_is_moved_by_its_entry() {
        let (tree, bus, _) = bus(&[0, 1, 0x100, 8, 0x10, 1, 0x400, 8]);
        assert_eq!(
            [0, 7, 8, 0x12].map(|one| at(&tree, bus, one)),
            [Some(0x100), Some(0x107), None, Some(0x402)]
        );
    }

    #[test]
    fn mask_makes_all_requesters_one() {
        // R-Car's PCIe hosts: every function is one uTLB.
        let (mut tree, bus, _) = bus(&[0, 1, 5, 1]);
        tree.set_cells(bus, "iommu-map-mask", &[0]);
        assert_eq!(at(&tree, bus, 0x318), Some(5));
    }

    #[test]
    fn malformed_maps_are_errors() {
        for map in [
            &[0, 1, 0][..],
            &[0, 9, 0, 1],
            &[0, 1, u32::MAX, 2],
            &[u32::MAX, 1, 0, 2],
        ] {
            let (tree, bus, _) = bus(map);
            let error = entries(&tree, bus, "iommu-map").unwrap_err().to_string();
            assert!(error.starts_with("/pcie: `iommu-map` "), "{error}");
        }
        let (tree, bus, smmu) = bus(&[0, 0, 0, 0, 0, 1, 0, u32::MAX]);
        assert_eq!(entries(&tree, bus, "iommu-map").unwrap()[0].provider, smmu);
    }
}
