//! PCI functions that are given by themselves: each has one owner, and those that cannot be kept apart have the same one.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Context;
use crate::board::{Device, FunctionAddress, FunctionPath, PciFunction};
use crate::codes::{self, Code};
use crate::devicetree::NodeId;
use crate::diagnostics::{Diagnostic, Diagnostics};

/// A function or a whole bridge, and who names it.
struct Named<'a> {
    partition: usize,
    span: &'a Range<usize>,
    device: &'a Device,
    function: Option<&'a PciFunction>,
}

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let mut bridges: BTreeMap<NodeId, Vec<Named<'_>>> = BTreeMap::new();
    for (partition, resolved) in context.resolved.iter().enumerate() {
        for (span, device) in resolved.devices.iter().filter(|(_, one)| one.pci.is_some()) {
            bridges.entry(device.node).or_default().push(Named {
                partition,
                span,
                device,
                function: device.function(),
            });
        }
    }
    for named in bridges.values() {
        misnumbered(context, named, findings);
        for (index, one) in named.iter().enumerate() {
            if let Some(finding) = named[..index]
                .iter()
                .find_map(|other| pair(context, other, one))
            {
                findings.push(finding);
            } else if let Some(finding) = lacks_first(context, named, one) {
                findings.push(finding);
            }
        }
    }
}

/// What is wrong with two names of things at one bridge.
fn pair(context: &Context<'_>, first: &Named<'_>, second: &Named<'_>) -> Option<Diagnostic> {
    let title = |named: &Named<'_>| {
        let partition = context.system.partitions.get(named.partition);
        partition.map_or(String::new(), |partition| partition.title())
    };
    let finding = |code: Code, message: String, help: &str| {
        Some(
            Diagnostic::error(code, message)
                .at(context.source, second.span.clone())
                .help(help),
        )
    };
    let (path, other) = (&second.device.path, &first.device.path);
    let (Some(one), Some(two)) = (first.function, second.function) else {
        // Two whole bridges are another rule's matter.
        first.function.or(second.function)?;
        let message = format!("{path} and {other} have functions in common");
        let help = "give the bridge as a whole to one partition, or each function by itself";
        return finding(codes::DEVICE_OWNED_TWICE, message, help);
    };
    if one.path.bridges.contains(&two.path.function)
        || two.path.bridges.contains(&one.path.function)
    {
        let message =
            format!("{path} and {other} cannot both be functions: one leads to the other");
        let help = "bridges belong to the hypervisor: name what is behind them";
        return finding(codes::ISOLATION_GROUP, message, help);
    }
    if one.path.function == two.path.function {
        let message = match first.partition == second.partition {
            true => format!("{path} is named twice in {}", title(first)),
            false => format!(
                "{path} belongs to {} and to {}",
                title(first),
                title(second)
            ),
        };
        let help = "name it once, in one partition";
        return finding(codes::DEVICE_OWNED_TWICE, message, help);
    }
    if first.partition == second.partition || !one.shares_group_with(two) {
        return None;
    }
    let one_device = one.path.function.slot() == two.path.function.slot();
    let what = match one_device {
        true => "functions of one device".to_owned(),
        false => format!(
            "behind the device {:02x}:{:02x}",
            one.path.top().bus,
            one.path.top().device
        ),
    };
    let message = format!(
        "{other} of {} and {path} of {} are {what}",
        title(first),
        title(second)
    );
    let help = match one_device {
        true => {
            "give all functions of the device to one partition: they may reach one another behind the IOMMU"
        }
        false => {
            "give all of them to one partition: they may reach one another behind the IOMMU. Where each bridge to them has access control (ACS, \
             as `lspci -vv` shows), write `acs = true` in each"
        }
    };
    finding(codes::ISOLATION_GROUP, message, help)
}

/// Each bus number means one bus, and those behind a bridge are together: so bridges route (PCI-to-PCI Bridge 1.2, 3.1.2).
fn misnumbered(context: &Context<'_>, named: &[Named<'_>], findings: &mut Diagnostics) {
    let mut buses: BTreeMap<u8, (&[FunctionAddress], &Named<'_>)> = BTreeMap::new();
    for one in named {
        let Some(FunctionPath { bridges, .. }) = one.function.map(|function| &function.path) else {
            continue;
        };
        for (index, bus) in one
            .function
            .into_iter()
            .flat_map(|function| function.path.buses())
        {
            let way = bridges.get(..=index).unwrap_or_default();
            let known = *buses.entry(bus).or_insert((way, one));
            if known.0 != way {
                let message = format!(
                    "bus {bus:02x} is behind another bridge in {} than in {}",
                    one.device.path, known.1.device.path
                );
                findings.push(number(context, one, message));
                return;
            }
        }
    }
    for (bus, (way, one)) in &buses {
        // From the first bus behind the same bridge to the last one, all are behind it.
        let behind = |other: &[FunctionAddress]| other.starts_with(way);
        let last = buses.iter().rev().find(|(_, (other, _))| behind(other));
        let last = last.map_or(*bus, |(last, _)| *last);
        let stray = buses
            .range(*bus..=last)
            .find(|(_, (other, _))| !behind(other));
        if let Some((stray, (_, other))) = stray {
            let message = format!(
                "bus {stray:02x} of {} lies among the buses behind the bridge of bus {bus:02x}",
                other.device.path
            );
            findings.push(number(context, one, message));
            return;
        }
    }
}

fn number(context: &Context<'_>, one: &Named<'_>, message: String) -> Diagnostic {
    Diagnostic::error(codes::ISOLATION_GROUP, message)
        .at(context.source, one.span.clone())
        .help("number the buses as `lspci -t` would show them: what is behind one bridge follows one another")
}

/// Software looks for the functions of a device only where it finds function 0 (PCI Local Bus 3.0, 6.1).
fn lacks_first(context: &Context<'_>, all: &[Named<'_>], one: &Named<'_>) -> Option<Diagnostic> {
    let address = one.function?.path.function;
    if address.function == 0 {
        return None;
    }
    let first = FunctionAddress {
        function: 0,
        ..address
    };
    let is_first = |other: &&PciFunction| other.path.function == first;
    if all
        .iter()
        .filter_map(|other| other.function)
        .find(is_first)
        .is_some()
    {
        return None;
    }
    let message = format!("{} comes without function 0 of its device", one.device.path);
    Some(
        Diagnostic::error(codes::ISOLATION_GROUP, message)
            .at(context.source, one.span.clone())
            .help(format!(
                "give {first} to the same partition, too: no guest finds the others without it"
            )),
    )
}
