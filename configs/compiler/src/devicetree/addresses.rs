//! `reg` and `ranges`: where a node's registers are for the CPU (Devicetree Specification 0.4, sections 2.3.5 to 2.3.8).

use super::{NodeId, Tree, TreeError};
use crate::range::AddressRange;

/// How many cells the children of `node` use for an address and for a size.
fn child_cells(tree: &Tree, node: NodeId) -> Result<(usize, usize), TreeError> {
    // The defaults that the specification gives for a missing property.
    let address = tree.cell(node, "#address-cells")?.unwrap_or(2);
    let size = tree.cell(node, "#size-cells")?.unwrap_or(1);
    match (address, size) {
        (1..=2, 0..=2) => Ok((address as usize, size as usize)),
        _ => Err(tree.error(node, "#address-cells", "or #size-cells is not one or two")),
    }
}

/// One or two cells as a number; none is 0.
fn number(cells: &[u32]) -> u64 {
    cells
        .iter()
        .fold(0, |value, cell| value << 32 | u64::from(*cell))
}

/// The entries of `reg` as they stand, not translated.
fn entries(tree: &Tree, node: NodeId) -> Result<Vec<(u64, u64)>, TreeError> {
    let Some(parent) = tree.parent(node) else {
        return Ok(Vec::new());
    };
    let Some(cells) = tree.cells(node, "reg")? else {
        return Ok(Vec::new());
    };
    let (address, size) = child_cells(tree, parent)?;
    if !cells.len().is_multiple_of(address + size) {
        return Err(tree.error(node, "reg", "is not a whole number of entries"));
    }
    let entry = |cells: &[u32]| (number(&cells[..address]), number(&cells[address..]));
    Ok(cells.chunks_exact(address + size).map(entry).collect())
}

/// The single identifier in `reg` of a node whose address space has no sizes, a CPU for example.
pub(crate) fn unit(tree: &Tree, node: NodeId) -> Result<u64, TreeError> {
    match entries(tree, node)?.as_slice() {
        [(unit, _)] => Ok(*unit),
        _ => Err(tree.error(node, "reg", "is not one identifier")),
    }
}

/// A node's registers as the CPU addresses them.
///
/// # Errors
/// A malformed `reg` or `ranges`, or a bus above the node that the CPU cannot reach through.
pub(crate) fn registers(tree: &Tree, node: NodeId) -> Result<Vec<AddressRange>, TreeError> {
    let translate = |(base, size): (u64, u64)| {
        let range = AddressRange::new(base, size);
        let range = range
            .ok_or_else(|| tree.error(node, "reg", "has a range that is empty or wraps around"))?;
        to_cpu(tree, node, range)
    };
    entries(tree, node)?.into_iter().map(translate).collect()
}

/// Translates a range through every bus between `node` and the root.
fn to_cpu(tree: &Tree, node: NodeId, mut range: AddressRange) -> Result<AddressRange, TreeError> {
    let mut bus = tree.parent(node);
    while let Some(at) = bus {
        let above = tree.parent(at);
        if let Some(above) = above {
            range = through(tree, at, above, range)?;
        }
        bus = above;
    }
    Ok(range)
}

fn through(
    tree: &Tree,
    bus: NodeId,
    above: NodeId,
    range: AddressRange,
) -> Result<AddressRange, TreeError> {
    let Some(cells) = tree.cells(bus, "ranges")? else {
        return Err(tree.error(
            bus,
            "ranges",
            "is missing: the CPU cannot reach what is below",
        ));
    };
    if cells.is_empty() {
        return Ok(range);
    }
    let (child, size) = child_cells(tree, bus)?;
    let (parent, _) = child_cells(tree, above)?;
    let width = child + parent + size;
    if !cells.len().is_multiple_of(width) {
        return Err(tree.error(bus, "ranges", "is not a whole number of entries"));
    }
    for entry in cells.chunks_exact(width) {
        let window = AddressRange::new(number(&entry[..child]), number(&entry[child + parent..]));
        if let Some(window) = window.filter(|window| window.contains(range)) {
            let base = number(&entry[child..child + parent]).checked_add(range.base - window.base);
            let moved = base.and_then(|base| AddressRange::new(base, range.size));
            return moved.ok_or_else(|| tree.error(bus, "ranges", "wraps around"));
        }
    }
    Err(tree.error(bus, "ranges", "has no window for the registers below"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bus(ranges: &[u32]) -> (Tree, NodeId) {
        let mut tree = Tree::new();
        tree.set_cells(Tree::ROOT, "#address-cells", &[2]);
        tree.set_cells(Tree::ROOT, "#size-cells", &[2]);
        let bus = tree.add(Tree::ROOT, "bus");
        tree.set_cells(bus, "#address-cells", &[1]);
        tree.set_cells(bus, "#size-cells", &[1]);
        tree.set_cells(bus, "ranges", ranges);
        let uart = tree.add(bus, "uart@100");
        tree.set_cells(uart, "reg", &[0x100, 0x10]);
        (tree, uart)
    }

    #[test]
    fn registers_are_moved_by_the_bus() {
        let (tree, uart) = bus(&[0, 8, 0xe000_0000, 0x1000]);
        assert_eq!(
            registers(&tree, uart).unwrap(),
            [AddressRange::new(0x8_e000_0100, 0x10).unwrap()]
        );
    }

    #[test]
    fn empty_ranges_change_nothing() {
        let (tree, uart) = bus(&[]);
        assert_eq!(registers(&tree, uart).unwrap()[0].base, 0x100);
    }

    #[test]
    fn registers_outside_every_window_are_an_error() {
        let (tree, uart) = bus(&[0, 0, 0, 0x80]);
        assert!(
            registers(&tree, uart)
                .unwrap_err()
                .to_string()
                .contains("no window")
        );
    }

    #[test]
    fn window_that_wraps_is_an_error() {
        let (tree, uart) = bus(&[0, 0xffff_ffff, 0xffff_ff00, 0x1000]);
        assert!(registers(&tree, uart).is_err());
    }

    #[test]
    fn three_address_cells_are_refused() {
        let (mut tree, uart) = bus(&[]);
        let parent = tree.parent(uart).unwrap();
        tree.set_cells(parent, "#address-cells", &[3]);
        assert!(registers(&tree, uart).is_err());
    }
}
