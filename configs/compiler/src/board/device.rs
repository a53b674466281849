//! A device that a system file names, and what it takes to give it away.

use super::Board;
use super::gic::{END_INTID, GicKind};
use super::pci::{
    self, FunctionAddress, FunctionPath, FunctionTerms, HostMsi, Pci, PciFunction, PciHost,
};
use crate::codes::{self, Code};
use crate::devicetree::addresses::registers;
use crate::devicetree::interrupts::{FIRST_EXTENDED_PPI, Interrupt, Line, lines};
use crate::devicetree::providers::{dependencies, entries};
use crate::devicetree::streams::{Stream, streams};
use crate::devicetree::{NodeId, Tree, TreeError};
use crate::range::AddressRange;
use crate::supply::PINS;

/// Registers larger than this are no register block; a tree that says so is wrong.
pub(super) const LARGEST_REGISTERS: u64 = 4 << 30;

/// How a system file wants a device to be given away.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handover {
    /// Hertz of the fixed clocks that stand for the entries of its `clocks`.
    pub clocks: Option<Vec<u64>>,
    /// Properties and subnodes that are left out: `resets`, `pinctrl`, `mdio`, `ethernet-phy@c/reset-gpios`.
    pub without: Vec<String>,
    /// Several partitions may read it.
    pub read_only: bool,
    /// What only a PCI function can have.
    pub function: FunctionTerms,
}

/// A device of the board, with the nodes below it.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub node: NodeId,
    pub path: String,
    /// The buses between the root and the device, outermost first.
    pub buses: Vec<NodeId>,
    /// The device's own node, then those that come along with it, parents first.
    pub members: Vec<Member>,
    /// Registers of all members.
    pub registers: Vec<AddressRange>,
    /// Interrupts of all members at the GIC: SPIs only.
    pub interrupts: Vec<Interrupt>,
    /// Streams of all members.
    pub streams: Vec<Stream>,
    /// What it is, if it is a PCI host bridge or one of its functions.
    pub pci: Option<Pci>,
    pub clocks: Option<Vec<u64>>,
    pub without: Vec<String>,
    pub read_only: bool,
}

/// A node that comes along with a device, or the device's own.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub node: NodeId,
    /// None where the CPU reaches the node only through the device.
    pub registers: Vec<AddressRange>,
    pub lines: Vec<Line>,
}

impl Device {
    /// What is behind it, if it is a PCI host bridge that is given as a whole.
    pub const fn host(&self) -> Option<&PciHost> {
        match &self.pci {
            Some(Pci::Host(host)) => Some(host),
            _ => None,
        }
    }

    /// What it is, if it is a PCI function.
    pub const fn function(&self) -> Option<&PciFunction> {
        match &self.pci {
            Some(Pci::Function(function)) => Some(function),
            _ => None,
        }
    }

    /// Where its messages go.
    pub fn msi(&self) -> Option<&HostMsi> {
        self.pci.as_ref().and_then(Pci::msi)
    }

    /// True when the system file leaves a property of a member out.
    pub fn leaves_out(&self, tree: &Tree, node: NodeId, property: &str) -> bool {
        leaves_out(&self.without, tree, node, property)
    }

    /// How many clocks its own node names.
    pub fn clock_entries(&self, tree: &Tree) -> usize {
        // A malformed list is found when the device is read.
        entries(tree, self.node, "clocks").unwrap_or(0)
    }
}

fn leaves_out(without: &[String], tree: &Tree, node: NodeId, property: &str) -> bool {
    let is_called = |name: &str| match name.strip_prefix(PINS) {
        Some("") => property.starts_with("pinctrl-"),
        _ => name == property,
    };
    without.iter().any(|entry| match entry.rsplit_once('/') {
        Some((at, name)) => is_node(tree, node, at) && is_called(name),
        None => is_called(entry),
    })
}

/// True when the node is called so, with or without its unit address.
fn is_node(tree: &Tree, node: NodeId, name: &str) -> bool {
    tree.name(node) == name || tree.base_name(node) == name
}

