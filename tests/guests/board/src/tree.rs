//! What the device tree says of the board.
//!
//! Nodes are found by walking all of them: `Fdt::find_node` and `Fdt::cpus` of fdt 0.1.5 stop at FDT_NOP tokens between
//! nodes, which QEMU leaves behind when it edits a tree.

use fdt::Fdt;
use fdt::node::FdtNode;
use heapless::Vec;

use crate::MAX_CPUS;
use crate::gic::{Gic, GicV2, GicV3};
use crate::psci::Conduit;

/// An address range of the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First byte.
    pub base: u64,
    /// Length in bytes.
    pub size: u64,
}

impl Region {
    /// The address after the last byte.
    pub fn end(self) -> u64 {
        self.base.saturating_add(self.size)
    }

    /// Whether `address` lies in the region.
    pub fn contains(self, address: u64) -> bool {
        (self.base..self.end()).contains(&address)
    }
}

/// A node of the device tree.
#[derive(Clone, Copy)]
pub struct Node<'b>(FdtNode<'b, 'static>);

impl Node<'_> {
    /// The first sized region of `reg`.
    pub fn region(self) -> Option<Region> {
        regions(self.0).next()
    }

    /// A sized region of `reg`, counted from 0.
    pub fn region_at(self, index: usize) -> Option<Region> {
        regions(self.0).nth(index)
    }

    /// The cells of a property; none when it is missing.
    pub fn cells(self, property: &str) -> impl Iterator<Item = u32> {
        let value = self.0.property(property).map_or(&[][..], |one| one.value);
        let (cells, _) = value.as_chunks();
        cells.iter().map(|cell| u32::from_be_bytes(*cell))
    }

    /// A property that is one string.
    pub fn text(self, property: &str) -> Option<&'static str> {
        self.0.property(property)?.as_str()
    }

    /// The bytes of a property.
    pub fn bytes(self, property: &str) -> Option<&'static [u8]> {
        Some(self.0.property(property)?.value)
    }
}

/// The board as its device tree describes it.
pub struct Board {
    /// RAM, in the order of the tree; at most four regions are kept.
    pub ram: Vec<Region, 4>,
    /// The PL011 that serves as console, or a generic UART, which has a PL011's data and flags.
    pub uart: Region,
    /// Whether it is a generic UART (Arm SBSA, appendix B): enabled from the start, without registers for line and control.
    pub uart_is_generic: bool,
    /// The interrupt controller.
    pub gic: Gic,
    /// INTID of the EL1 virtual timer.
    pub virtual_timer: u32,
    /// INTID of the EL1 physical timer (non-secure where there are two).
    pub physical_timer: u32,
    /// How PSCI is called; `None` if the board has none.
    pub psci: Option<Conduit>,
    /// MPIDR affinity of each CPU; the index is the CPU's number everywhere in the guests.
    pub cpus: Vec<u64, MAX_CPUS>,
    /// The command line of /chosen, without its final zero; empty if there is none.
    pub bootargs: &'static str,
    tree: Fdt<'static>,
}

impl Board {
    /// Reads the tree, or names what is missing in it.
    pub(crate) fn from_tree(tree: Fdt<'static>) -> Result<Self, &'static str> {
        let (virtual_timer, physical_timer) = timers(&tree)?;
        let uart = |compatible| regions(tree.find_compatible(&[compatible])?).next();
        let generic = uart("arm,sbsa-uart");
        let pl011 = uart("arm,pl011");
        Ok(Self {
            ram: of_type(&tree, "memory").flat_map(regions).take(4).collect(),
            uart: pl011.or(generic).ok_or("no arm,pl011 with a reg")?,
            uart_is_generic: pl011.is_none(),
            gic: gic(&tree)?,
            virtual_timer,
            physical_timer,
            psci: conduit(&tree),
            cpus: of_type(&tree, "cpu")
                .filter_map(affinity)
                .take(MAX_CPUS)
                .collect(),
            bootargs: bootargs(&tree),
            tree,
        })
    }

    /// Whether the tree gives us `address`: RAM or the registers of any device.
    pub fn owns(&self, address: u64) -> bool {
        self.tree
            .all_nodes()
            .flat_map(regions)
            .any(|region| region.contains(address))
    }

    /// The first node of this kind.
    pub fn find(&self, compatible: &str) -> Option<Node<'_>> {
        self.tree.find_compatible(&[compatible]).map(Node)
    }

