//! What buses do to the addresses of DMA (`dma-ranges`; Devicetree Specification 0.4, section 2.3.9).

use super::addresses::{Window, windows_to};
use super::{NodeId, Tree, TreeError};
use crate::range::AddressRange;

/// A part of memory that a device reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DmaWindow {
    /// The address that the device puts out for the first byte.
    pub device: u64,
    /// Where that is for the CPU, or for the IOMMU in front of memory.
    pub memory: AddressRange,
}

impl DmaWindow {
    /// True when the device uses another address than the CPU.
    pub fn moves(&self) -> bool {
        self.device != self.memory.base
    }
}

/// More windows are no board.
const MOST_WINDOWS: usize = 1024;

/// What a device reaches by DMA through the buses above it, and what the functions behind a PCI host reach. `None` when every address
/// is the same on both sides, which is also what a tree means that says nothing (Linux, drivers/of/address.c).
///
/// # Errors
/// A malformed `dma-ranges`.
pub(crate) fn dma_windows(tree: &Tree, node: NodeId) -> Result<Option<Vec<DmaWindow>>, TreeError> {
    const NAME: &str = "dma-ranges";
    let mut reached: Option<Vec<DmaWindow>> = None;
    let mut at = node;
    while let Some(above) = tree.parent(at) {
        let windows = windows_to(tree, at, above, NAME)?.unwrap_or_default();
        if !windows.is_empty() {
            let through = match &reached {
                None => windows.iter().map(whole).collect(),
                Some(reached) => {
                    let pairs = reached
                        .iter()
                        .flat_map(|one| windows.iter().map(move |window| part(one, window)));
                    pairs.flatten().take(MOST_WINDOWS + 1).collect::<Vec<_>>()
                }
            };
            if through.len() > MOST_WINDOWS {
                return Err(tree.error(at, NAME, "splits memory into too many windows"));
            }
            reached = Some(through);
        }
        at = above;
    }
    let same = |window: &DmaWindow| !window.moves() && window.memory.base == 0;
    // One window from 0 to the end of all that there is says no more than an empty property.
    Ok(reached
        .filter(|all| !matches!(all.as_slice(), [one] if same(one) && one.memory.size >= 1 << 48)))
}

fn whole(window: &Window) -> DmaWindow {
    DmaWindow {
        device: window.below.base,
        memory: window.up(window.below),
    }
}

/// The part of a window that the next bus lets through.
fn part(one: &DmaWindow, window: &Window) -> Option<DmaWindow> {
    let base = one.memory.base.max(window.below.base);
    let shared = AddressRange::between(base, one.memory.end().min(window.below.end()))?;
    Some(DmaWindow {
        device: one.device + (base - one.memory.base),
        memory: window.up(shared),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device below two buses with the given `dma-ranges` (1-cell addresses below, 2-cell above).
    fn device(inner: Option<&[u32]>, outer: Option<&[u32]>) -> (Tree, NodeId) {
        let mut tree = Tree::new();
        let soc = tree.add(Tree::ROOT, "soc");
        let bus = tree.add(soc, "bus");
        for (node, ranges) in [(soc, outer), (bus, inner)] {
            tree.set_cells(node, "#address-cells", &[1]);
            tree.set_cells(node, "#size-cells", &[1]);
            if let Some(ranges) = ranges {
                tree.set_cells(node, "dma-ranges", ranges);
            }
        }
        let device = tree.add(bus, "device");
        (tree, device)
    }

    #[test]
    fn silent_and_empty_buses_change_nothing() {
        for ranges in [None, Some(&[][..])] {
            let (tree, device) = device(ranges, ranges);
            assert_eq!(dma_windows(&tree, device), Ok(None));
        }
    }

    #[test]
    fn offset_of_a_bus_is_reported() {
        let (tree, device) = device(None, Some(&[0xc000_0000, 0, 0, 0x3f00_0000]));
        let found = dma_windows(&tree, device).unwrap().unwrap();
        assert_eq!((found[0].device, found[0].memory.base), (0xc000_0000, 0));
        assert!(found[0].moves());
    }

    #[test]
    fn windows_of_two_buses_are_cut_to_what_both_let_through() {
        let inner = [0, 0x1000_0000, 0x3000_0000];
        let outer = [0x2000_0000, 1, 0, 0x1000_0000];
        let (tree, device) = device(Some(&inner), Some(&outer));
        let window = DmaWindow {
            device: 0x1000_0000,
            memory: AddressRange::new(0x1_0000_0000, 0x1000_0000).unwrap(),
        };
        assert_eq!(dma_windows(&tree, device), Ok(Some(vec![window])));
    }

    #[test]
    fn inbound_windows_of_a_pci_host_are_its_own() {
        let mut tree = Tree::new();
        tree.set_cells(Tree::ROOT, "#address-cells", &[2]);
        let host = tree.add(Tree::ROOT, "pcie");
        tree.set_cells(host, "#address-cells", &[3]);
        tree.set_cells(host, "#size-cells", &[2]);
        tree.set_cells(
            host,
            "dma-ranges",
            &[0x4200_0000, 0, 0x4000_0000, 0, 0x4000_0000, 0, 0x8000_0000],
        );
        let found = dma_windows(&tree, host).unwrap().unwrap();
        assert_eq!(
            found[0].memory,
            AddressRange::new(0x4000_0000, 0x8000_0000).unwrap()
        );
        assert!(!found[0].moves());
    }

    #[test]
    fn wrapping_window_is_an_error() {
        let (tree, device) = device(Some(&[0xffff_ffff, 0, 2]), Some(&[]));
        assert!(dma_windows(&tree, device).is_ok());
        let (tree, device) = self::device(None, Some(&[0, u32::MAX, u32::MAX, 2]));
        let error = dma_windows(&tree, device).unwrap_err().to_string();
        assert_eq!(error, "/soc: `dma-ranges` has a window that wraps around");
    }
}
