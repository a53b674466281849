//! The console UART.

use model::memory::PAGE;

use super::BoardError;
use crate::devicetree::interrupts::{Interrupt, interrupts};
use crate::devicetree::{NodeId, Tree, addresses::registers};
use crate::guest_gic::END_INTID;
use crate::range::AddressRange;

/// A PL011 that is the board's console.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uart {
    pub node: NodeId,
    pub registers: AddressRange,
    pub interrupt: Interrupt,
}

/// Serial ports with a PL011's registers.
const PL011: &[&str] = &["arm,pl011"];

/// Finds the console that `/chosen/stdout-path` names.
pub(super) fn read(tree: &Tree, gic: NodeId) -> Result<Uart, BoardError> {
    let chosen = tree.find("/chosen");
    let path = chosen.and_then(|chosen| tree.string(chosen, "stdout-path"));
    let path = path.ok_or_else(|| {
        BoardError::Console("the device tree has no `/chosen/stdout-path`".to_owned())
    })?;
    // "serial0:115200n8": what follows the colon is for the driver.
    let name = path.split(':').next().unwrap_or_default();
    let node = super::device::named(tree, name);
    let node = node.ok_or_else(|| {
        BoardError::Console(format!("`/chosen/stdout-path` names no node: {path}"))
    })?;
    let is = tree.strings(node, "compatible").join(", ");
    let place = tree.path(node);
    if !tree.is_compatible(node, PL011) {
        let what = format!("the console {place} is not a PL011 but: {is}");
        return Err(BoardError::Console(what));
    }
    let first = registers(tree, node)?.first().copied();
    // The virtual console stands in a page of its own, at the same place.
    let registers = first.filter(|range| range.base.is_multiple_of(PAGE));
    let registers = registers.ok_or_else(|| {
        BoardError::Console(format!("the console {place} has no page-aligned registers"))
    })?;
    let interrupt = interrupts(tree, node, gic)?
        .first()
        .copied()
        .filter(|one| one.intid.is_spi() && one.intid.get() < END_INTID);
    let interrupt =
        interrupt.ok_or_else(|| BoardError::Console(format!("the console {place} has no SPI")))?;
    Ok(Uart {
        node,
        registers,
        interrupt,
    })
}
