//! Messages of a partition's devices reach it and nobody else.

use std::ops::Range;

use model::its::{DeviceIds, VirtualIts};

use super::Context;
use crate::board::{Device, HostMsi};
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::guest_gic::GuestGic;

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let Some(board) = context.board else { return };
    let mut others: Vec<(usize, &Device, &[DeviceIds])> = Vec::new();
    let mut users = 0;
    for (index, (partition, resolved)) in context.partitions().enumerate() {
        let mut counted = false;
        for (span, device) in &resolved.devices {
            let Some(HostMsi::Its { devices, .. }) = device.msi() else {
                continue;
            };
            if matches!(
                GuestGic::of(board, partition.gic_version()),
                GuestGic::V2 { .. }
            ) {
                findings.push(
                    at(
                        context,
                        span,
                        format!("messages of {} cannot reach a GICv2", device.path),
                    )
                    .found("an ITS, which only a GICv3 has")
                    .help("write `without = [\"msi\"]`, or leave `gic` out"),
                );
                continue;
            }
            let theirs = others.iter().find(|(owner, _, ids)| {
                *owner != index
                    && devices
                        .iter()
                        .any(|one| ids.iter().any(|other| overlap(*one, *other)))
            });
            if let Some((_, other, _)) = theirs {
                let message = format!(
                    "the ITS cannot tell {} and {} apart",
                    device.path, other.path
                );
                findings.push(
                    at(context, span, message)
                        .help("give both to one partition, or write `without = [\"msi\"]`"),
                );
            }
            others.push((index, device, devices));
            users += usize::from(!std::mem::replace(&mut counted, true));
            if users > usize::from(VirtualIts::SHARES) {
                findings.push(
                    at(context, span, "too many partitions use the ITS".to_owned())
                        .expected(format!("at most {}", VirtualIts::SHARES))
                        .help("write `without = [\"msi\"]`"),
                );
            }
        }
    }
}

fn at(context: &Context<'_>, span: &Range<usize>, message: String) -> Diagnostic {
    Diagnostic::error(codes::MESSAGES, message).at(context.source, span.clone())
}

const fn overlap(one: DeviceIds, other: DeviceIds) -> bool {
    one.first <= other.last() && other.first <= one.last()
}
