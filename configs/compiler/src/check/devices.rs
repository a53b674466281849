//! Each device has one owner.

use std::collections::BTreeMap;

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let mut owners = BTreeMap::new();
    for (partition, resolved) in context.partitions() {
        for (span, device) in &resolved.devices {
            let Some(owner) = owners.insert(device.node, partition.title()) else {
                continue;
            };
            let message = match partition.title() {
                title if title == owner => format!("{} is named twice in {owner}", device.path),
                title => format!("{} belongs to {owner} and to {title}", device.path),
            };
            findings.push(
                Diagnostic::error(codes::DEVICE_OWNED_TWICE, message)
                    .at(context.source, span.clone())
                    .help("name it once, in one partition"),
            );
        }
    }
}