/// Why a device cannot be given away.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeviceError {
    #[error("{0}")]
    Tree(#[from] TreeError),
    #[error("it has no registers in the CPU's address space")]
    NoRegisters,
    #[error("its registers {0} span more than 4 GiB")]
    HugeRegisters(AddressRange),
    #[error("its interrupt {0} is not an SPI")]
    PrivateInterrupt(u32),
    #[error("its interrupt {0} lies beyond the 960 SPIs of a virtual distributor")]
    FarInterrupt(u32),
    #[error("its interrupt {0} is an extended PPI, of which each CPU has one for itself")]
    ExtendedPrivateInterrupt(u32),
    #[error("its interrupt {0} is an extended SPI, and the board's GICv2 has none")]
    ExtendedInterrupt(u32),
    #[error("it is the interrupt controller")]
    InterruptController,
    #[error("it is a PCI host bridge of a kind of its own")]
    PciHost,
    #[error("{0} is no PCI host bridge")]
    NoBridge(String),
    #[error("{0} is not on the bridge's first bus, which is {1:02x}")]
    NotOnFirstBus(FunctionAddress, u8),
    #[error("the bus of {0} cannot be behind the one before: numbers grow on the way down")]
    Misnumbered(FunctionAddress),
    #[error("the bridge has no configuration space for the bus of {0}")]
    NoSuchBus(FunctionAddress),
    #[error("`acs` is for functions behind bridges, and it is on the first bus")]
    NoBridges,
    #[error("its pin's interrupt goes to {0}, and not to the GIC")]
    PinElsewhere(String),
    #[error("it is a PCI function, which has no clocks and cannot be shared")]
    NotOfAFunction,
    #[error("`{0}` is for PCI functions, and it is none")]
    OfAFunction(&'static str),
    #[error(
        "its messages go to {0}, which is not the interrupt controller's frame or first ITS, or not alone"
    )]
    UnknownMsi(String),
    #[error("its messages go to {0}, and nothing tells which interrupts those raise")]
    UnknownFrame(String),
    #[error("the bus {0} above it is disabled")]
    OnDisabledBus(String),
    #[error("it is a bus")]
    Bus,
    #[error("{0}, which has a driver of its own, stands between it and the CPU")]
    Below(String),
    #[error("its `status` is \"{0}\"")]
    Disabled(String),
    #[error("it has no `{0}` to be left out")]
    NothingToLeaveOut(String),
    #[error("its node has clocks: {entries}; given are: {given}")]
    ClockCount { entries: usize, given: usize },
}

impl DeviceError {
    pub fn code(&self) -> Code {
        match self {
            Self::InterruptController => codes::HYPERVISOR_DEVICE,
            Self::NothingToLeaveOut(_)
            | Self::ClockCount { .. }
            | Self::NotOfAFunction
            | Self::NoBridges
            | Self::OfAFunction(_) => codes::BAD_HANDOVER,
            _ => codes::UNUSABLE_DEVICE,
        }
    }

