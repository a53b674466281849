//! The interrupt tree: parents and the maps of nexus nodes (Devicetree Specification 0.4, sections 2.4.1 to 2.4.4).

use super::specifiers::provider;
use super::{NodeId, Tree, TreeError};

/// The property with the width of a controller's specifiers.
pub(super) const CELLS: &str = "#interrupt-cells";
const MAP: &str = "interrupt-map";
const MASK: &str = "interrupt-map-mask";
/// More nexus nodes in a row are a loop. Real boards have one or two.
const MOST_STEPS: usize = 16;
/// A longer map is no board.
const MOST_ENTRIES: usize = 1024;
/// Addresses and specifiers of more cells are no board.
const MOST_CELLS: u32 = 16;

/// Controllers whose `interrupt-map` is private to their driver: what is behind them goes to them (Linux, drivers/of/irq.c).
const MAP_IS_PRIVATE: &[&str] = &[
    "fsl,ls1021a-extirq",
    "fsl,ls1043a-extirq",
    "fsl,ls1088a-extirq",
    "renesas,rza1-irqc",
];

/// An entry of an `interrupt-map`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Unit address and specifier of the child.
    pub child: Vec<u32>,
    pub parent: NodeId,
    pub address: Vec<u32>,
    pub specifier: Vec<u32>,
}

/// True when interrupts pass through the node to others.
pub(super) fn is_nexus(tree: &Tree, node: NodeId) -> bool {
    tree.has(node, MAP) && !tree.is_compatible(node, MAP_IS_PRIVATE)
}

/// The interrupt parent of a node: the first node above it, by `interrupt-parent` or else by the tree, that has `#interrupt-cells`.
///
/// # Errors
/// An `interrupt-parent` that names no node, or a loop of them.
pub(super) fn parent(tree: &Tree, node: NodeId) -> Result<Option<NodeId>, TreeError> {
    const NAME: &str = "interrupt-parent";
    let mut at = node;
    // Each step goes up the tree or along a phandle; only phandles can lead into a loop.
    let mut jumps = 0;
    loop {
        at = match tree.cell(at, NAME)? {
            Some(phandle) => {
                jumps += 1;
                if jumps > MOST_STEPS {
                    return Err(tree.error(node, NAME, "leads into a loop"));
                }
                provider(tree, at, NAME, phandle)?
            }
            None => match tree.parent(at) {
                Some(above) => above,
                None => return Ok(None),
            },
        };
        if tree.has(at, CELLS) {
            return Ok(Some(at));
        }
    }
}

/// Follows an interrupt of `node` from the controller that it names to the one that takes it.
///
/// # Errors
/// A map that is malformed, has no entry for the interrupt, or leads into a loop.
pub(super) fn follow(
    tree: &Tree,
    node: NodeId,
    controller: NodeId,
    specifier: Vec<u32>,
    gic: NodeId,
) -> Result<(NodeId, Vec<u32>), TreeError> {
    // A nexus compares the unit address, which is the first address in `reg`.
    let address = tree.cells(node, "reg").ok().flatten().unwrap_or_default();
    follow_from(tree, node, controller, address, specifier, gic)
}

/// [`follow`] for a unit address of its own.
pub(super) fn follow_from(
    tree: &Tree,
    node: NodeId,
    controller: NodeId,
    address: Vec<u32>,
    specifier: Vec<u32>,
    gic: NodeId,
) -> Result<(NodeId, Vec<u32>), TreeError> {
    let (mut at, mut address, mut specifier) = (controller, address, specifier);
    for _ in 0..MOST_STEPS {
        if at == gic {
            return Ok((at, specifier));
        }
        if tree.has(at, "interrupt-controller") && !is_nexus(tree, at) {
            return Ok((at, specifier));
        }
        let entry = step(tree, node, at, &address, &specifier)?;
        (at, address, specifier) = (entry.parent, entry.address, entry.specifier);
    }
    Err(tree.error(
        node,
        "interrupts",
        format!("pass {MOST_STEPS} nexus nodes: a loop"),
    ))
}

