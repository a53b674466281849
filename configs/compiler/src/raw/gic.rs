//! Which interrupt controller a partition asks for.

use super::reader::{Slot, Value};
use super::values::one_of;
use crate::diagnostics::{Diagnostic, SourceText};

/// A version of the GIC architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GicVersion {
    V2,
    V3,
}

pub(super) fn gic_version(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<GicVersion, Box<Diagnostic>> {
    let words = [("v2", GicVersion::V2), ("v3", GicVersion::V3)];
    one_of(source, slot, value, &words)
}
