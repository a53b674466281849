//! A partition sees the board's version of interrupt controller, or an older one.

use super::Context;
use crate::board::GicKind;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::raw::GicVersion;

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let Some(GicKind::V2 { .. }) = context.board.map(|board| &board.gic.kind) else {
        return;
    };
    for partition in &context.system.partitions {
        let Some(version) = &partition.gic else {
            continue;
        };
        if *version.get_ref() == GicVersion::V3 {
            let message = format!("{} cannot see a GICv3", partition.title());
            findings.push(
                Diagnostic::error(codes::GIC_TOO_NEW, message)
                    .at(context.source, version.span())
                    .found("a board with a GICv2")
                    .expected("\"v2\"")
                    .help("leave `gic` out, or choose a board with a GICv3"),
            );
        }
    }
}
