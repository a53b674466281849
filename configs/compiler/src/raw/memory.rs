//! `memory` of a partition: a size, a table, or an array of both.

use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

use super::reader::{Slot, TableReader, Value, each};
use super::schema::MEMORY;
use super::values::{address, boolean, size};
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};

/// A region of memory as it stands.
#[derive(Debug)]
pub(crate) struct RawMemory {
    pub span: Range<usize>,
    /// Bytes, not 0.
    pub size: Spanned<u64>,
    /// Where the partition sees it.
    pub at: Option<Spanned<u64>>,
    /// Where it lies.
    pub address: Option<Spanned<u64>>,
    /// What `address` is a multiple of.
    pub align: Option<Spanned<u64>>,
    /// True when the partition sees it where it lies.
    pub identity: bool,
}

/// The regions of the partition that messages call `title`. Empty when one of them is wrong.
pub(super) fn read_memory(
    source: &SourceText,
    title: &str,
    slot: Slot,
    value: &Value<'_>,
    findings: &mut Diagnostics,
) -> Vec<RawMemory> {
    let read = |slot, element: &Value<'_>, findings: &mut Diagnostics| {
        read_region(source, slot, element, findings)
    };
    let regions = match value.get_ref() {
        DeValue::Array(elements) if elements.is_empty() => {
            let message = format!("{title} has no memory");
            findings.push(
                Diagnostic::error(codes::NO_MEMORY, message)
                    .at(source, value.span())
                    .found("an empty array")
                    .help(format!(
                        "write how much it needs: `memory = {}`",
                        slot.example
                    )),
            );
            None
        }
        DeValue::Array(_) => each(source, slot, value, findings, read),
        _ => read(slot, value, findings).map(|region| vec![region]),
    };
    regions.unwrap_or_default()
}

fn read_region(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
    findings: &mut Diagnostics,
) -> Option<RawMemory> {
    let DeValue::Table(table) = value.get_ref() else {
        return match size(source, slot, value) {
            Ok(bytes) => Some(RawMemory {
                span: value.span(),
                size: Spanned::new(value.span(), bytes),
                at: None,
                address: None,
                align: None,
                identity: false,
            }),
            Err(finding) => {
                findings.push(*finding);
                None
            }
        };
    };
    let before = findings.len();
    let mut reader = TableReader::new(source, "`memory`", &MEMORY, table, value.span());
    let size = reader.required("size", size, findings);
    let at = reader.optional("at", address, findings);
    let physical = reader.optional("address", address, findings);
    let align = reader.optional("align", super::values::size, findings);
    let identity = reader.optional("identity", boolean, findings);
    reader.finish(findings);
    // A region that is half known would be placed somewhere else than the file says.
    let size = size.filter(|_| findings.len() == before)?;
    Some(RawMemory {
        span: value.span(),
        size,
        at,
        address: physical,
        align,
        identity: identity.is_some_and(Spanned::into_inner),
    })
}
