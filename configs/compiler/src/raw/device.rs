//! `devices` of a partition: names, or tables that say how a device is passed through.

use toml::Spanned;
use toml::de::DeValue;

use super::reader::{Slot, TableReader, Value, each, wrong_type};
use super::schema::DEVICE;
use super::values::{array, frequency, one_of, string, strings};
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};

/// A device as it is listed.
#[derive(Debug)]
pub(crate) struct RawDevice {
    /// Label, alias or path.
    pub name: Spanned<String>,
    /// Hertz of the fixed clock that stands for each entry of the node's `clocks`, in order.
    pub clocks: Option<Spanned<Vec<u64>>>,
    /// Properties that are left out.
    pub without: Vec<Spanned<String>>,
    /// There when several partitions may list the device.
    pub read_only: Option<Spanned<()>>,
    /// True when one of these fields was reported as wrong: what the device needs is not known then.
    pub wrong: bool,
}

/// The devices of a partition. A device that is listed wrongly is reported and left out: the others are still checked.
pub(super) fn read_devices(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
    findings: &mut Diagnostics,
) -> Vec<RawDevice> {
    let read = |slot, element: &Value<'_>, findings: &mut Diagnostics| {
        Some(read_device(source, slot, element, findings))
    };
    let devices = each(source, slot, value, findings, read);
    devices.into_iter().flatten().flatten().collect()
}

fn read_device(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
    findings: &mut Diagnostics,
) -> Option<RawDevice> {
    let table = match value.get_ref() {
        DeValue::String(name) => {
            return Some(RawDevice {
                name: Spanned::new(value.span(), name.to_string()),
                clocks: None,
                without: Vec::new(),
                read_only: None,
                wrong: false,
            });
        }
        DeValue::Table(table) => table,
        _ => {
            findings.push(wrong_type(source, slot, value));
            return None;
        }
    };
    let before = findings.len();
    let mut reader = TableReader::new(source, "a device", &DEVICE, table, value.span());
    let name = reader.required("device", string, findings);
    let clocks = reader.optional("clocks", frequencies, findings);
    let without = reader.optional("without", strings, findings);
    let access = reader.optional("access", access, findings);
    reader.finish(findings);
    Some(RawDevice {
        name: name?,
        clocks: clocks.map(|clocks| {
            let span = clocks.span();
            let hertz = clocks.into_inner().into_iter().map(Spanned::into_inner);
            Spanned::new(span, hertz.collect())
        }),
        without: without.map_or(Vec::new(), Spanned::into_inner),
        read_only: access
            .filter(|access| *access.get_ref() == DeviceAccess::ReadOnly)
            .map(|access| Spanned::new(access.span(), ())),
        wrong: findings.len() > before,
    })
}

fn frequencies(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<Vec<Spanned<u64>>, Box<Diagnostic>> {
    array(source, slot, value, frequency)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum DeviceAccess {
    Exclusive,
    ReadOnly,
}

fn access(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<DeviceAccess, Box<Diagnostic>> {
    let words = [
        ("exclusive", DeviceAccess::Exclusive),
        ("read-only", DeviceAccess::ReadOnly),
    ];
    one_of(source, slot, value, &words)
}
