//! PCI host bridges: windows, interrupts of pins, and where messages go.

use super::Guest;
use crate::board::{BUS_BYTES, Device, HostMsi, PciFunction, PciHost};
use crate::devicetree::addresses::{MemorySpace, PciWindow};
use crate::devicetree::interrupts::{Line, Mapped};
use crate::devicetree::{NodeId, Tree};
use crate::system::Partition;

/// Cells of a PCI address, and of a size behind a bridge (PCI Bus Binding to IEEE 1275, section 2.2.1).
const ADDRESS: usize = 3;
const SIZE: usize = 2;

/// Writes what the copy `to` of the bridge `from` says in its own way.
pub(super) fn write(
    guest: &mut Guest<'_>,
    from: NodeId,
    to: NodeId,
    host: &PciHost,
    partition: &Partition,
) {
    windows(guest, from, to, host);
    if pins(guest, to, &host.pins, partition) {
        guest.copy(from, to, &["interrupt-map-mask"]);
    }
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

/// `interrupt-map` with each pin's interrupt at its end: the partition's interrupt controller, or a controller that is given, too. False when there is
/// none.
fn pins(guest: &mut Guest<'_>, to: NodeId, pins: &[Mapped], partition: &Partition) -> bool {
    let board = &guest.board.tree;
    let mut cells = Vec::new();
    for pin in pins {
        let (controller, specifier) = match &pin.line {
            Line::Gic(one) => {
                let seen = partition.seen(one.intid).get();
                let number = seen.wrapping_sub(model::ids::IntId::FIRST_SPI);
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
    if !cells.is_empty() {
        guest.tree.set_cells(to, "interrupt-map", &cells);
    }
    !cells.is_empty()
}

/// Writes a bridge of which the partition has some functions: the configuration space of one bus with nothing but these functions, their windows, their
/// messages, and the interrupts of pins of those that have them. Their BARs stay where the hypervisor put them, which Linux is told twice: for all
/// bridges by older kernels' way, and for this one (Linux, Documentation/devicetree/bindings/chosen.txt and pci/pci.txt).
pub(super) fn write_functions(
    guest: &mut Guest<'_>,
    from: NodeId,
    to: NodeId,
    partition: &Partition,
) {
    const FIXED: &str = "linux,pci-probe-only";
    let board = &guest.board.tree;
    let here = |device: &&Device| device.node == from;
    let functions: Vec<&PciFunction> = partition
        .devices
        .iter()
        .filter(here)
        .filter_map(Device::function)
        .collect();
    let (upper, sizes) = cells_above(board, from);
    if let Ok(Some(mut reg)) = board.cells(from, "reg") {
        reg.truncate(upper);
        reg.extend(cells(BUS_BYTES, sizes));
        guest.tree.set_cells(to, "reg", &reg);
    }
    let bus = functions.first().map_or(0, |function| function.first_bus);
    guest
        .tree
        .set_cells(to, "bus-range", &[bus.into(), bus.into()]);
    let below = functions.iter().filter_map(|one| one.window.place);
    let below = below.map(|window| (MemorySpace::Bits32, window));
    let above = functions.iter().filter_map(|one| one.high.as_ref()?.place);
    let above = above.map(|window| (MemorySpace::Bits64, window));
    let entry = |(space, window): (MemorySpace, PciWindow)| {
        let mut entry = vec![space as u32];
        entry.extend(cells(window.bus, 2));
        entry.extend(cells(window.above, upper));
        entry.extend(cells(window.cpu.size, SIZE));
        entry
    };
    let ranges: Vec<u32> = below.chain(above).flat_map(entry).collect();
    guest.tree.set_cells(to, "ranges", &ranges);
    guest.tree.set_cells(to, FIXED, &[1]);
    if let Some(chosen) = guest.tree.find("/chosen") {
        guest.tree.set_cells(chosen, FIXED, &[1]);
    }
    guest.tree.remove(to, "msi-parent");
    let messages: Vec<u32> = functions
        .iter()
        .flat_map(|one| message(board, one))
        .collect();
    if !messages.is_empty() {
        guest.tree.set_cells(to, "msi-map", &messages);
    }
    let lines = functions.iter().filter_map(|function| {
        let pin = function.pin?;
        Some(Mapped {
            child: vec![
                function.seen_requester() << 8,
                0,
                0,
                u32::from(pin.number) + 1,
            ],
            line: Line::Gic(pin.interrupt),
        })
    });
    let lines: Vec<Mapped> = lines.collect();
    if pins(guest, to, &lines, partition) {
        // Bus, device and function, and the pin (Interrupt Mapping 0.9, 2.1).
        guest
            .tree
            .set_cells(to, "interrupt-map-mask", &[0x00ff_ff00, 0, 0, 7]);
    }
}

/// The entry of `msi-map` for a function: it is known to the ITS by its real number, whichever its partition sees (Linux, pci-msi.txt).
fn message(board: &Tree, function: &PciFunction) -> Vec<u32> {
    let seen = function.seen_requester();
    let Some(msi) = &function.msi else {
        return Vec::new();
    };
    let known = match msi {
        HostMsi::Its { devices, .. } => devices.first().map_or(seen, |ids| ids.first),
        HostMsi::V2m { .. } => seen,
    };
    vec![seen, board.phandle(msi.node()).unwrap_or(0), known, 1]
}

/// Cells of an address and of a size on the bus above a bridge.
fn cells_above(board: &Tree, bridge: NodeId) -> (usize, usize) {
    let above = board.parent(bridge).unwrap_or(Tree::ROOT);
    let count = |name, default| {
        let cells = board.cell(above, name).ok().flatten();
        cells.unwrap_or(default) as usize
    };
    // What the Devicetree Specification has a bus mean that does not say it (2.3.5).
    (count("#address-cells", 2), count("#size-cells", 1))
}

/// A number in so many cells, the most significant first.
fn cells(number: u64, count: usize) -> impl Iterator<Item = u32> {
    (0..count).rev().map(move |cell| match cell {
        0 => number as u32,
        1 => (number >> 32) as u32,
        _ => 0,
    })
}
