//! Each device has one owner, with everything that comes along with it; several may have one that they only read.

use std::collections::BTreeMap;

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};

/// Who has a node already.
struct Owner<'a> {
    partition: usize,
    title: String,
    device: &'a str,
    read_only: bool,
}

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let mut owners: BTreeMap<_, Owner<'_>> = BTreeMap::new();
    for (index, (partition, resolved)) in context.partitions().enumerate() {
        // Functions of a bridge are another rule's matter.
        let devices = resolved.devices.iter();
        for (span, device) in devices.filter(|(_, one)| one.function().is_none()) {
            let taken = device.members.iter().find_map(|member| {
                let owner = owners.get(&member.node)?;
                let shared = owner.read_only && device.read_only && owner.partition != index;
                (!shared).then_some(owner)
            });
            if let Some(owner) = taken {
                let path = &device.path;
                let (message, help) = if owner.device != path {
                    let message = format!("{path} and {} have a node in common", owner.device);
                    let help = "name the outer one: what is below it comes along";
                    (message, help)
                } else if owner.partition == index {
                    let message = format!("{path} is named twice in {}", owner.title);
                    (message, "name it once, in one partition")
                } else if owner.read_only || device.read_only {
                    let (one, other) = (&owner.title, partition.title());
                    let message = format!("{path} is only to be read by one of {one} and {other}");
                    let help =
                        "write `access = \"read-only\"` in both, or name it in one partition";
                    (message, help)
                } else {
                    let (one, other) = (&owner.title, partition.title());
                    let message = format!("{path} belongs to {one} and to {other}");
                    (message, "name it once, in one partition")
                };
                findings.push(
                    Diagnostic::error(codes::DEVICE_OWNED_TWICE, message)
                        .at(context.source, span.clone())
                        .help(help),
                );
            }
            for member in &device.members {
                owners.entry(member.node).or_insert_with(|| Owner {
                    partition: index,
                    title: partition.title(),
                    device: &device.path,
                    read_only: device.read_only,
                });
            }
        }
    }
}
