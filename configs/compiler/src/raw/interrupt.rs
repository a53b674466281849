//! `interrupts` of a partition: SPIs that belong to no device of the tree.

use std::ops::Range;

use model::device::Trigger;
use toml::Spanned;

use super::reader::{Slot, TableReader, Value, each, table_of};
use super::schema::INTERRUPT;
use super::values::{number, one_of};
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};

/// An interrupt without a device.
#[derive(Debug)]
pub(crate) struct RawInterrupt {
    pub span: Range<usize>,
    /// Number as in a device tree: INTID − 32.
    pub spi: Spanned<u32>,
    pub trigger: Trigger,
}

/// The interrupts of a partition. One that is wrong is reported and left out.
pub(super) fn read_interrupts(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
    findings: &mut Diagnostics,
) -> Vec<RawInterrupt> {
    let interrupts = each(source, slot, value, findings, |slot, element, findings| {
        let Some(table) = table_of(source, slot, element, findings) else {
            return Some(None);
        };
        let mut reader =
            TableReader::new(source, "an interrupt", &INTERRUPT, table, element.span());
        let spi = reader.required("spi", number, findings);
        let trigger = reader.required("trigger", trigger, findings);
        reader.finish(findings);
        Some(spi.zip(trigger).map(|(spi, trigger)| RawInterrupt {
            span: element.span(),
            spi,
            trigger: trigger.into_inner(),
        }))
    });
    interrupts.into_iter().flatten().flatten().collect()
}

fn trigger(source: &SourceText, slot: Slot, value: &Value<'_>) -> Result<Trigger, Box<Diagnostic>> {
    let words = [("level", Trigger::Level), ("edge", Trigger::Edge)];
    one_of(source, slot, value, &words)
}
