//! Proves that a guest tree names only what its partition owns.
//!
//! The tree is read again as its guest will read it, whatever made it: the compiler, or an overlay of the user.

use super::Owned;
use crate::devicetree::addresses::{registers, unit};
use crate::devicetree::interrupts::{Line, lines};
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
        } else if tree.string(node, "device_type") == Some("pci") {
            "a PCI host bridge"
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
