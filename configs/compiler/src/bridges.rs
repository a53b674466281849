//! The PCI host bridges of which partitions have single functions, as the image is told of them.

use std::collections::BTreeMap;

use crate::board::{BUS_BYTES, FunctionPath, PciFunction};
use crate::devicetree::NodeId;
use crate::devicetree::addresses::PciWindow;
use crate::range::AddressRange;
use crate::system::System;

/// A host bridge whose functions belong to partitions one by one.
#[derive(Clone, Debug)]
pub(crate) struct Bridge {
    pub path: String,
    /// Configuration space of its buses, from the first one to the last one that is used.
    pub configuration: AddressRange,
    pub first_bus: u8,
    /// Each behind the one that leads to it.
    pub ports: Vec<Port>,
    /// Sorted by the address at which their partitions see them.
    pub functions: Vec<Function>,
}

/// A bridge that leads to functions of partitions.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    pub path: String,
    /// Its number as a requester.
    pub place: u32,
    /// The bus that it is on, the first and the last one behind it.
    pub buses: [u8; 3],
    /// What it passes on, on the bus.
    pub memory: Option<AddressRange>,
    /// The same for memory that may be above 4 GiB.
    pub high: Option<AddressRange>,
    /// It must keep functions apart.
    pub separates: bool,
    /// It must leave functions their own numbers.
    pub transparent: bool,
}

/// A function and its owner.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    /// Its number as a requester.
    pub place: u32,
    /// Where its partition sees it: device and function in one number.
    pub address: u8,
    pub path: String,
    /// Place of its partition.
    pub partition: usize,
    pub id: Option<(u16, u16)>,
    pub window: PciWindow,
    pub high: Option<PciWindow>,
    pub messages: u16,
    /// 0 for none, 1 for INTA to 4 for INTD.
    pub pin: u8,
}

/// All of them, in the order of the board's tree.
pub(crate) fn bridges(system: &System) -> Vec<Bridge> {
    let mut hosts: BTreeMap<NodeId, (Bridge, Vec<&PciFunction>)> = BTreeMap::new();
    for (index, partition) in system.partitions.iter().enumerate() {
        for device in &partition.devices {
            let Some((function, window)) = device.function().and_then(placed) else {
                continue;
            };
            let (bridge, all) = hosts.entry(device.node).or_insert_with(|| {
                let bridge = Bridge {
                    path: system.board.tree.path(device.node),
                    configuration: function.reached,
                    first_bus: function.first_bus,
                    ports: Vec::new(),
                    functions: Vec::new(),
                };
                (bridge, Vec::new())
            });
            let reached = &mut bridge.configuration.size;
            *reached = function.reached.size.max(*reached).max(BUS_BYTES);
            all.push(function);
            bridge.functions.push(Function {
                place: function.path.function.requester(),
                address: function.seen,
                path: device.path.clone(),
                partition: index,
                id: function.id,
                window,
                high: function.high.as_ref().and_then(|high| high.place),
                messages: match function.msi {
                    Some(_) => function.vectors,
                    None => 0,
                },
                pin: function.pin.map_or(0, |pin| pin.number + 1),
            });
        }
    }
    let finish = |(mut bridge, functions): (Bridge, Vec<&PciFunction>)| {
        bridge.functions.sort_by_key(|function| function.address);
        bridge.ports = ports(&bridge.path, &functions);
        bridge
    };
    hosts.into_values().map(finish).collect()
}

/// The bridges to these functions.
fn ports(host: &str, functions: &[&PciFunction]) -> Vec<Port> {
    // By the bus behind it: numbers grow on the way down.
    let mut found: BTreeMap<u8, Port> = BTreeMap::new();
    for function in functions {
        let path = &function.path;
        for (index, secondary) in path.buses() {
            let Some(bridge) = path.bridges.get(index).copied() else {
                continue;
            };
            let port = found.entry(secondary).or_insert_with(|| {
                let way = FunctionPath {
                    bridges: path.bridges.get(..index).unwrap_or_default().to_vec(),
                    function: bridge,
                };
                Port {
                    path: format!("{host}/{way}"),
                    place: bridge.requester(),
                    buses: [bridge.bus, secondary, secondary],
                    memory: None,
                    high: None,
                    separates: false,
                    transparent: false,
                }
            });
            let [_, _, last] = &mut port.buses;
            *last = path.function.bus.max(*last);
            grow(&mut port.memory, function.window.place);
            grow(
                &mut port.high,
                function.high.as_ref().and_then(|high| high.place),
            );
            port.separates |= function.acs;
            port.transparent |= function.has_own_number();
        }
    }
    found.into_values().collect()
}

/// Has a bridge pass on this window, too, in whole MiB.
fn grow(passed: &mut Option<AddressRange>, window: Option<PciWindow>) {
    const GRANULE: u64 = 1 << 20;
    let window =
        window.and_then(|window| AddressRange::new(window.bus, window.cpu.size)?.outward(GRANULE));
    *passed = match (*passed, window) {
        (Some(one), Some(other)) => {
            AddressRange::between(one.base.min(other.base), one.end().max(other.end()))
        }
        (one, other) => one.or(other),
    };
}

/// A function that has a window; no other passes the rules.
fn placed(function: &PciFunction) -> Option<(&PciFunction, PciWindow)> {
    Some((function, function.window.place?))
}
