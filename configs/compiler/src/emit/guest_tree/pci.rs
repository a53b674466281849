//! PCI host bridges: windows, interrupts of pins, and where messages go.

use super::Guest;
use crate::board::PciHost;
use crate::devicetree::interrupts::Line;
use crate::devicetree::{NodeId, Tree};

/// Cells of a PCI address, and of a size behind a bridge (PCI Bus Binding to IEEE 1275, section 2.2.1).
const ADDRESS: usize = 3;
const SIZE: usize = 2;

/// Writes what the copy `to` of the bridge `from` says in its own way.
pub(super) fn write(guest: &mut Guest<'_>, from: NodeId, to: NodeId, host: &PciHost) {
    windows(guest, from, to, host);
    pins(guest, from, to, host);
    if host.msi.is_some() {
        guest.copy(from, to, &["msi-map", "msi-map-mask", "msi-parent"]);
    } else {
        guest.tree.remove(to, "msi-parent");
    }
}

/// `ranges` without the windows that are not given.
fn windows(guest: &mut Guest<'_>, from: NodeId, to: NodeId, host: &PciHost) {
    const NAME: &str = "ranges";
    let board = &guest.board.tree;
    let above = board.parent(from).unwrap_or(Tree::ROOT);
    let cells = board.cell(above, "#address-cells").ok().flatten();
    let upper = cells.unwrap_or(2) as usize;
    // A malformed one was found when the bridge was read.
    let Ok(Some(all)) = board.cells(from, NAME) else {
        return;
    };
    let given = |window: &&[u32]| {
        let size = window.get(ADDRESS + upper..).unwrap_or(&[]);
        let size = size
            .iter()
            .fold(0, |sum, cell| sum << 32 | u64::from(*cell));
        host.windows.iter().any(|one| one.size == size)
    };
    let windows = all.chunks_exact(ADDRESS + upper + SIZE).filter(given);
    let kept: Vec<u32> = windows.flatten().copied().collect();
    guest.tree.set_cells(to, NAME, &kept);
}

/// `interrupt-map` with each pin's interrupt at its end: the partition's interrupt controller, or a controller that is given, too.
fn pins(guest: &mut Guest<'_>, from: NodeId, to: NodeId, host: &PciHost) {
    let board = &guest.board.tree;
    let mut cells = Vec::new();
    for pin in &host.pins {
        let (controller, specifier) = match &pin.line {
            Line::Gic(one) => {
                let number = one.intid.get().wrapping_sub(model::ids::IntId::FIRST_SPI);
                (guest.gic, vec![0, number, one.cells[2] & 0xf])
            }
            Line::Other { controller, cells } => {
                (board.phandle(*controller).unwrap_or(0), cells.clone())
            }
        };
        cells.extend_from_slice(&pin.child);
        cells.push(controller);
        let parent = guest.tree.by_phandle(controller);
        let units = parent.and_then(|node| guest.tree.cell(node, "#address-cells").ok()?);
        cells.extend(std::iter::repeat_n(0, units.unwrap_or(0) as usize));
        cells.extend(specifier);
    }
    if cells.is_empty() {
        return;
    }
    guest.tree.set_cells(to, "interrupt-map", &cells);
    guest.copy(from, to, &["interrupt-map-mask"]);
}
