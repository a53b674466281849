//! PCI functions that are given by themselves: each has one owner, and those that cannot be kept apart have the same one.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Context;
use crate::board::{Device, FunctionAddress};
use crate::codes::{self, Code};
use crate::devicetree::NodeId;
use crate::diagnostics::{Diagnostic, Diagnostics};

/// A function or a whole bridge, and who names it.
struct Named<'a> {
    partition: usize,
    span: &'a Range<usize>,
    device: &'a Device,
    address: Option<FunctionAddress>,
}

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let mut bridges: BTreeMap<NodeId, Vec<Named<'_>>> = BTreeMap::new();
    for (partition, resolved) in context.resolved.iter().enumerate() {
        for (span, device) in resolved.devices.iter().filter(|(_, one)| one.pci.is_some()) {
            bridges.entry(device.node).or_default().push(Named {
                partition,
                span,
                device,
                address: device.function().map(|function| function.address),
            });
        }
    }
    for named in bridges.values() {
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
    let (Some(one), Some(two)) = (first.address, second.address) else {
        // Two whole bridges are another rule's matter.
        first.address.or(second.address)?;
        let message = format!("{path} and {other} have functions in common");
        let help = "give the bridge as a whole to one partition, or each function by itself";
        return finding(codes::DEVICE_OWNED_TWICE, message, help);
    };
    if one == two {
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
    if one.device == two.device && first.partition != second.partition {
        let message = format!(
            "{other} of {} and {path} of {} are functions of one device",
            title(first),
            title(second)
        );
        let help = "give all functions of the device to one partition: they may reach one another behind the IOMMU";
        return finding(codes::ISOLATION_GROUP, message, help);
    }
    None
}

/// Software looks for the functions of a device only where it finds function 0 (PCI Local Bus 3.0, 6.1).
fn lacks_first(context: &Context<'_>, all: &[Named<'_>], one: &Named<'_>) -> Option<Diagnostic> {
    let address = one.address.filter(|address| address.function != 0)?;
    let first = FunctionAddress {
        function: 0,
        ..address
    };
    if all.iter().any(|other| other.address == Some(first)) {
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
