//! Which interrupts a node raises at the GIC (Devicetree Specification 0.4, section 2.4; Linux, arm,gic-v3.yaml).

use model::device::Trigger;
use model::ids::IntId;

use super::{NodeId, Tree, TreeError};

/// An interrupt of the GIC and how its line signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interrupt {
    pub intid: IntId,
    pub trigger: Trigger,
    /// The first three cells of the specifier, from which a guest tree is written.
    pub cells: [u32; 3],
}

/// A node's interrupts at the controller `gic`, from `interrupts-extended` or else `interrupts`.
///
/// # Errors
/// A malformed specifier, or an interrupt that goes to another controller.
pub(crate) fn interrupts(
    tree: &Tree,
    node: NodeId,
    gic: NodeId,
) -> Result<Vec<Interrupt>, TreeError> {
    if let Some(cells) = tree.cells(node, "interrupts-extended")? {
        return extended(tree, node, gic, &cells);
    }
    let Some(cells) = tree.cells(node, "interrupts")? else {
        return Ok(Vec::new());
    };
    if controller(tree, node) != Some(gic) {
        return Err(tree.error(node, "interrupts", "go to a controller that is not the GIC"));
    }
    let width = specifier_width(tree, node, gic)?;
    if !cells.len().is_multiple_of(width) {
        return Err(tree.error(node, "interrupts", "is not a whole number of specifiers"));
    }
    cells
        .chunks_exact(width)
        .map(|cells| decode(tree, node, cells))
        .collect()
}

fn extended(
    tree: &Tree,
    node: NodeId,
    gic: NodeId,
    cells: &[u32],
) -> Result<Vec<Interrupt>, TreeError> {
    const NAME: &str = "interrupts-extended";
    let width = specifier_width(tree, node, gic)?;
    let mut found = Vec::new();
    let mut rest = cells;
    while let Some((phandle, tail)) = rest.split_first() {
        if tree.by_phandle(*phandle) != Some(gic) {
            return Err(tree.error(node, NAME, "go to a controller that is not the GIC"));
        }
        let Some((specifier, tail)) = tail.split_at_checked(width) else {
            return Err(tree.error(node, NAME, "is not a whole number of specifiers"));
        };
        found.push(decode(tree, node, specifier)?);
        rest = tail;
    }
    Ok(found)
}

/// The controller that `interrupts` of a node go to: the nearest `interrupt-parent` at or above it.
pub(crate) fn controller(tree: &Tree, node: NodeId) -> Option<NodeId> {
    let mut at = Some(node);
    while let Some(here) = at {
        if let Ok(Some(phandle)) = tree.cell(here, "interrupt-parent") {
            return tree.by_phandle(phandle);
        }
        at = tree.parent(here);
    }
    None
}

fn specifier_width(tree: &Tree, node: NodeId, gic: NodeId) -> Result<usize, TreeError> {
    match tree.cell(gic, "#interrupt-cells")? {
        Some(width @ 3..=4) => Ok(width as usize),
        _ => Err(tree.error(
            node,
            "interrupts",
            "cannot be read: the GIC's `#interrupt-cells` is not 3 or 4",
        )),
    }
}

fn decode(tree: &Tree, node: NodeId, cells: &[u32]) -> Result<Interrupt, TreeError> {
    let &[kind, number, flags, ..] = cells else {
        return Err(tree.error(node, "interrupts", "is cut off"));
    };
    let intid = match (kind, number) {
        (0, 0..=987) => number + IntId::FIRST_SPI,
        (1, 0..=15) => number + IntId::FIRST_PPI,
        _ => {
            return Err(tree.error(
                node,
                "interrupts",
                "names neither an SPI (0 to 987) nor a PPI (0 to 15)",
            ));
        }
    };
    // Bits 3:0 are the trigger; for PPIs of a GICv2 bits 15:8 are a mask of CPUs.
    let trigger = match flags & 0xf {
        1 | 2 => Trigger::Edge,
        _ => Trigger::Level,
    };
    Ok(Interrupt {
        intid: IntId::new(intid),
        trigger,
        cells: [kind, number, flags],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree_with(name: &str, cells: &[u32]) -> (Tree, NodeId, NodeId) {
        let mut tree = Tree::new();
        tree.set_cells(Tree::ROOT, "interrupt-parent", &[7]);
        let gic = tree.add(Tree::ROOT, "intc");
        tree.set_cells(gic, "phandle", &[7]);
        tree.set_cells(gic, "#interrupt-cells", &[3]);
        let device = tree.add(Tree::ROOT, "device");
        tree.set_cells(device, name, cells);
        (tree, device, gic)
    }

    #[test]
    fn spi_and_ppi_get_their_numbers_and_triggers() {
        let (tree, device, gic) = tree_with("interrupts", &[0, 1, 4, 1, 13, 0xff01]);
        let found = interrupts(&tree, device, gic).unwrap();
        assert_eq!(
            found.iter().map(|one| one.intid.get()).collect::<Vec<_>>(),
            [33, 29]
        );
        assert_eq!(
            found.iter().map(|one| one.trigger).collect::<Vec<_>>(),
            [Trigger::Level, Trigger::Edge]
        );
    }

    #[test]
    fn extended_form_reads_the_same() {
        let (tree, device, gic) = tree_with("interrupts-extended", &[7, 0, 1, 4, 7, 1, 13, 8]);
        let found = interrupts(&tree, device, gic).unwrap();
        assert_eq!(
            found.iter().map(|one| one.intid.get()).collect::<Vec<_>>(),
            [33, 29]
        );
    }

    #[test]
    fn ppi_beyond_15_is_an_error() {
        // ThunderX's console is encoded so.
        let (tree, device, gic) = tree_with("interrupts", &[1, 21, 4]);
        assert!(interrupts(&tree, device, gic).is_err());
    }

    #[test]
    fn foreign_controller_and_cut_specifier_are_errors() {
        let (tree, device, gic) = tree_with("interrupts-extended", &[8, 0, 1, 4]);
        assert!(interrupts(&tree, device, gic).is_err());
        let (tree, device, gic) = tree_with("interrupts-extended", &[7, 0]);
        assert!(interrupts(&tree, device, gic).is_err());
    }
}