/// What the nexus `at` makes of an interrupt.
fn step(
    tree: &Tree,
    node: NodeId,
    at: NodeId,
    address: &[u32],
    specifier: &[u32],
) -> Result<Entry, TreeError> {
    let entries = entries(tree, at)?;
    let units = address_cells(tree, at)?;
    // A node without an address of that width is compared as address 0.
    let mut wanted = vec![0; units];
    if let Some(unit) = address.get(..units) {
        wanted.copy_from_slice(unit);
    }
    wanted.extend(specifier);
    let mask = tree.cells(at, MASK)?;
    let mask = mask.unwrap_or_else(|| vec![u32::MAX; wanted.len()]);
    if mask.len() != wanted.len() {
        return Err(tree.error(at, MASK, format!("is not {} cells long", wanted.len())));
    }
    let masked = |cells: &[u32]| -> Vec<u32> {
        cells
            .iter()
            .zip(&mask)
            .map(|(cell, mask)| cell & mask)
            .collect()
    };
    let wanted = masked(&wanted);
    let found = entries
        .into_iter()
        .find(|entry| masked(&entry.child) == wanted && tree.is_enabled(entry.parent));
    found.ok_or_else(|| {
        let what = format!(
            "has no entry for interrupt {specifier:?} of {}",
            tree.path(node)
        );
        tree.error(at, MAP, what)
    })
}

/// The entries of a nexus node's map; none when it has no map.
///
/// # Errors
/// A malformed map, or a node that is neither a controller nor a nexus.
pub(super) fn entries(tree: &Tree, nexus: NodeId) -> Result<Vec<Entry>, TreeError> {
    let cells = tree.cells(nexus, MAP)?.ok_or_else(|| {
        let what = "is missing: interrupts end here, but it is no `interrupt-controller`";
        tree.error(nexus, MAP, what)
    })?;
    let cut_off = || tree.error(nexus, MAP, "is cut off");
    let child = address_cells(tree, nexus)? + interrupt_cells(tree, nexus)?;
    let mut found = Vec::new();
    let mut rest = cells.as_slice();
    while !rest.is_empty() {
        if found.len() == MOST_ENTRIES {
            let what = format!("has more than {MOST_ENTRIES} entries");
            return Err(tree.error(nexus, MAP, what));
        }
        let mut take = |count: usize| {
            let (head, tail) = rest.split_at_checked(count)?;
            rest = tail;
            Some(head.to_vec())
        };
        let child = take(child).ok_or_else(cut_off)?;
        let phandle = take(1).and_then(|cells| cells.first().copied());
        let parent = provider(tree, nexus, MAP, phandle.ok_or_else(cut_off)?)?;
        // Unlike a bus, an interrupt parent that says nothing of addresses has none (Linux, drivers/of/irq.c).
        let units = match tree.cell(parent, "#address-cells")? {
            None => 0,
            Some(_) => address_cells(tree, parent)?,
        };
        let address = take(units).ok_or_else(cut_off)?;
        let specifier = take(interrupt_cells(tree, parent)?).ok_or_else(cut_off)?;
        found.push(Entry {
            child,
            parent,
            address,
            specifier,
        });
    }
    Ok(found)
}

/// How many cells a unit address has at an interrupt parent: its own `#address-cells`, or that of the nearest node above it.
fn address_cells(tree: &Tree, node: NodeId) -> Result<usize, TreeError> {
    let mut at = Some(node);
    while let Some(here) = at {
        match tree.cell(here, "#address-cells")? {
            Some(cells @ 0..=MOST_CELLS) => return Ok(cells as usize),
            Some(_) => return Err(tree.error(here, "#address-cells", "is not a sensible number")),
            None => at = tree.parent(here),
        }
    }
    Ok(2)
}

