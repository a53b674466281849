//! Follows every phandle of a partition's devices, and of what they bring along.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Lack, Need, PINS, Resolution, Supply, data, firmware};
use crate::board::{Board, Device};
use crate::devicetree::interrupts::{Line, lines};
use crate::devicetree::providers::{Dependency, companions, dependencies};
use crate::devicetree::{NodeId, Tree, TreeError};

/// What a partition's devices need. `firmware_calls` says whether the partition may call the firmware beyond PSCI.
pub(crate) fn supply(board: &Board, devices: &[&Device], firmware_calls: bool) -> Supply {
    let mut walk = Walk {
        board,
        devices,
        firmware_calls,
        owners: BTreeMap::new(),
        seen: BTreeSet::new(),
        waiting: VecDeque::new(),
        found: Supply::default(),
    };
    for (place, device) in devices.iter().enumerate() {
        for member in &device.members {
            walk.owners.entry(member.node).or_insert(place);
        }
    }
    for (place, device) in devices.iter().enumerate() {
        for bus in &device.buses {
            walk.visit(*bus, place);
        }
        for member in &device.members {
            walk.visit(member.node, place);
        }
    }
    while let Some((node, device)) = walk.waiting.pop_front() {
        if let Err(error) = walk.node(node, device) {
            walk.found.errors.push((device, error));
        }
    }
    walk.drop_unused_pin_names();
    walk.found
}

struct Walk<'a> {
    board: &'a Board,
    devices: &'a [&'a Device],
    firmware_calls: bool,
    /// For each node of a device, the device's place.
    owners: BTreeMap<NodeId, usize>,
    /// Nodes that were put in the queue once. Cycles end here.
    seen: BTreeSet<NodeId>,
    /// Nodes to look at, each with the device on whose account.
    waiting: VecDeque<(NodeId, usize)>,
    found: Supply,
}

