//! `interrupts` of a partition: SPIs that belong to no device of the tree.

use std::ops::Range;

use model::device::Trigger;
use toml::Spanned;

use super::reader::{TableReader, Value, each, table_of};
use super::values::{count, one_of};
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
    value: &Value<'_>,
    findings: &mut Diagnostics,
) -> Vec<RawInterrupt> {
    const EXPECTED: &str = "an array of tables, like [{ spi = 45, trigger = \"edge\" }]";
    let interrupts = each(
        source,
        "interrupts",
        value,
        EXPECTED,
        findings,
        |element, findings| {
            let Some(table) = table_of(source, "interrupts", element, "a table `{ … }`", findings)
            else {
                return Some(None);
            };
            let mut reader = TableReader::new(source, "an interrupt", table, element.span());
            let spi = reader.required("spi", "45", count, findings);
            let trigger = reader.required("trigger", "\"level\"", trigger, findings);
            reader.finish(findings);
            Some(spi.zip(trigger).map(|(spi, trigger)| RawInterrupt {
                span: element.span(),
                spi,
                trigger: trigger.into_inner(),
            }))
        },
    );
    interrupts.into_iter().flatten().flatten().collect()
}

fn trigger(source: &SourceText, key: &str, value: &Value<'_>) -> Result<Trigger, Box<Diagnostic>> {
    let words = [("level", Trigger::Level), ("edge", Trigger::Edge)];
    one_of(source, key, value, &words)
}