fn interrupt_cells(tree: &Tree, node: NodeId) -> Result<usize, TreeError> {
    match tree.cell(node, CELLS)? {
        Some(cells @ 1..=MOST_CELLS) => Ok(cells as usize),
        Some(_) => Err(tree.error(node, CELLS, "is not a sensible number")),
        None => Err(tree.error(node, CELLS, "is missing")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::interrupts::{Line, interrupts, lines, mapped};
    use super::*;

    /// A GIC, a nexus like a PCI host, and a device behind it at unit address `unit` that raises interrupt `pin`.
    fn host(unit: u32, pin: u32) -> (Tree, NodeId, NodeId, NodeId) {
        let mut tree = Tree::new();
        tree.set_cells(Tree::ROOT, "interrupt-parent", &[7]);
        let gic = tree.add(Tree::ROOT, "intc");
        tree.set_cells(gic, "phandle", &[7]);
        tree.set_cells(gic, CELLS, &[3]);
        tree.set_cells(gic, "#address-cells", &[2]);
        tree.set(gic, "interrupt-controller", []);
        let nexus = tree.add(Tree::ROOT, "pcie");
        tree.set_cells(nexus, "phandle", &[8]);
        tree.set_cells(nexus, CELLS, &[1]);
        tree.set_cells(nexus, "#address-cells", &[3]);
        tree.set_cells(nexus, MASK, &[0x1800, 0, 0, 7]);
        #[rustfmt::skip]
        tree.set_cells(nexus, MAP, &[
            0,     0, 0, 1,  7, 0, 0,  0, 3, 4,
            0,     0, 0, 2,  7, 0, 0,  0, 4, 4,
            0x800, 0, 0, 1,  7, 0, 0,  0, 4, 4,
        ]);
        let device = tree.add(nexus, "device");
        tree.set_cells(device, "reg", &[unit, 0, 0, 0, 0]);
        tree.set_cells(device, "interrupts", &[pin]);
        (tree, device, nexus, gic)
    }

    fn intid(tree: &Tree, device: NodeId, gic: NodeId) -> u32 {
        interrupts(tree, device, gic).unwrap()[0].intid.get()
    }

    #[test]
    fn map_looks_at_unit_address_and_specifier_under_its_mask() {
        for (unit, pin, expected) in [
            (0, 1, 35),
            (0, 2, 36),
            (0x0800, 1, 36),
            (0xffff_0000, 1, 35),
        ] {
            let (tree, device, _, gic) = host(unit, pin);
            assert_eq!(intid(&tree, device, gic), expected, "{unit:#x} {pin}");
        }
    }

    #[test]
    fn interrupt_without_entry_is_an_error_at_the_nexus() {
        let (tree, device, _, gic) = host(0x800, 2);
        let error = interrupts(&tree, device, gic).unwrap_err().to_string();
        assert_eq!(
            error,
            "/pcie: `interrupt-map` has no entry for interrupt [2] of /pcie/device"
        );
    }

    #[test]
    fn chain_of_nexus_nodes_is_followed() {
        let (mut tree, device, nexus, gic) = host(0, 1);
        let board = tree.add(Tree::ROOT, "connector");
        tree.set_cells(board, "phandle", &[9]);
        tree.set_cells(board, CELLS, &[1]);
        tree.set_cells(board, "#address-cells", &[0]);
        tree.set_cells(board, MAP, &[4, 8, 0x800, 0, 0, 1]);
        tree.set_cells(device, "interrupt-parent", &[9]);
        tree.set_cells(device, "interrupts", &[4]);
        assert_eq!(intid(&tree, device, gic), 36);
        let _ = nexus;
    }

    #[test]
    fn loop_of_nexus_nodes_is_an_error() {
        let (mut tree, device, nexus, gic) = host(0, 1);
        tree.set_cells(nexus, MAP, &[0, 0, 0, 1, 8, 0, 0, 0, 1]);
        let error = interrupts(&tree, device, gic).unwrap_err().to_string();
        assert!(error.contains("16 nexus nodes"), "{error}");
    }

    #[test]
    fn loop_of_interrupt_parents_is_an_error() {
        let mut tree = Tree::new();
        let [one, other] = ["one", "other"].map(|name| tree.add(Tree::ROOT, name));
        tree.set_cells(one, "phandle", &[1]);
        tree.set_cells(other, "phandle", &[2]);
        tree.set_cells(one, "interrupt-parent", &[2]);
        tree.set_cells(other, "interrupt-parent", &[1]);
        assert!(parent(&tree, one).unwrap_err().to_string().contains("loop"));
    }

    #[test]
    fn bus_above_with_specifiers_is_the_parent_without_being_named() {
        let (tree, device, nexus, _) = host(0, 1);
        assert_eq!(parent(&tree, device), Ok(Some(nexus)));
    }

    #[test]
    fn every_entry_of_a_host_is_listed_with_its_end() {
        let (tree, _, nexus, gic) = host(0, 1);
        let all = mapped(&tree, nexus, gic).unwrap();
        let ends: Vec<u32> = all
            .iter()
            .filter_map(|one| match &one.line {
                Line::Gic(interrupt) => Some(interrupt.intid.get()),
                Line::Other { .. } => None,
            })
            .collect();
        assert_eq!(ends, [35, 36, 36]);
        assert_eq!(all[2].child, [0x800, 0, 0, 1]);
    }

    #[test]
    fn malformed_maps_are_errors() {
        for (map, what) in [
            (&[0, 0, 0][..], "is cut off"),
            (&[0, 0, 0, 1, 7, 0, 0, 0, 3], "is cut off"),
            (&[0, 0, 0, 1, 5, 0, 3, 4], "phandle 0x5"),
        ] {
            let (mut tree, device, nexus, gic) = host(0, 1);
            tree.set_cells(nexus, MAP, map);
            let error = lines(&tree, device, gic).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        let (mut tree, device, nexus, gic) = host(0, 1);
        tree.set_cells(nexus, MASK, &[0, 7]);
        assert!(
            lines(&tree, device, gic)
                .unwrap_err()
                .to_string()
                .contains(MASK)
        );
        tree.set_cells(nexus, "#address-cells", &[u32::MAX]);
        assert!(
            lines(&tree, device, gic)
                .unwrap_err()
                .to_string()
                .contains("sensible")
        );
    }
}