    pub fn help(&self) -> String {
        let text = match self {
            Self::Tree(_) | Self::HugeRegisters(_) => "correct the board's device tree",
            Self::InterruptController => "remove it: every partition gets a virtual one",
            Self::NoRegisters => "name the device whose registers it uses",
            Self::PrivateInterrupt(_) | Self::ExtendedPrivateInterrupt(_) => {
                "leave it to the hypervisor: each CPU has its own copy of such an interrupt; or write \
                 `without = [\"interrupts\"]` if the device works without"
            }
            Self::ExtendedInterrupt(_) => "correct the board's device tree",
            Self::FarInterrupt(_) => {
                "remove it: no partition can have this interrupt; or write `without = [\"interrupts\"]` if the device works without"
            }
            Self::PciHost => {
                "remove it: only generic bridges (`pci-host-ecam-generic`) can be passed through, as a whole or by function"
            }
            Self::NoBridge(_) => {
                "write the bridge's label or path, and behind it the function: `/pcie@10000000/00:03.0`"
            }
            Self::NotOnFirstBus(..) => {
                "write the bridges to it before it, as `lspci -PP` does: `/pcie@10000000/00:02.0/01:00.0`"
            }
            Self::Misnumbered(_) | Self::NoSuchBus(_) => {
                "give the buses other numbers: the hypervisor sets them as they are written here"
            }
            Self::NoBridges => "leave it out",
            Self::PinElsewhere(_) => "leave `pin` out, and have the function use messages",
            Self::NotOfAFunction => "leave `clocks` and `access` out",
            Self::OfAFunction(_) => "leave it out, or name a function: `/pcie@10000000/00:03.0`",
            Self::UnknownMsi(_) => {
                "write `without = [\"msi\"]`: its functions then use the interrupts of their pins"
            }
            Self::UnknownFrame(_) => {
                "write `[[v2m]]` in board.toml, or `without = [\"msi\"]`: then functions use the interrupts of their pins"
            }
            Self::OnDisabledBus(_) => {
                "enable the bus in the board's device tree if the board has it"
            }
            Self::Disabled(_) => "enable it in the board's device tree if the board has it",
            Self::Bus => "name the devices on it that the partition shall have",
            Self::Below(path) => {
                return format!("give \"{path}\" instead: what is below it comes along");
            }
            Self::NothingToLeaveOut(_) => {
                "name a property of the device that names other nodes, or a subnode"
            }
            Self::ClockCount { entries: 0, .. } => "remove `clocks`: the device has none",
            Self::ClockCount { .. } => "give one frequency for each entry, in their order",
        };
        text.to_owned()
    }
}

impl Board {
    /// The node that a system file names by label, alias or path.
    pub fn device_node(&self, name: &str) -> Option<NodeId> {
        self.tree.named(name).filter(|node| *node != Tree::ROOT)
    }

    /// Every name by which a device can be called, for "did you mean …?".
    pub fn device_names(&self) -> Vec<String> {
        let tree = &self.tree;
        let tables = ["/aliases", "/__symbols__"]
            .into_iter()
            .filter_map(|table| tree.find(table));
        let mut names: Vec<String> = tables
            .flat_map(|table| tree.properties(table).iter().map(|one| one.name.clone()))
            .collect();
        names.extend(
            tree.nodes()
                .filter(|node| tree.has(*node, "compatible"))
                .map(|node| tree.path(node)),
        );
        names
    }

    /// How a system file can call a node: by label or alias if it has one, else by path.
    pub fn short_name(&self, node: NodeId) -> String {
        let path = self.tree.path(node);
        let tables = ["/__symbols__", "/aliases"]
            .into_iter()
            .filter_map(|table| self.tree.find(table));
        let label = tables
            .flat_map(|table| self.tree.properties(table))
            .find(|one| one.value.strip_suffix(&[0]) == Some(path.as_bytes()));
        label.map_or(path, |one| one.name.clone())
    }

    /// The node, or else the nearest one above it, that is a device which the CPU reaches by address.
    pub fn giveable(&self, node: NodeId) -> Option<NodeId> {
        let tree = &self.tree;
        let mut above = std::iter::successors(Some(node), |node| tree.parent(*node));
        above.find(|node| tree.has(*node, "reg") && buses(tree, *node).is_ok())
    }

