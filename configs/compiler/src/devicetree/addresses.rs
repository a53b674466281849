//! `reg` and `ranges`: where a node's registers are for the CPU (Devicetree Specification 0.4, sections 2.3.5 to 2.3.8).

use super::{NodeId, Tree, TreeError};
use crate::range::AddressRange;

/// How a bus writes the addresses of what is on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cells {
    /// 1 to 3. With three, the first names a space (the kind of a PCI address), the others are the address in it.
    pub address: usize,
    /// 0 to 2. With none, the addresses are numbers of something, not places for registers.
    pub size: usize,
}

impl Cells {
    /// What a bus says, or else the defaults of the specification.
    pub fn below(tree: &Tree, bus: NodeId) -> Result<Self, TreeError> {
        let sensible = |name, default, most: u32| match tree.cell(bus, name)?.unwrap_or(default) {
            cells if cells <= most => Ok(cells as usize),
            cells => Err(tree.error(bus, name, format!("is {cells}, more than {most}"))),
        };
        Ok(Self {
            address: sensible("#address-cells", 2, 3)?,
            size: sensible("#size-cells", 1, 2)?,
        })
    }

    /// Splits off an address: its space and its place there.
    pub fn address(self, cells: &[u32]) -> Option<(u32, u64, &[u32])> {
        let (address, rest) = cells.split_at_checked(self.address)?;
        Some(match address {
            [space, place @ ..] if self.address == 3 => (*space, number(place), rest),
            place => (0, number(place), rest),
        })
    }

    /// Splits off a size.
    pub fn size(self, cells: &[u32]) -> Option<(u64, &[u32])> {
        let (size, rest) = cells.split_at_checked(self.size)?;
        Some((number(size), rest))
    }
}

/// One or two cells as a number; none is 0.
fn number(cells: &[u32]) -> u64 {
    cells
        .iter()
        .fold(0, |value, cell| value << 32 | u64::from(*cell))
}

/// No node has more entries in `reg` or `ranges`.
const MOST_ENTRIES: usize = 1024;

/// The entries of `reg` as they stand, not translated: base and size. A size may be 0.
///
/// # Errors
/// A malformed `reg`.
pub(crate) fn entries(tree: &Tree, node: NodeId) -> Result<Vec<(u64, u64)>, TreeError> {
    const NAME: &str = "reg";
    let Some(parent) = tree.parent(node) else {
        return Ok(Vec::new());
    };
    let Some(cells) = tree.cells(node, NAME)? else {
        return Ok(Vec::new());
    };
    let layout = Cells::below(tree, parent)?;
    let width = layout.address + layout.size;
    if layout.address == 0 || !cells.len().is_multiple_of(width) {
        return Err(tree.error(node, NAME, "is not a whole number of entries"));
    }
    if cells.len() / width > MOST_ENTRIES {
        let what = format!("has more than {MOST_ENTRIES} entries");
        return Err(tree.error(node, NAME, what));
    }
    let entry = |cells| {
        let (_, base, rest) = layout.address(cells)?;
        Some((base, layout.size(rest)?.0))
    };
    Ok(cells.chunks_exact(width).filter_map(entry).collect())
}

/// The single identifier in `reg` of a node whose address space has no sizes, a CPU for example.
pub(crate) fn unit(tree: &Tree, node: NodeId) -> Result<u64, TreeError> {
    match entries(tree, node)?.as_slice() {
        [(unit, _)] => Ok(*unit),
        _ => Err(tree.error(node, "reg", "is not one identifier")),
    }
}

/// A node's registers as the CPU addresses them; none when its bus has no sizes, like I2C.
///
/// # Errors
/// A malformed `reg` or `ranges`, a range that is empty or wraps around, or a bus above the node that the CPU cannot reach through.
pub(crate) fn registers(tree: &Tree, node: NodeId) -> Result<Vec<AddressRange>, TreeError> {
    let Some(bus) = tree.parent(node).filter(|_| tree.has(node, "reg")) else {
        return Ok(Vec::new());
    };
    if Cells::below(tree, bus)?.size == 0 {
        return Ok(Vec::new());
    }
    if is_pci(tree, bus) {
        let what = "is that of a PCI function: software places its registers";
        return Err(tree.error(node, "reg", what));
    }
    let translate = |(base, size): (u64, u64)| {
        let range = AddressRange::new(base, size).ok_or_else(|| {
            let what =
                format!("has a range that is empty or wraps around: {base:#x}, size {size:#x}");
            tree.error(node, "reg", what)
        })?;
        to_cpu(tree, bus, 0, range)
    };
    entries(tree, node)?.into_iter().map(translate).collect()
}

fn is_pci(tree: &Tree, bus: NodeId) -> bool {
    tree.string(bus, "device_type") == Some("pci")
}

