//! `devices` of a partition: names, or tables that say how a device is passed through.

use model::memory::PAGE;
use toml::Spanned;
use toml::de::DeValue;

use super::reader::{Slot, TableReader, Value, each, wrong_type};
use super::schema::DEVICE;
use super::values::{array, boolean, frequency, number, one_of, size, string, strings};
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};
use crate::range::human_size;

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
    /// Only for a PCI function: vendor and device.
    pub id: Option<(u16, u16)>,
    /// Only for a PCI function: bytes for its BARs, a power of two of at least a page.
    pub window: Option<u64>,
    /// Only for a PCI function: bytes for its BARs of 64 bits above 4 GiB, as `window`.
    pub high_window: Option<u64>,
    /// Only for a PCI function: messages that it may have.
    pub vectors: Option<u16>,
    /// Only for a PCI function: the pin by which it interrupts, 0 for INTA to 3 for INTD.
    pub pin: Option<u8>,
    /// Only for a PCI function: every bridge to it has access control services.
    pub acs: bool,
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
                id: None,
                window: None,
                high_window: None,
                vectors: None,
                pin: None,
                acs: false,
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
    let id = reader.optional("id", function_id, findings);
    let high_window = reader.optional("high_window", window, findings);
    let window = reader.optional("window", window, findings);
    let vectors = reader.optional("vectors", number, findings);
    let pin = reader.optional("pin", pin, findings);
    let acs = reader.optional("acs", boolean, findings);
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
        id: id.map(Spanned::into_inner),
        window: window.map(Spanned::into_inner),
        high_window: high_window.map(Spanned::into_inner),
        // The schema has no larger ones.
        vectors: vectors.and_then(|one| u16::try_from(one.into_inner()).ok()),
        pin: pin.map(Spanned::into_inner),
        acs: acs.is_some_and(Spanned::into_inner),
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

/// `8086:10d3`.
fn function_id(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<(u16, u16), Box<Diagnostic>> {
    let text = string(source, slot, value)?;
    let number = |text: &str| {
        let sound = text.len() == 4 && text.bytes().all(|one| one.is_ascii_hexdigit());
        u16::from_str_radix(text, 16).ok().filter(|_| sound)
    };
    let id = text.split_once(':');
    let id = id.and_then(|(vendor, device)| Some((number(vendor)?, number(device)?)));
    id.ok_or_else(|| {
        Diagnostic::error(codes::UNKNOWN_VALUE, "`id` is not vendor and device")
            .at(source, value.span())
            .found(format!("\"{text}\""))
            .expected("two numbers of four hexadecimal digits: \"8086:10d3\"")
            .help("`lspci -n` prints them")
            .into()
    })
}

/// A power of two of at least a page: BARs are aligned to their sizes.
fn window(source: &SourceText, slot: Slot, value: &Value<'_>) -> Result<u64, Box<Diagnostic>> {
    let bytes = size(source, slot, value)?;
    if bytes.is_power_of_two() && bytes >= PAGE {
        return Ok(bytes);
    }
    let name = slot.name;
    let rounded = bytes.max(PAGE).checked_next_power_of_two();
    let help = rounded.map_or_else(
        || "write a smaller one".to_owned(),
        |bytes| format!("write `{name} = \"{}\"`", human_size(bytes)),
    );
    let message = format!("`{name}` is no power of two of at least 4KiB");
    Err(Diagnostic::error(codes::BAD_SIZE, message)
        .at(source, value.span())
        .found(human_size(bytes))
        .help(help)
        .into())
}

/// Pins of a PCI function in their order.
fn pin(source: &SourceText, slot: Slot, value: &Value<'_>) -> Result<u8, Box<Diagnostic>> {
    let words = [("A", 0), ("B", 1), ("C", 2), ("D", 3)];
    one_of(source, slot, value, &words)
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
