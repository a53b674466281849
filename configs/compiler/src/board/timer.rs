//! The architectural timer.

use model::ids::IntId;

use super::BoardError;
use crate::devicetree::{NodeId, Tree, interrupts::interrupts};

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

/// Interrupts come in the order secure physical, non-secure physical, virtual, hypervisor (Linux, arm,arch_timer.yaml).
pub(super) fn read(tree: &Tree, gic: NodeId) -> Result<Timers, BoardError> {
    let node = tree
        .nodes()
        .find(|node| tree.is_compatible(*node, &["arm,armv8-timer"]));
    let node = node.ok_or(BoardError::Lacks("`arm,armv8-timer` node"))?;
    let found = interrupts(tree, node, gic)?;
    let &[secure, physical, virtual_, hypervisor, ..] = found.as_slice() else {
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
