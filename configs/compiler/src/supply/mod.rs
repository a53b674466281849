//! What the devices of a partition need of other nodes of the board, and where they get it.
//!
//! A device that is given away without its clocks, resets, power domains, pins or efuses waits for them forever, or works only as
//! long as nobody touches them. So every phandle of a device and of the nodes that come along is followed, and so is every phandle of
//! what comes along because of that; each ends in one [`Resolution`].

mod data;
mod firmware;
mod walk;

pub(crate) use walk::supply;

use std::collections::BTreeSet;

use crate::devicetree::{NodeId, TreeError};

/// Whether a property is one of the pin states (`pinctrl-0`, …), which go by one name in `without`.
pub(crate) const PINS: &str = "pinctrl";

/// Where an entry of a property gets what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// The partition owns it, too.
    GivenToo,
    /// It is nothing but data and is copied to the partition's tree.
    Copied,
    /// The partition may read it, and so may others.
    SharedReadOnly,
    /// A fixed clock of so many hertz stands for it.
    FixedClock(u64),
    /// The system file leaves the property out: what it names stays as firmware left it.
    LeftAsFirmwareSetIt,
    /// The firmware has it and does what the partition asks by SMC.
    Firmware,
    /// Nowhere.
    Missing(Lack),
}

/// Why something is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// The partition does not own it.
    NotGiven,
    /// Only the firmware can do it, and the partition may not call the firmware.
    FirmwareCalls,
    /// Its node or a node above it is disabled.
    Disabled,
    /// The hypervisor keeps it: the interrupt controller, memory.
    Kept,
}

/// An entry of a property that names another node, and where the partition gets it.
#[derive(Clone, Debug)]
pub(crate) struct Need {
    /// Place of the device in the partition's list on whose account this is needed.
    pub device: usize,
    /// The node with the property: the device, a node that comes along with it, or something that it needs in turn.
    pub consumer: NodeId,
    pub property: String,
    /// Which entry, from 0.
    pub index: usize,
    /// What the binding calls this entry.
    pub name: Option<String>,
    pub provider: NodeId,
    /// What follows the provider in the entry.
    pub arguments: Vec<u32>,
    pub resolution: Resolution,
}

/// What all devices of a partition need.
#[derive(Clone, Debug, Default)]
pub(crate) struct Supply {
    pub needs: Vec<Need>,
    /// Nodes that are copied beside the devices, in the order in which they were found.
    pub copied: Vec<NodeId>,
    /// Properties that a guest tree leaves out.
    pub left_out: BTreeSet<(NodeId, String)>,
    /// For each device that cannot be read, its place and why.
    pub errors: Vec<(usize, TreeError)>,
}

impl Supply {
    /// What is missing, with the device that it is missing for.
    pub fn missing(&self) -> impl Iterator<Item = (&Need, Lack)> {
        self.needs.iter().filter_map(|need| match need.resolution {
            Resolution::Missing(lack) => Some((need, lack)),
            _ => None,
        })
    }

    /// Forgets what the devices at these places need, and what could not be read of them.
    pub fn forget(&mut self, devices: &[usize]) {
        self.needs.retain(|need| !devices.contains(&need.device));
        self.errors.retain(|(device, _)| !devices.contains(device));
    }

    /// True when a guest tree leaves this property of this node out.
    pub fn leaves_out(&self, node: NodeId, property: &str) -> bool {
        self.left_out.contains(&(node, property.to_owned()))
    }
}