/// Translates a range below `bus` through every bus between it and the root.
fn to_cpu(
    tree: &Tree,
    bus: NodeId,
    space: u32,
    range: AddressRange,
) -> Result<AddressRange, TreeError> {
    let (mut at, mut space, mut range) = (bus, space, range);
    while let Some(above) = tree.parent(at) {
        let windows = windows_to(tree, at, above, "ranges")?.ok_or_else(|| {
            let what = "is missing: the CPU cannot reach what is below";
            tree.error(at, "ranges", what)
        })?;
        if !windows.is_empty() {
            let is_around =
                |window: &&Window| window.space == space && window.below.contains(range);
            let window = windows.iter().find(is_around).ok_or_else(|| {
                let what = format!("has no window for the registers below at {range}");
                tree.error(at, "ranges", what)
            })?;
            (space, range) = (window.space_above, window.up(range));
        }
        at = above;
    }
    Ok(range)
}

/// An entry of `ranges` or `dma-ranges`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Without the bits that say how a PCI address is used (PCI Bus Binding to IEEE 1275, section 2.2.1.1).
    space: u32,
    pub below: AddressRange,
    space_above: u32,
    /// Base on the side of the bus above; as long as `below`, and does not wrap.
    pub above: u64,
}

impl Window {
    /// What a range in this window is above.
    pub fn up(&self, range: AddressRange) -> AddressRange {
        AddressRange {
            base: self.above + (range.base - self.below.base),
            size: range.size,
        }
    }
}

/// The entries of `ranges` or `dma-ranges` of a bus. `None` when it is missing; no entry when it is empty, which means that addresses
/// stay as they are.
pub(super) fn windows_to(
    tree: &Tree,
    bus: NodeId,
    above: NodeId,
    name: &str,
) -> Result<Option<Vec<Window>>, TreeError> {
    let Some(cells) = tree.cells(bus, name)? else {
        return Ok(None);
    };
    let (lower, upper) = (Cells::below(tree, bus)?, Cells::below(tree, above)?);
    let pci = is_pci(tree, bus);
    let mut found = Vec::new();
    let mut rest = cells.as_slice();
    while !rest.is_empty() {
        if found.len() == MOST_ENTRIES {
            let what = format!("has more than {MOST_ENTRIES} entries");
            return Err(tree.error(bus, name, what));
        }
        let entry = lower.address(rest).and_then(|(space, base, rest)| {
            let (space_above, above, rest) = upper.address(rest)?;
            let (size, rest) = lower.size(rest)?;
            Some((space, base, space_above, above, size, rest))
        });
        let (space, base, space_above, above, size, tail) =
            entry.ok_or_else(|| tree.error(bus, name, "is not a whole number of entries"))?;
        rest = tail;
        if size == 0 {
            // A window of a device that is not there.
            continue;
        }
        let below = AddressRange::new(base, size);
        let below = below.filter(|_| AddressRange::new(above, size).is_some());
        found.push(Window {
            space: if pci { space & PCI_SPACE } else { space },
            below: below.ok_or_else(|| tree.error(bus, name, "has a window that wraps around"))?,
            space_above,
            above,
        });
    }
    Ok(Some(found))
}

/// Configuration, I/O, 32-bit or 64-bit memory.
const PCI_SPACE: u32 = 0x0300_0000;

/// What the CPU reaches through a bus: the windows of a PCI host behind which its functions appear.
///
/// # Errors
/// A malformed `ranges`, or a bus above that the CPU cannot reach through.
pub(crate) fn bus_windows(tree: &Tree, bus: NodeId) -> Result<Vec<AddressRange>, TreeError> {
    let Some(above) = tree.parent(bus) else {
        return Ok(Vec::new());
    };
    let windows = windows_to(tree, bus, above, "ranges")?.unwrap_or_default();
    let to_cpu = |window: &Window| to_cpu(tree, above, window.space_above, window.up(window.below));
    windows.iter().map(to_cpu).collect()
}

/// A window through which the CPU reaches memory of PCI functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PciWindow {
    /// Its base in the address space of the PCI bus.
    pub bus: u64,
    /// Its base on the bus above the bridge.
    pub above: u64,
    /// What the CPU sees.
    pub cpu: AddressRange,
}

/// A kind of memory of PCI functions, by the first cell of a window (PCI Bus Binding to IEEE 1275, 2.2.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemorySpace {
    /// For every BAR.
    Bits32 = 0x0200_0000,
    /// For BARs of 64 bits.
    Bits64 = 0x0300_0000,
}

