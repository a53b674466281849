//! Copies of board nodes: devices with the buses above them, and what they need.

use std::collections::BTreeMap;

use super::{Guest, pci};
use crate::board::Member;
use crate::devicetree::interrupts::Line;
use crate::devicetree::providers::names_providers;
use crate::devicetree::{NodeId, Tree};
use crate::system::Partition;

/// What a guest tree says in its own way, or not at all. Streams and MSIs are the hypervisor's business; what is left of an
/// `interrupt-map` is followed to its end.
const REWRITTEN: &[&str] = &[
    "interrupts",
    "interrupts-extended",
    "interrupt-names",
    "interrupt-parent",
    "interrupt-map",
    "interrupt-map-mask",
    "iommus",
    "iommu-map",
    "iommu-map-mask",
    "msi-map",
    "msi-map-mask",
    "msi-parent",
    "status",
    "linux,phandle",
    "name",
];
/// What the copy of a bus says beside what it needs.
const OF_A_BUS: &[&str] = &[
    "compatible",
    "#address-cells",
    "#size-cells",
    "ranges",
    "dma-ranges",
    "dma-coherent",
    "dma-noncoherent",
    "nonposted-mmio",
];

pub(super) struct Copier<'g, 'a> {
    guest: &'g mut Guest<'a>,
    partition: &'g Partition,
    /// The copy of each board node.
    copies: BTreeMap<NodeId, NodeId>,
    /// Phandles of the fixed clocks that stand for others, by frequency.
    clocks: BTreeMap<u64, u32>,
}

impl<'g, 'a> Copier<'g, 'a> {
    pub fn new(guest: &'g mut Guest<'a>, partition: &'g Partition) -> Self {
        Self {
            guest,
            partition,
            copies: BTreeMap::new(),
            clocks: BTreeMap::new(),
        }
    }

    /// What the devices need and is no device. An interface to firmware comes before what it is asked for.
    pub fn supplies(&mut self) {
        let mut nodes: Vec<NodeId> = self.partition.supply.copied.clone();
        nodes.sort_unstable();
        for node in nodes {
            self.node(node);
        }
    }

    /// All devices; returns their nodes.
    pub fn devices(&mut self) -> Vec<NodeId> {
        let partition = self.partition;
        let mut nodes = Vec::new();
        for device in &partition.devices {
            for member in &device.members {
                let node = self.node(member.node);
                self.interrupts(member, node);
                if let Some(host) = device.host().filter(|_| member.node == device.node) {
                    pci::write(self.guest, member.node, node, host, partition);
                }
                if device.function().is_some() {
                    pci::write_functions(self.guest, member.node, node, partition);
                }
            }
            if let Some(clocks) = &device.clocks {
                let node = self.place(device.node);
                let phandles: Vec<u32> = clocks.iter().map(|hertz| self.clock(*hertz)).collect();
                self.guest.tree.set_cells(node, "clocks", &phandles);
            }
            nodes.push(self.place(device.node));
        }
        nodes
    }

    /// Takes out what copies cannot mean: connections to devices of others, and cells of children that are not here.
    pub fn finish(self) {
        let tree = &mut self.guest.tree;
        let nodes: Vec<NodeId> = tree.nodes().collect();
        for node in nodes {
            const REMOTE: &str = "remote-endpoint";
            if let Ok(Some(remote)) = tree.cell(node, REMOTE)
                && tree.by_phandle(remote).is_none()
            {
                tree.remove(node, REMOTE);
            }
            let children = tree.children(node);
            let addressed = |node: &NodeId| tree.has(*node, "reg") || tree.has(*node, "ranges");
            let is_bus = tree.has(node, "ranges") || tree.has(node, "dma-ranges");
            if !is_bus
                && node != Tree::ROOT
                && !children.is_empty()
                && !children.iter().any(addressed)
                && !tree.has(node, "interrupt-controller")
            {
                tree.remove(node, "#address-cells");
                tree.remove(node, "#size-cells");
            }
        }
    }

