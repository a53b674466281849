//! The architectural timer.

use model::ids::IntId;

use super::BoardError;
use crate::devicetree::interrupts::{Interrupt, interrupts};
use crate::devicetree::{NodeId, Tree};

/// The architectural timer's interrupts, all PPIs.
#[derive(Debug)]
pub(crate) struct Timers {
    pub node: NodeId,
    /// EL1 physical.
    pub physical: IntId,
    /// EL1 virtual.
    pub virtual_: IntId,
    /// EL2 physical.
    pub hypervisor: IntId,
    /// Specifiers of the secure, EL1 physical, virtual and EL2 timers, for guest trees.
    pub specifiers: Vec<[u32; 3]>,
}

/// The names of its interrupts in the order that they have without names (Linux, arm,arch_timer.yaml). Armv8.1 adds "hyp-virt".
const NAMES: [&str; 4] = ["sec-phys", "phys", "virt", "hyp-phys"];

pub(super) fn read(tree: &Tree, gic: NodeId) -> Result<Timers, BoardError> {
    let node = tree
        .nodes()
        .find(|node| tree.is_compatible(*node, &["arm,armv8-timer"]) && tree.is_enabled(*node));
    let node = node.ok_or(BoardError::Lacks("`arm,armv8-timer` node"))?;
    let found = interrupts(tree, node, gic)?;
    let names = tree.strings(node, "interrupt-names");
    let at = |(position, name): (usize, &&str)| -> Option<Interrupt> {
        let position = match names.as_slice() {
            [] => position,
            names => names.iter().position(|one| one == name)?,
        };
        found.get(position).copied()
    };
    let four: Option<Vec<Interrupt>> = NAMES.iter().enumerate().map(at).collect();
    let Some(&[secure, physical, virtual_, hypervisor]) = four.as_deref() else {
        return Err(BoardError::Lacks(
            "interrupt of the EL2 timer: four are expected at the timer node",
        ));
    };
    let four = [secure, physical, virtual_, hypervisor];
    if four.iter().any(|one| !one.intid.is_private()) {
        return Err(tree
            .error(node, "interrupts", "has a timer interrupt that is no PPI")
            .into());
    }
    Ok(Timers {
        node,
        physical: physical.intid,
        virtual_: virtual_.intid,
        hypervisor: hypervisor.intid,
        specifiers: four.iter().map(|one| one.cells).collect(),
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::{Gic, board, virt};

    #[test]
    fn names_tell_the_interrupts_apart() {
        let mut tree = virt(Gic::V3);
        let timer = tree.find("/timer").unwrap();
        tree.set_cells(
            timer,
            "interrupts",
            &[1, 10, 4, 1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 12, 4],
        );
        tree.set(
            timer,
            "interrupt-names",
            *b"hyp-phys\0sec-phys\0phys\0virt\0hyp-virt\0",
        );
        let timers = board(tree).timers;
        let found = [timers.physical, timers.virtual_, timers.hypervisor];
        assert_eq!(found.map(|one| one.get()), [30, 27, 26]);
    }

    #[test]
    fn extended_form_is_read() {
        // R-Car's trees have it.
        let mut tree = virt(Gic::V3);
        let timer = tree.find("/timer").unwrap();
        let one = |number| [0x8009, 1, number, 0xff08];
        let cells = [13, 14, 11, 10].map(one).concat();
        tree.set_cells(timer, "interrupts-extended", &cells);
        tree.set_cells(timer, "interrupts", &[]);
        assert_eq!(board(tree).timers.hypervisor.get(), 26);
    }
}