impl Walk<'_> {
    fn tree(&self) -> &Tree {
        &self.board.tree
    }

    fn visit(&mut self, node: NodeId, device: usize) {
        if self.seen.insert(node) {
            self.waiting.push_back((node, device));
        }
    }

    /// A node that is copied beside the devices, and in its turn looked at.
    fn copy(&mut self, node: NodeId, device: usize) {
        if !self.found.copied.contains(&node) {
            self.found.copied.push(node);
        }
        self.visit(node, device);
    }

    /// The same with all that is below it.
    fn copy_whole(&mut self, node: NodeId, device: usize) {
        let mut waiting = vec![node];
        while let Some(node) = waiting.pop() {
            self.copy(node, device);
            waiting.extend_from_slice(self.tree().children(node));
        }
    }

    fn node(&mut self, node: NodeId, device: usize) -> Result<(), TreeError> {
        let board = self.board;
        for dependency in dependencies(&board.tree, node)? {
            self.dependency(dependency, device);
        }
        let own = match self.owners.get(&node) {
            Some(owner) => {
                let members = &self.devices[*owner].members;
                let member = members.iter().find(|member| member.node == node);
                member.map_or(Vec::new(), |member| member.lines.clone())
            }
            // A bus has no interrupts of its own to give; a copied node may have some, which go to nobody: they are left out.
            None if self.found.copied.contains(&node) => {
                if !lines(&board.tree, node, board.gic.node)?.is_empty() {
                    self.leave_out(node, "interrupts");
                }
                Vec::new()
            }
            None => Vec::new(),
        };
        for (index, line) in own.into_iter().enumerate() {
            if let Line::Other { controller, cells } = line {
                let interrupt = Dependency {
                    consumer: node,
                    property: "interrupts".to_owned(),
                    index,
                    provider: controller,
                    arguments: cells,
                    name: None,
                };
                self.dependency(interrupt, device);
            }
        }
        Ok(())
    }

    fn dependency(&mut self, dependency: Dependency, device: usize) {
        let resolution = self.resolve(&dependency, device);
        let Dependency {
            consumer,
            property,
            index,
            provider,
            name,
            arguments,
        } = dependency;
        match resolution {
            Resolution::Copied => self.copy_whole(provider, device),
            Resolution::Firmware => {
                // The interface and everything between it and the node: that is how its driver finds the node. A state of pins is
                // all that is below it.
                if property.starts_with(PINS) {
                    self.copy_whole(provider, device);
                }
                let mut above = Some(provider);
                let interface = firmware::interface(self.tree(), provider);
                while let Some(node) = above {
                    self.copy(node, device);
                    above = self.tree().parent(node).filter(|_| Some(node) != interface);
                }
            }
            Resolution::LeftAsFirmwareSetIt => self.leave_out(consumer, &property),
            Resolution::GivenToo
            | Resolution::SharedReadOnly
            | Resolution::FixedClock(_)
            | Resolution::Missing(_) => {}
        }
        self.found.needs.push(Need {
            device,
            consumer,
            property,
            index,
            name,
            provider,
            arguments,
            resolution,
        });
    }

    fn resolve(&self, dependency: &Dependency, place: usize) -> Resolution {
        let tree = self.tree();
        let Dependency {
            consumer,
            property,
            index,
            provider,
            ..
        } = dependency;
        let device = self.devices[place];
        if device.leaves_out(tree, *consumer, property) {
            return Resolution::LeftAsFirmwareSetIt;
        }
        if let Some(clocks) = device.clocks.as_ref().filter(|_| *consumer == device.node) {
            if property == "clocks" {
                // A list of the wrong length is reported by a rule.
                return Resolution::FixedClock(clocks.get(*index).copied().unwrap_or(0));
            }
            // What stands for the clocks cannot be set.
            if property.starts_with("assigned-clock") {
                return Resolution::LeftAsFirmwareSetIt;
            }
        }
        if let Some(owner) = self.owners.get(provider) {
            return match self.devices[*owner].read_only && *owner != place {
                true => Resolution::SharedReadOnly,
                false => Resolution::GivenToo,
            };
        }
        if !is_enabled(tree, *provider) {
            return Resolution::Missing(Lack::Disabled);
        }
        if data::is_data(tree, *provider) {
            return Resolution::Copied;
        }
        if firmware::interface(tree, *provider).is_some() {
            return match self.firmware_calls {
                true => Resolution::Firmware,
                false => Resolution::Missing(Lack::FirmwareCalls),
            };
        }
        if self.board.keeps(*provider) {
            return Resolution::Missing(Lack::Kept);
        }
        Resolution::Missing(Lack::NotGiven)
    }

    fn leave_out(&mut self, node: NodeId, property: &str) {
        let all = companions(property).map(str::to_owned);
        let all = all.chain([property.to_owned()]);
        self.found.left_out.extend(all.map(|name| (node, name)));
    }

    /// Names of pin states mean nothing when all states are left out.
    fn drop_unused_pin_names(&mut self) {
        let nodes: BTreeSet<NodeId> = self.seen.iter().copied().collect();
        for node in nodes {
            let is_state = |name: &str| {
                name.strip_prefix(PINS)
                    .and_then(|rest| rest.strip_prefix('-'))
                    .is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
            };
            let board = self.board;
            let states = board.tree.properties(node).iter();
            let mut states = states.filter(|one| is_state(&one.name)).peekable();
            let any = states.peek().is_some();
            if any && states.all(|one| self.found.leaves_out(node, &one.name)) {
                self.leave_out(node, "pinctrl-names");
            }
        }
    }
}

/// True when the node and every node above it can be used.
fn is_enabled(tree: &Tree, node: NodeId) -> bool {
    let mut at = Some(node);
    while let Some(here) = at {
        if !tree.is_enabled(here) {
            return false;
        }
        at = tree.parent(here);
    }
    true
}
