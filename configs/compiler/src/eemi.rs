//! What a partition's devices have of the platform management firmware of a Zynq UltraScale+ (EEMI, UG1200): the table by which the image filters the
//! partition's calls.
//!
//! Clocks, power domains and resets are numbered in device trees as in the firmware (`dt-bindings/clock/xlnx-zynqmp-clk.h` and its kin), but that the firmware's resets
//! begin at 1000. Pins have their number in their name.

use std::collections::BTreeSet;

use crate::board::Device;
use crate::devicetree::providers::dependencies;
use crate::devicetree::{NodeId, Tree};
use crate::supply::{Need, PINS, Resolution};

/// The firmware's node.
const FIRMWARE: &str = "xlnx,zynqmp-firmware";
/// The first reset of the firmware (Linux `drivers/reset/reset-zynqmp.c`).
const FIRST_RESET: u32 = 1000;
/// What pins are called.
const PIN: &str = "MIO";

/// Something of the firmware's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Resource {
    Node(u32),
    Clock(u32),
    Reset(u32),
    Pin(u32),
}

/// What a partition may change by calls: [`model::firmware::Eemi`] in the making.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owned {
    pub nodes: BTreeSet<u32>,
    pub clocks: BTreeSet<u32>,
    pub resets: BTreeSet<u32>,
    pub pins: BTreeSet<u32>,
    pub shared_nodes: BTreeSet<u32>,
    pub shared_clocks: BTreeSet<u32>,
}

impl Owned {
    /// Its fields by their names in the table.
    pub fn fields(&self) -> [(&'static str, &BTreeSet<u32>); 6] {
        [
            ("nodes", &self.nodes),
            ("clocks", &self.clocks),
            ("resets", &self.resets),
            ("pins", &self.pins),
            ("shared_nodes", &self.shared_nodes),
            ("shared_clocks", &self.shared_clocks),
        ]
    }
}

/// What a partition with these devices and needs has of the firmware: what no other enabled node of the board names is the partition's alone.
///
/// # Errors
/// Why its calls cannot be filtered.
pub(crate) fn owned<'a>(
    tree: &Tree,
    devices: impl Iterator<Item = &'a Device>,
    needs: &[Need],
) -> Result<Owned, String> {
    let firmware = tree
        .nodes()
        .find(|node| tree.is_compatible(*node, &[FIRMWARE]));
    let Some(firmware) = firmware else {
        return Err("the board's firmware is not that of a Zynq UltraScale+".to_owned());
    };
    // What others may read, too, is nobody's alone.
    let alone = devices.filter(|device| !device.read_only);
    let members = alone.flat_map(|device| device.members.iter().map(|member| member.node));
    let others = others(tree, firmware, &members.collect())?;
    let mut own = BTreeSet::new();
    for need in needs
        .iter()
        .filter(|need| need.resolution == Resolution::Firmware)
    {
        let (property, provider) = (&need.property, need.provider);
        own.extend(resources(
            tree,
            firmware,
            property,
            provider,
            &need.arguments,
        )?);
    }
    let mut owned = Owned::default();
    for resource in own {
        let is_shared = others.contains(&resource);
        let (list, number) = match resource {
            Resource::Node(number) if is_shared => (&mut owned.shared_nodes, number),
            Resource::Clock(number) if is_shared => (&mut owned.shared_clocks, number),
            // Nobody turns off, or moves, what others use.
            Resource::Reset(_) | Resource::Pin(_) if is_shared => continue,
            Resource::Node(number) => (&mut owned.nodes, number),
            Resource::Clock(number) => (&mut owned.clocks, number),
            Resource::Reset(number) => (&mut owned.resets, number),
            Resource::Pin(number) => (&mut owned.pins, number),
        };
        list.insert(number);
    }
    Ok(owned)
}

/// What all enabled nodes name but these. Of their pins those that are named one by one.
fn others(
    tree: &Tree,
    firmware: NodeId,
    but: &BTreeSet<NodeId>,
) -> Result<BTreeSet<Resource>, String> {
    let mut found = BTreeSet::new();
    for node in tree.nodes() {
        if !tree.is_enabled(node) || but.contains(&node) {
            continue;
        }
        for one in dependencies(tree, node).map_err(|error| error.to_string())? {
            let named = resources(tree, firmware, &one.property, one.provider, &one.arguments);
            found.extend(named.unwrap_or_default());
        }
    }
    Ok(found)
}

/// What an entry of a property names of the firmware.
fn resources(
    tree: &Tree,
    firmware: NodeId,
    property: &str,
    provider: NodeId,
    arguments: &[u32],
) -> Result<Vec<Resource>, String> {
    let mut above = std::iter::successors(Some(provider), |node| tree.parent(*node));
    if !above.any(|node| node == firmware) {
        return Ok(Vec::new());
    }
    let one = |make: fn(u32) -> Resource| {
        arguments
            .first()
            .map(|number| make(*number))
            .into_iter()
            .collect()
    };
    match property {
        "clocks" | "assigned-clocks" => Ok(one(Resource::Clock)),
        "power-domains" => Ok(one(Resource::Node)),
        "resets" => Ok(one(|number| {
            Resource::Reset(FIRST_RESET.saturating_add(number))
        })),
        _ if property.starts_with(PINS) => pins(tree, provider),
        _ => Ok(Vec::new()),
    }
}

/// The pins of a state. Which ones a group has no device tree says.
fn pins(tree: &Tree, state: NodeId) -> Result<Vec<Resource>, String> {
    let mut found = Vec::new();
    for node in tree.children(state) {
        if tree.has(*node, "groups") {
            return Err(format!(
                "which pins are in the groups of {} only the firmware knows",
                tree.path(state)
            ));
        }
        for name in tree.strings(*node, "pins") {
            let number = name
                .strip_prefix(PIN)
                .and_then(|number| number.parse().ok());
            let number = number
                .ok_or_else(|| format!("{} names the unknown pin {name}", tree.path(*node)))?;
            found.push(Resource::Pin(number));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