/// The windows of a kind of memory of a PCI host bridge.
///
/// # Errors
/// As [`bus_windows`].
pub(crate) fn memory_windows(
    tree: &Tree,
    bus: NodeId,
    space: MemorySpace,
) -> Result<Vec<PciWindow>, TreeError> {
    let Some(above) = tree.parent(bus) else {
        return Ok(Vec::new());
    };
    let windows = windows_to(tree, bus, above, "ranges")?.unwrap_or_default();
    let memory = windows.iter().filter(|window| window.space == space as u32);
    let window = |window: &Window| {
        let whole = window.up(window.below);
        Ok(PciWindow {
            bus: window.below.base,
            above: window.above,
            cpu: to_cpu(tree, above, window.space_above, whole)?,
        })
    };
    let mut found = memory.map(window).collect::<Result<Vec<_>, _>>()?;
    if space == MemorySpace::Bits32 {
        // What lies beyond is in reach of no BAR of 32 bits.
        found.retain_mut(|window| {
            let reach = (1u64 << 32).checked_sub(window.bus);
            window.cpu.size = window.cpu.size.min(reach.unwrap_or(0));
            window.cpu.size > 0
        });
    }
    Ok(found)
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
    fn second_window_is_found_behind_one_of_size_0() {
        let (tree, uart) = bus(&[0, 0, 0, 0, 0, 1, 0, 0x1000]);
        assert_eq!(registers(&tree, uart).unwrap()[0].base, 0x1_0000_0100);
    }

    #[test]
    fn missing_ranges_cut_the_cpu_off() {
        let mut tree = Tree::new();
        let bus = tree.add(Tree::ROOT, "bus");
        let uart = tree.add(bus, "uart");
        tree.set_cells(uart, "reg", &[0, 0x100, 0x10]);
        let error = registers(&tree, uart).unwrap_err().to_string();
        assert_eq!(
            error,
            "/bus: `ranges` is missing: the CPU cannot reach what is below"
        );
    }

    #[test]
    fn number_on_a_bus_without_sizes_is_no_register() {
        let (mut tree, uart) = bus(&[]);
        let i2c = tree.parent(uart).unwrap();
        tree.set_cells(i2c, "#size-cells", &[0]);
        tree.set_cells(uart, "reg", &[0x68]);
        assert_eq!(registers(&tree, uart), Ok(Vec::new()));
        assert_eq!(unit(&tree, uart), Ok(0x68));
    }

    #[test]
    fn empty_and_wrapping_registers_are_errors_with_path_and_property() {
        let (mut tree, uart) = bus(&[]);
        tree.set_cells(uart, "reg", &[0x100, 0]);
        let error = registers(&tree, uart).unwrap_err().to_string();
        assert!(
            error.starts_with("/bus/uart@100: `reg` has a range that is empty"),
            "{error}"
        );
        let parent = tree.parent(uart).unwrap();
        tree.set_cells(parent, "#address-cells", &[2]);
        tree.set_cells(parent, "#size-cells", &[2]);
        tree.set_cells(uart, "reg", &[u32::MAX, 0xffff_f000, 0, 0x2000]);
        assert!(registers(&tree, uart).is_err());
    }

    #[test]
    fn absurd_cell_counts_are_errors() {
        for (name, count) in [
            ("#address-cells", 4),
            ("#size-cells", 3),
            ("#address-cells", 0),
        ] {
            let (mut tree, uart) = bus(&[]);
            let parent = tree.parent(uart).unwrap();
            tree.set_cells(parent, name, &[count]);
            assert!(registers(&tree, uart).is_err(), "{name} {count}");
        }
    }

    /// A PCI host on a bus that moves everything up by 4 GiB.
    fn pci_host() -> (Tree, NodeId) {
        let mut tree = Tree::new();
        tree.set_cells(Tree::ROOT, "#size-cells", &[2]);
        let bus = tree.add(Tree::ROOT, "soc");
        tree.set_cells(bus, "#address-cells", &[2]);
        tree.set_cells(bus, "#size-cells", &[2]);
        tree.set_cells(bus, "ranges", &[0, 0, 1, 0, 1, 0]);
        let host = tree.add(bus, "pcie");
        tree.set_string(host, "device_type", "pci");
        tree.set_cells(host, "#address-cells", &[3]);
        tree.set_cells(host, "#size-cells", &[2]);
        #[rustfmt::skip]
        tree.set_cells(host, "ranges", &[
            0x0100_0000, 0, 0,           0, 0xfe10_0000, 0, 0x10_0000,
            0x4200_0000, 0, 0x3800_0000, 0, 0x3800_0000, 0, 0x800_0000,
        ]);
        (tree, host)
    }

    #[test]
    fn windows_of_a_pci_host_are_where_the_cpu_sees_them() {
        let (tree, host) = pci_host();
        let windows = bus_windows(&tree, host).unwrap();
        let windows: Vec<_> = windows.iter().map(|one| (one.base, one.size)).collect();
        assert_eq!(
            windows,
            [(0x1_fe10_0000, 0x10_0000), (0x1_3800_0000, 0x800_0000)]
        );
    }

    #[test]
    fn pci_function_has_no_registers_of_its_own() {
        let (mut tree, host) = pci_host();
        let function = tree.add(host, "usb@1,0");
        tree.set_cells(function, "reg", &[0x800, 0, 0, 0, 0]);
        let error = registers(&tree, function).unwrap_err().to_string();
        assert!(error.contains("PCI function"), "{error}");
    }
}