    /// A node with all that it says, at its place.
    fn node(&mut self, from: NodeId) -> NodeId {
        let to = self.place(from);
        let board = self.guest.board;
        for property in board.tree.properties(from) {
            if !REWRITTEN.contains(&property.name.as_str())
                && !self.partition.supply.leaves_out(from, &property.name)
            {
                self.guest
                    .tree
                    .set(to, &property.name, property.value.clone());
            }
        }
        to
    }

    /// The copy of a node, empty at first, under copies of the nodes above it.
    fn place(&mut self, node: NodeId) -> NodeId {
        let board = &self.guest.board.tree;
        let mut missing = Vec::new();
        let mut at = node;
        let mut parent = loop {
            if let Some(copy) = self.copies.get(&at) {
                break *copy;
            }
            match board.parent(at) {
                None => break Tree::ROOT,
                Some(above) => {
                    missing.push(at);
                    at = above;
                }
            }
        };
        while let Some(next) = missing.pop() {
            parent = self.guest.tree.add(parent, board.name(next));
            self.copies.insert(next, parent);
            // What is only passed through on the way is a bus, or a folder of nodes, which says nothing.
            if next != node && board.has(next, "ranges") {
                self.bus(next, parent);
            }
        }
        parent
    }

    fn bus(&mut self, from: NodeId, to: NodeId) {
        let board = self.guest.board;
        for property in board.tree.properties(from) {
            let name = property.name.as_str();
            let needed = names_providers(name) && !self.partition.supply.leaves_out(from, name);
            if OF_A_BUS.contains(&name) || needed {
                self.guest.tree.set(to, name, property.value.clone());
            }
        }
    }

    /// The interrupts of a member: numbers at the virtual interrupt controller, or at a controller that is given, too.
    fn interrupts(&mut self, member: &Member, node: NodeId) {
        if member.lines.is_empty() {
            return;
        }
        let board = &self.guest.board.tree;
        let mut controllers = Vec::new();
        let mut specifiers = Vec::new();
        for line in &member.lines {
            match line {
                Line::Gic(one) => {
                    // As the binding defines it, even where the board's tree does not.
                    let seen = self.partition.seen(one.intid).get();
                    let number = seen.wrapping_sub(model::ids::IntId::FIRST_SPI);
                    controllers.push(self.guest.gic);
                    specifiers.push(vec![0, number, one.cells[2] & 0xf]);
                }
                Line::Other { controller, cells } => {
                    controllers.push(board.phandle(*controller).unwrap_or(0));
                    specifiers.push(cells.clone());
                }
            }
        }
        let names = board.property(member.node, "interrupt-names");
        let names = names.map(<[u8]>::to_vec);
        let inherited = self.inherited_controller(node);
        let tree = &mut self.guest.tree;
        let first = controllers.first().copied().unwrap_or(0);
        if controllers.iter().all(|one| *one == first) {
            if inherited != Some(first) {
                tree.set_cells(node, "interrupt-parent", &[first]);
            }
            tree.set_cells(node, "interrupts", &specifiers.concat());
        } else {
            let extended: Vec<u32> = controllers
                .iter()
                .zip(&specifiers)
                .flat_map(|(controller, cells)| {
                    [*controller].into_iter().chain(cells.iter().copied())
                })
                .collect();
            tree.set_cells(node, "interrupts-extended", &extended);
        }
        if let Some(names) = names {
            tree.set(node, "interrupt-names", names);
        }
    }

    /// The controller that interrupts of a node go to when it does not say: that of the nearest node above that says so, or is one.
    fn inherited_controller(&self, node: NodeId) -> Option<u32> {
        let tree = &self.guest.tree;
        let mut at = tree.parent(node);
        while let Some(here) = at {
            if tree.has(here, "#interrupt-cells") {
                return tree.phandle(here);
            }
            if let Ok(Some(phandle)) = tree.cell(here, "interrupt-parent") {
                return Some(phandle);
            }
            at = tree.parent(here);
        }
        None
    }

    /// The phandle of a fixed clock that stands for another, one for each frequency.
    fn clock(&mut self, hertz: u64) -> u32 {
        if let Some(phandle) = self.clocks.get(&hertz) {
            return *phandle;
        }
        let phandle = self.guest.fixed_clock(hertz);
        self.clocks.insert(hertz, phandle);
        phandle
    }
}
