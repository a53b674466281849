//! There is a VMID for each partition.

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};

/// 8 bits of VMID (Arm ARM, D8.9), without 0.
pub(super) const MOST: usize = 255;

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let partitions = &context.system.partitions;
    if let Some(first_too_many) = partitions.get(MOST) {
        findings.push(
            Diagnostic::error(
                codes::TOO_MANY_PARTITIONS,
                "the system has too many partitions",
            )
            .at(context.source, first_too_many.span.clone())
            .found(partitions.len().to_string())
            .expected(format!("at most {MOST}")),
        );
    }
}
