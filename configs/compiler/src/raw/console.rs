//! `console` of a partition.

use toml::Spanned;
use toml::de::DeValue;

use super::reader::{Slot, TableReader, Value};
use super::schema::CONSOLE;
use super::values::{one_of, string};
use crate::diagnostics::{Diagnostics, SourceText};

/// A partition's console as it stands.
#[derive(Debug)]
pub(crate) enum RawConsole {
    Virtual,
    None,
    Device(Spanned<String>),
}

pub(super) fn read_console(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
    findings: &mut Diagnostics,
) -> Option<RawConsole> {
    if let DeValue::Table(table) = value.get_ref() {
        let mut reader = TableReader::new(source, "`console`", &CONSOLE, table, value.span());
        let device = reader.required("device", string, findings);
        reader.finish(findings);
        return device.map(RawConsole::Device);
    }
    match one_of(source, slot, value, &[("virtual", true), ("none", false)]) {
        Ok(true) => Some(RawConsole::Virtual),
        Ok(false) => Some(RawConsole::None),
        Err(mut finding) => {
            finding.expected = Some("\"virtual\", \"none\" or { device = \"…\" }".to_owned());
            findings.push(*finding);
            None
        }
    }
}
