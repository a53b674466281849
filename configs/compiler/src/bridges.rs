//! The PCI host bridges of which partitions have single functions, as the image is told of them.

use std::collections::BTreeMap;

use crate::board::PciFunction;
use crate::devicetree::NodeId;
use crate::devicetree::addresses::PciWindow;
use crate::range::AddressRange;
use crate::system::System;

/// A bridge whose functions belong to partitions one by one.
#[derive(Clone, Debug)]
pub(crate) struct Bridge {
    pub path: String,
    /// Configuration space of its first bus.
    pub configuration: AddressRange,
    /// Sorted by address.
    pub functions: Vec<Function>,
}

/// A function and its owner.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    /// Device and function in one number.
    pub address: u8,
    pub path: String,
    /// Place of its partition.
    pub partition: usize,
    pub id: Option<(u16, u16)>,
    pub window: PciWindow,
    pub messages: u16,
}

/// All of them, in the order of the board's tree.
pub(crate) fn bridges(system: &System) -> Vec<Bridge> {
    let mut found: BTreeMap<NodeId, Bridge> = BTreeMap::new();
    for (index, partition) in system.partitions.iter().enumerate() {
        for device in &partition.devices {
            let Some((function, window)) = device.function().and_then(placed) else {
                continue;
            };
            let bridge = found.entry(device.node).or_insert_with(|| Bridge {
                path: system.board.tree.path(device.node),
                configuration: function.configuration,
                functions: Vec::new(),
            });
            bridge.functions.push(Function {
                address: function.address.on_bus(),
                path: device.path.clone(),
                partition: index,
                id: function.id,
                window,
                messages: match function.msi {
                    Some(_) => function.vectors,
                    None => 0,
                },
            });
        }
    }
    let mut bridges: Vec<Bridge> = found.into_values().collect();
    for bridge in &mut bridges {
        bridge.functions.sort_by_key(|function| function.address);
    }
    bridges
}

/// A function that has a window; no other passes the rules.
fn placed(function: &PciFunction) -> Option<(&PciFunction, PciWindow)> {
    Some((function, function.window?))
}