    /// What it takes to give a device away.
    ///
    /// # Errors
    /// Why it cannot be given away.
    pub fn device(&self, node: NodeId, handover: &Handover) -> Result<Device, DeviceError> {
        let tree = &self.tree;
        if let Some(field) = handover.function.named().next() {
            return Err(DeviceError::OfAFunction(field));
        }
        if node == self.gic.node || tree.parent(node) == Some(self.gic.node) {
            return Err(DeviceError::InterruptController);
        }
        if !tree.is_enabled(node) {
            let status = tree.string(node, "status").unwrap_or("disabled");
            return Err(DeviceError::Disabled(status.to_owned()));
        }
        let pci = match pci::is_host(tree, node) {
            true => {
                let without_msi = handover.without.iter().any(|one| one == pci::WITHOUT);
                Some(Pci::Host(pci::host(self, node, without_msi)?))
            }
            false => None,
        };
        if tree.is_compatible(node, BUSES) {
            return Err(DeviceError::Bus);
        }
        let buses = match buses(tree, node) {
            // It may be below anything then: it is not reached by address at all.
            Err(_) if !tree.has(node, "reg") => return Err(DeviceError::NoRegisters),
            other => other?,
        };
        let members = self.members(node, handover)?;
        let mut registers: Vec<AddressRange> = members
            .iter()
            .flat_map(|member| member.registers.iter().copied())
            .collect();
        if registers.is_empty() {
            return Err(DeviceError::NoRegisters);
        }
        if let Some(huge) = registers
            .iter()
            .find(|range| range.size > LARGEST_REGISTERS)
        {
            return Err(DeviceError::HugeRegisters(*huge));
        }
        let host = match &pci {
            Some(Pci::Host(host)) => Some(host),
            _ => None,
        };
        registers.extend(host.into_iter().flat_map(PciHost::registers));
        let mut interrupts: Vec<Interrupt> =
            host.into_iter().flat_map(PciHost::interrupts).collect();
        for line in members.iter().flat_map(|member| &member.lines) {
            match line {
                // Lines may be listed twice, once for each use.
                Line::Gic(one) if interrupts.iter().any(|other| other.intid == one.intid) => {}
                Line::Gic(one) => interrupts.push(*one),
                Line::Other { .. } => {}
            }
        }
        sound_interrupts(self, &interrupts)?;
        let mut all_streams = Vec::new();
        for member in &members {
            all_streams.extend(streams(tree, member.node)?);
        }
        let device = Device {
            node,
            path: tree.path(node),
            buses,
            members,
            registers,
            interrupts,
            streams: all_streams,
            pci,
            clocks: handover.clocks.clone(),
            without: handover.without.clone(),
            read_only: handover.read_only,
        };
        self.check_handover(&device)?;
        Ok(device)
    }

    /// What it takes to give a PCI function away.
    ///
    /// # Errors
    /// Why it cannot be given away.
    pub fn function(
        &self,
        bridge: NodeId,
        path: FunctionPath,
        handover: &Handover,
    ) -> Result<Device, DeviceError> {
        pci::function(self, bridge, path, handover)
    }

    /// The node and everything below it that is enabled and not left out.
    fn members(&self, device: NodeId, handover: &Handover) -> Result<Vec<Member>, DeviceError> {
        let tree = &self.tree;
        let mut members = Vec::new();
        // Each with whether the CPU reaches it by address.
        let mut waiting = vec![(device, true)];
        while let Some((node, reached)) = waiting.pop() {
            if self.keeps(node) {
                return Err(DeviceError::InterruptController);
            }
            let lines = match leaves_out(&handover.without, tree, node, "interrupts") {
                // Several may read it, but an interrupt has one owner.
                true => Vec::new(),
                false if handover.read_only => Vec::new(),
                false => lines(tree, node, self.gic.node)?,
            };
            members.push(Member {
                node,
                registers: match reached {
                    true => registers(tree, node)?,
                    false => Vec::new(),
                },
                lines,
            });
            let reached = reached && tree.has(node, "ranges");
            let stays = |child: &&NodeId| {
                let left = handover
                    .without
                    .iter()
                    .any(|name| is_node(tree, **child, name));
                tree.is_enabled(**child) && !left
            };
            // Functions of a bridge are found by whoever gets it.
            let children = match pci::is_host(tree, node) {
                true => &[],
                false => tree.children(node),
            };
            let children = children.iter().rev().filter(stays);
            waiting.extend(children.map(|child| (*child, reached)));
        }
        Ok(members)
    }

