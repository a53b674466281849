//! Each interrupt has one owner.

use std::collections::BTreeMap;

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let Some(board) = context.board else { return };
    let mut owners = BTreeMap::new();
    if !context
        .partitions()
        .any(|(_, resolved)| resolved.owns(board.console.node))
    {
        owners.insert(
            board.virtual_uart.intid,
            (None, "the hypervisor's console".to_owned()),
        );
    }
    for (index, (partition, resolved)) in context.partitions().enumerate() {
        for (span, device) in &resolved.devices {
            for interrupt in &device.interrupts {
                let number = interrupt.intid.get();
                let Some((owner, name)) =
                    owners.insert(interrupt.intid, (Some(index), device.path.clone()))
                else {
                    continue;
                };
                // Devices of one partition may share a line; a device owned twice is another rule's matter.
                if owner == Some(index) || name == device.path {
                    continue;
                }
                let message = format!(
                    "{} of {} and {name} share an interrupt",
                    device.path,
                    partition.title()
                );
                findings.push(
                    Diagnostic::error(codes::INTERRUPT_OWNED_TWICE, message)
                        .at(context.source, span.clone())
                        .found(format!("INTID {number} (SPI {})", number - 32))
                        .help("an interrupt is delivered to one owner: give both devices to one partition"),
                );
            }
        }
    }
}