    /// Whether the tree has a device of this kind.
    pub fn has(&self, compatible: &str) -> bool {
        self.find(compatible).is_some()
    }

    /// The whole RAM in bytes.
    pub fn ram_size(&self) -> u64 {
        self.ram.iter().map(|region| region.size).sum()
    }
}

/// The sized regions of a node's `reg`. Nodes of CPUs and of buses with other cells have none.
fn regions(node: FdtNode<'_, 'static>) -> impl Iterator<Item = Region> {
    node.reg().into_iter().flatten().filter_map(|region| {
        Some(Region {
            base: region.starting_address as u64,
            size: region.size? as u64,
        })
    })
}

/// The nodes with this `device_type`.
fn of_type<'b>(
    tree: &'b Fdt<'static>,
    kind: &'static str,
) -> impl Iterator<Item = FdtNode<'b, 'static>> {
    tree.all_nodes().filter(move |node| {
        node.property("device_type")
            .and_then(|property| property.as_str())
            == Some(kind)
    })
}

/// The MPIDR affinity of a CPU node: its `reg`, of one or two cells.
fn affinity(cpu: FdtNode<'_, 'static>) -> Option<u64> {
    match *cpu.property("reg")?.value {
        [a, b, c, d] => Some(u32::from_be_bytes([a, b, c, d]).into()),
        [a, b, c, d, e, f, g, h] => Some(u64::from_be_bytes([a, b, c, d, e, f, g, h])),
        _ => None,
    }
}

fn gic(tree: &Fdt<'static>) -> Result<Gic, &'static str> {
    if let Some(node) = tree.find_compatible(&["arm,gic-v3"]) {
        let mut reg = regions(node);
        let distributor = reg.next().ok_or("the GICv3 has no distributor")?;
        let redistributors = reg.next().ok_or("the GICv3 has no redistributors")?;
        return Ok(Gic::V3(GicV3 {
            distributor,
            redistributors,
        }));
    }
    let node = tree
        .find_compatible(&["arm,cortex-a15-gic", "arm,gic-400", "arm,cortex-a9-gic"])
        .ok_or("no GICv2 and no GICv3")?;
    let mut reg = regions(node);
    let distributor = reg.next().ok_or("the GICv2 has no distributor")?;
    let cpu_interface = reg.next().ok_or("the GICv2 has no CPU interface")?;
    Ok(Gic::V2(GicV2 {
        distributor,
        cpu_interface,
    }))
}

/// INTIDs of the virtual and of the non-secure physical timer: the third and second entry (binding arm,armv8-timer).
fn timers(tree: &Fdt<'static>) -> Result<(u32, u32), &'static str> {
    let node = tree
        .find_compatible(&["arm,armv8-timer"])
        .ok_or("no arm,armv8-timer")?;
    let interrupts = node
        .property("interrupts")
        .ok_or("the timer has no interrupts")?
        .value;
    let intid = |entry: usize| {
        let cell = interrupts.get(entry * 12 + 4..entry * 12 + 8)?;
        Some(16 + u32::from_be_bytes(cell.try_into().ok()?))
    };
    let virtual_timer = intid(2).ok_or("the timer has no virtual interrupt")?;
    let physical_timer = intid(1).ok_or("the timer has no physical interrupt")?;
    Ok((virtual_timer, physical_timer))
}

fn conduit(tree: &Fdt<'static>) -> Option<Conduit> {
    let node = tree.find_compatible(&["arm,psci-1.0", "arm,psci-0.2"])?;
    match node.property("method")?.as_str()? {
        "hvc" => Some(Conduit::Hvc),
        "smc" => Some(Conduit::Smc),
        _ => None,
    }
}

fn bootargs(tree: &Fdt<'static>) -> &'static str {
    tree.all_nodes()
        .find(|node| node.name == "chosen")
        .and_then(|node| node.property("bootargs"))
        .and_then(|property| core::str::from_utf8(property.value).ok())
        .map_or("", |text| text.trim_end_matches('\0'))
}
