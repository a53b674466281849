//! Proves that a guest tree names only what its partition owns.
//!
//! The tree is read again as its guest will read it, whatever made it: the compiler, or an overlay of the user.

use super::Owned;
use crate::devicetree::addresses::{bus_windows, registers, unit};
use crate::devicetree::interrupts::{Line, lines, mapped};
use crate::devicetree::msi::msis;
use crate::devicetree::providers::dependencies;
use crate::devicetree::{NodeId, Tree, TreeError};
use crate::range::{AddressRange, merge};

/// Something in a guest tree that the partition does not own, or that leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsound {
    #[error("{0}")]
    Tree(#[from] TreeError),
    #[error("{node} has {what} {range}, which the partition does not own")]
    Range {
        node: String,
        what: &'static str,
        range: AddressRange,
    },
    #[error("{node} has the interrupt {intid}, which the partition does not own")]
    Interrupt { node: String, intid: u32 },
    #[error("{node} is {what}, which no partition has")]
    Forbidden { node: String, what: &'static str },
    #[error("{node} and {other} have one phandle")]
    PhandleTwice { node: String, other: String },
    #[error("`{property}` of {node} leads nowhere")]
    Path { node: String, property: String },
    #[error("the tree has the CPUs {found:x?}, the partition has {owned:x?}")]
    Cpus { found: Vec<u64>, owned: Vec<u64> },
    #[error("the tree has other memory than the partition")]
    Memory,
    #[error("the tree has no interrupt controller")]
    NoInterruptController,
}

/// Walks a finished tree and finds everything in it that its partition does not own, or that leads nowhere.
pub(crate) fn prove(tree: &Tree, owned: &Owned) -> Vec<Unsound> {
    let is_gic = |node: &NodeId| {
        let first = registers(tree, *node)
            .ok()
            .and_then(|all| all.first().copied());
        tree.has(*node, "interrupt-controller")
            && first.is_some_and(|range| range.base == owned.distributor)
    };
    let Some(gic) = tree.nodes().find(is_gic) else {
        return vec![Unsound::NoInterruptController];
    };
    let mut proof = Proof {
        tree,
        owned,
        gic,
        unsound: Vec::new(),
    };
    proof.phandles();
    proof.cpus();
    proof.memory();
    proof.paths();
    for node in tree.nodes() {
        proof.forbidden(node);
        for result in [
            proof.references(node),
            proof.interrupts(node),
            proof.registers(node),
            proof.bridge(node),
        ] {
            if let Err(error) = result {
                proof.unsound.push(error.into());
            }
        }
    }
    proof.unsound
}

struct Proof<'a> {
    tree: &'a Tree,
    owned: &'a Owned,
    gic: NodeId,
    unsound: Vec<Unsound>,
}