    /// What is to be left out is there, and each clock has a frequency.
    fn check_handover(&self, device: &Device) -> Result<(), DeviceError> {
        let tree = &self.tree;
        let mut providers: Vec<(NodeId, String)> = Vec::new();
        let members = device.members.iter().map(|member| member.node);
        for node in members.chain(device.buses.iter().copied()) {
            let named = dependencies(tree, node)?;
            providers.extend(named.into_iter().map(|one| (node, one.property)));
            providers.push((node, "interrupts".to_owned()));
        }
        for entry in &device.without {
            let one = std::slice::from_ref(entry);
            let names_property = providers
                .iter()
                .any(|(node, property)| leaves_out(one, tree, *node, property));
            let names_messages = device.host().is_some() && entry == pci::WITHOUT;
            let names_subnode = below(tree, device.node)
                .into_iter()
                .any(|node| is_node(tree, node, entry));
            if !names_property && !names_subnode && !names_messages {
                return Err(DeviceError::NothingToLeaveOut(entry.clone()));
            }
        }
        if let Some(clocks) = &device.clocks {
            let entries = device.clock_entries(tree);
            if entries != clocks.len() {
                let given = clocks.len();
                return Err(DeviceError::ClockCount { entries, given });
            }
        }
        Ok(())
    }

    /// True for what is never given away: the interrupt controller, IOMMUs, CPUs and memory.
    pub fn keeps(&self, node: NodeId) -> bool {
        let tree = &self.tree;
        let mut at = Some(node);
        while let Some(here) = at {
            let above = tree.parent(here);
            let kept_table = above == Some(Tree::ROOT)
                && matches!(tree.name(here), "cpus" | "reserved-memory" | "memory");
            if here == self.gic.node
                || kept_table
                || tree.has(here, "#iommu-cells")
                || tree.string(here, "device_type") == Some("memory")
            {
                return true;
            }
            at = above;
        }
        false
    }
}

/// Refuses interrupts that no partition can have.
pub(super) fn sound_interrupts(board: &Board, interrupts: &[Interrupt]) -> Result<(), DeviceError> {
    for intid in interrupts.iter().map(|one| one.intid) {
        let number = intid.get();
        let refused = match intid.extended_spi() {
            Some(_) if matches!(board.gic.kind, GicKind::V2 { .. }) => {
                DeviceError::ExtendedInterrupt(number)
            }
            Some(_) => continue,
            None if number >= FIRST_EXTENDED_PPI => DeviceError::ExtendedPrivateInterrupt(number),
            None if !intid.is_spi() => DeviceError::PrivateInterrupt(number),
            None if number >= END_INTID => DeviceError::FarInterrupt(number),
            None => continue,
        };
        return Err(refused);
    }
    Ok(())
}

/// Buses that need no driver: what is on them is reached by address alone.
const BUSES: &[&str] = &["simple-bus", "simple-pm-bus", "arm,amba-bus"];

/// The buses above a device, outermost first.
pub(super) fn buses(tree: &Tree, node: NodeId) -> Result<Vec<NodeId>, DeviceError> {
    let mut buses = Vec::new();
    let mut at = tree.parent(node);
    while let Some(bus) = at.filter(|bus| *bus != Tree::ROOT) {
        let is_plain = tree.is_compatible(bus, BUSES) || !tree.has(bus, "reg");
        if !is_plain || !tree.has(bus, "ranges") {
            return Err(DeviceError::Below(tree.path(with_registers(tree, bus))));
        }
        if !tree.is_enabled(bus) {
            return Err(DeviceError::OnDisabledBus(tree.path(bus)));
        }
        buses.push(bus);
        at = tree.parent(bus);
    }
    buses.reverse();
    Ok(buses)
}

/// The node, or the nearest one above it that has registers; the node when none has.
fn with_registers(tree: &Tree, node: NodeId) -> NodeId {
    let mut at = Some(node);
    while let Some(here) = at {
        if tree.has(here, "reg") {
            return here;
        }
        at = tree.parent(here);
    }
    node
}

/// Every node below a node.
fn below(tree: &Tree, node: NodeId) -> Vec<NodeId> {
    let mut found = Vec::new();
    let mut waiting = tree.children(node).to_vec();
    while let Some(child) = waiting.pop() {
        found.push(child);
        waiting.extend_from_slice(tree.children(child));
    }
    found
}