impl Proof<'_> {
    fn phandles(&mut self) {
        let mut seen: Vec<(u32, NodeId)> = Vec::new();
        for node in self.tree.nodes() {
            let Some(phandle) = self.tree.phandle(node) else {
                continue;
            };
            seen.push((phandle, node));
        }
        seen.sort_unstable();
        for pair in seen.windows(2) {
            if let [(one, node), (other, second)] = pair
                && one == other
            {
                self.unsound.push(Unsound::PhandleTwice {
                    node: self.tree.path(*node),
                    other: self.tree.path(*second),
                });
            }
        }
    }

    fn cpus(&mut self) {
        let cpus = self.tree.nodes();
        let cpus = cpus.filter(|node| self.tree.string(*node, "device_type") == Some("cpu"));
        let found: Vec<u64> = cpus
            .map(|node| unit(self.tree, node).unwrap_or(u64::MAX))
            .collect();
        let owned: Vec<u64> = self.owned.cpus.iter().map(|cpu| cpu.get()).collect();
        if found != owned {
            self.unsound.push(Unsound::Cpus { found, owned });
        }
    }

    /// Memory nodes hold all memory of the partition and nothing else. What is reserved is memory of its own, or a channel.
    fn memory(&mut self) {
        let is_memory = |node: &NodeId| self.tree.string(*node, "device_type") == Some("memory");
        let nodes = self.tree.nodes().filter(is_memory);
        let found = nodes.flat_map(|node| registers(self.tree, node).unwrap_or_default());
        if merge(found.collect()) != merge(self.owned.memory.clone()) {
            self.unsound.push(Unsound::Memory);
        }
        let outside = self.tree.reservations.iter().filter(|range| {
            let memory = merge(self.owned.memory.clone());
            !memory.iter().any(|own| own.contains(**range))
        });
        let outside = outside.map(|range| Unsound::Range {
            node: "/memreserve/".to_owned(),
            what: "memory",
            range: *range,
        });
        self.unsound.extend(outside);
    }

    /// Aliases, the console and labels lead to nodes.
    fn paths(&mut self) {
        for table in ["/aliases", "/__symbols__"] {
            let Some(node) = self.tree.find(table) else {
                continue;
            };
            for property in self.tree.properties(node) {
                self.path(node, &property.name);
            }
        }
        if let Some(chosen) = self.tree.find("/chosen") {
            for property in ["stdout-path", "stdin-path"] {
                self.path(chosen, property);
            }
        }
    }

    fn path(&mut self, node: NodeId, property: &str) {
        let Some(value) = self.tree.property(node, property) else {
            return;
        };
        let text = self.tree.string(node, property).unwrap_or_default();
        let name = text.split(':').next().unwrap_or_default();
        let alias = || {
            let aliases = self.tree.find("/aliases")?;
            self.tree
                .string(aliases, name)
                .and_then(|path| self.tree.find(path))
        };
        let found = self.tree.find(name).or_else(alias);
        if found.is_none() && !value.is_empty() {
            self.unsound.push(Unsound::Path {
                node: self.tree.path(node),
                property: property.to_owned(),
            });
        }
    }

    fn forbidden(&mut self, node: NodeId) {
        let tree = self.tree;
        let is = |name: &str| tree.has(node, name);
        let what = if is("#iommu-cells") {
            "an IOMMU"
        } else if is("iommus") || is("iommu-map") {
            "a device behind an IOMMU"
        } else {
            return;
        };
        self.unsound.push(Unsound::Forbidden {
            node: tree.path(node),
            what,
        });
    }

    fn references(&mut self, node: NodeId) -> Result<(), TreeError> {
        for name in ["interrupt-parent", "remote-endpoint"] {
            if let Some(phandle) = self.tree.cell(node, name)?
                && self.tree.by_phandle(phandle).is_none()
            {
                return Err(self
                    .tree
                    .error(node, name, "names a phandle that no node has"));
            }
        }
        dependencies(self.tree, node).map(|_| ())
    }

    fn interrupts(&mut self, node: NodeId) -> Result<(), TreeError> {
        for line in lines(self.tree, node, self.gic)? {
            let Line::Gic(interrupt) = line else { continue };
            let intid = interrupt.intid;
            if !self.owned.interrupts.contains(&intid) && !self.owned.private.contains(&intid) {
                self.unsound.push(Unsound::Interrupt {
                    node: self.tree.path(node),
                    intid: intid.get(),
                });
            }
        }
        Ok(())
    }

    /// A PCI host bridge shows windows, pins and message targets of the partition only.
    fn bridge(&mut self, node: NodeId) -> Result<(), TreeError> {
        let tree = self.tree;
        if tree.string(node, "device_type") != Some("pci") {
            return Ok(());
        }
        let owned = merge(self.owned.registers.clone());
        for range in bus_windows(tree, node)? {
            if !owned.iter().any(|own| own.contains(range)) {
                self.unsound.push(Unsound::Range {
                    node: tree.path(node),
                    what: "the window",
                    range,
                });
            }
        }
        for pin in mapped(tree, node, self.gic)? {
            if let Line::Gic(one) = pin.line
                && !self.owned.interrupts.contains(&one.intid)
            {
                self.unsound.push(Unsound::Interrupt {
                    node: tree.path(node),
                    intid: one.intid.get(),
                });
            }
        }
        msis(tree, node).map(|_| ())
    }

    fn registers(&mut self, node: NodeId) -> Result<(), TreeError> {
        let tree = self.tree;
        if !tree.has(node, "reg") || !self.is_reached(node) {
            return Ok(());
        }
        let (what, owned) = if tree.string(node, "device_type") == Some("memory") {
            ("memory", merge(self.owned.memory.clone()))
        } else if tree.find("/reserved-memory") == tree.parent(node) {
            let all = [&self.owned.memory[..], &self.owned.channels];
            ("reserved memory", merge(all.concat()))
        } else {
            ("registers", merge(self.owned.registers.clone()))
        };
        for range in registers(tree, node)? {
            if !owned.iter().any(|own| own.contains(range)) {
                self.unsound.push(Unsound::Range {
                    node: tree.path(node),
                    what,
                    range,
                });
            }
        }
        Ok(())
    }

    /// True when the CPU reaches a node by address: every bus above it has `ranges`.
    fn is_reached(&self, node: NodeId) -> bool {
        let mut at = self.tree.parent(node);
        while let Some(bus) = at {
            at = self.tree.parent(bus);
            if at.is_some() && !self.tree.has(bus, "ranges") {
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use model::ids::{IntId, Mpidr};
    use proptest::prelude::*;

    use super::*;

    fn range(base: u64, size: u64) -> AddressRange {
        AddressRange::new(base, size).unwrap()
    }

    fn owned() -> Owned {
        Owned {
            memory: vec![range(0x4000_0000, 0x10_0000)],
            channels: vec![range(0x5000_0000, 0x1000)],
            registers: vec![range(0x800_0000, 0x1_0000), range(0x900_0000, 0x1000)],
            distributor: 0x800_0000,
            interrupts: BTreeSet::from([IntId::new(33)]),
            private: BTreeSet::from([IntId::new(27)]),
            cpus: vec![Mpidr::new(0)],
        }
    }

    /// A tree that names all of it and nothing else.
    fn sound() -> Tree {
        let mut tree = Tree::new();
        tree.set_cells(Tree::ROOT, "#address-cells", &[1]);
        tree.set_cells(Tree::ROOT, "#size-cells", &[1]);
        tree.set_cells(Tree::ROOT, "interrupt-parent", &[1]);
        let memory = tree.add(Tree::ROOT, "memory@40000000");
        tree.set_string(memory, "device_type", "memory");
        tree.set_cells(memory, "reg", &[0x4000_0000, 0x10_0000]);
        let cpus = tree.add(Tree::ROOT, "cpus");
        tree.set_cells(cpus, "#address-cells", &[1]);
        tree.set_cells(cpus, "#size-cells", &[0]);
        let cpu = tree.add(cpus, "cpu@0");
        tree.set_string(cpu, "device_type", "cpu");
        tree.set_cells(cpu, "reg", &[0]);
        let gic = tree.add(Tree::ROOT, "intc@8000000");
        tree.set_cells(gic, "phandle", &[1]);
        tree.set_cells(gic, "#interrupt-cells", &[3]);
        tree.set(gic, "interrupt-controller", []);
        tree.set_cells(gic, "reg", &[0x800_0000, 0x1_0000]);
        let timer = tree.add(Tree::ROOT, "timer");
        tree.set_cells(timer, "interrupts", &[1, 11, 4]);
        let uart = tree.add(Tree::ROOT, "uart@9000000");
        tree.set_cells(uart, "reg", &[0x900_0000, 0x1000]);
        tree.set_cells(uart, "interrupts", &[0, 1, 4]);
        let chosen = tree.add(Tree::ROOT, "chosen");
        tree.set_string(chosen, "stdout-path", "/uart@9000000:115200");
        tree
    }

    /// What is found after a change of the UART's node, one line for each.
    fn after(change: impl FnOnce(&mut Tree, NodeId)) -> String {
        let mut tree = sound();
        let uart = tree.find("/uart").unwrap();
        change(&mut tree, uart);
        let found = prove(&tree, &owned());
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        found.join("\n")
    }

    #[test]
    fn tree_of_what_is_owned_is_sound() {
        assert_eq!(prove(&sound(), &owned()), []);
    }

    #[test]
    fn foreign_registers_interrupts_and_memory_are_found() {
        let text = after(|tree, uart| tree.set_cells(uart, "reg", &[0x900_0000, 0x1001]));
        assert!(text.contains("/uart@9000000 has registers"), "{text}");
        let text = after(|tree, uart| tree.set_cells(uart, "interrupts", &[0, 2, 4]));
        assert_eq!(
            text,
            "/uart@9000000 has the interrupt 34, which the partition does not own"
        );
        let text = after(|tree, _| {
            let more = tree.add(Tree::ROOT, "memory@60000000");
            tree.set_string(more, "device_type", "memory");
            tree.set_cells(more, "reg", &[0x6000_0000, 0x1000]);
        });
        assert!(text.contains("other memory"), "{text}");
    }

    #[test]
    fn registers_are_looked_at_through_their_bus() {
        let text = after(|tree, _| {
            let bus = tree.add(Tree::ROOT, "bus");
            tree.set_cells(bus, "#address-cells", &[1]);
            tree.set_cells(bus, "#size-cells", &[1]);
            tree.set_cells(bus, "ranges", &[0x900_0000, 0xa00_0000, 0x1000]);
            let device = tree.add(bus, "uart@9000000");
            tree.set_cells(device, "reg", &[0x900_0000, 0x1000]);
        });
        assert!(text.contains("0xa000000..0xa001000"), "{text}");
    }

    #[test]
    fn dangling_phandles_and_paths_are_found() {
        let text = after(|tree, uart| tree.set_cells(uart, "dmas", &[77]));
        assert!(text.contains("`dmas`"), "{text}");
        let text = after(|tree, uart| tree.set_cells(uart, "remote-endpoint", &[77]));
        assert!(text.contains("`remote-endpoint`"), "{text}");
        let text = after(|tree, _| {
            let aliases = tree.add(Tree::ROOT, "aliases");
            tree.set_string(aliases, "rtc0", "/rtc@0");
        });
        assert_eq!(text, "`rtc0` of /aliases leads nowhere");
    }

    #[test]
    fn phandle_of_two_nodes_is_found() {
        let text = after(|tree, uart| tree.set_cells(uart, "phandle", &[1]));
        assert!(text.contains("one phandle"), "{text}");
    }

    #[test]
    fn another_cpu_and_an_iommu_are_found() {
        let text = after(|tree, _| {
            let cpus = tree.find("/cpus").unwrap();
            let cpu = tree.add(cpus, "cpu@1");
            tree.set_string(cpu, "device_type", "cpu");
            tree.set_cells(cpu, "reg", &[1]);
        });
        assert_eq!(text, "the tree has the CPUs [0, 1], the partition has [0]");
        let text = after(|tree, uart| tree.set_cells(uart, "iommus", &[1]));
        assert!(text.contains("behind an IOMMU"), "{text}");
    }

    #[test]
    fn channel_is_reserved_memory_that_is_owned() {
        let add = |base| {
            after(|tree, _| {
                let parent = tree.add(Tree::ROOT, "reserved-memory");
                tree.set_cells(parent, "#address-cells", &[1]);
                tree.set_cells(parent, "#size-cells", &[1]);
                tree.set(parent, "ranges", []);
                let channel = tree.add(parent, "channel");
                tree.set_cells(channel, "reg", &[base, 0x1000]);
            })
        };
        assert_eq!(add(0x5000_0000), "");
        assert!(add(0x5100_0000).contains("has reserved memory"));
    }

    proptest! {
        /// Whatever stands in a `reg`, it is owned or it is found.
        #[test]
        fn registers_are_owned_or_found(base in any::<u32>(), size in 1u32..0x2_0000) {
            let text = after(|tree, uart| tree.set_cells(uart, "reg", &[base, size]));
            let inside = AddressRange::new(base.into(), size.into())
                .is_some_and(|it| owned().registers.iter().any(|own| own.contains(it)));
            prop_assert_eq!(text.is_empty(), inside, "{}", text);
        }

        #[test]
        fn interrupts_are_owned_or_found(kind in 0u32..3, number in 0u32..1024) {
            let text = after(|tree, uart| tree.set_cells(uart, "interrupts", &[kind, number, 4]));
            // The console's SPI, which PPI 17 would name as well, and the timer's PPI.
            let owned = matches!((kind, number), (0, 1) | (1, 17) | (1, 11));
            prop_assert_eq!(text.is_empty(), owned, "{}", text);
        }
    }
}
