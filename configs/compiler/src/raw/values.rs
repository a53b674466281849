//! Readers of single values, shared by system files and board files.

use toml::Spanned;
use toml::de::DeValue;

use super::quantity::{QuantityError, human_time, parse_duration, parse_frequency};
use super::reader::{Read, Slot, Value, wrong_type};
use super::schema::Kind;
use super::size::{SizeError, parse_address, parse_size};
use crate::codes;
use crate::diagnostics::{Diagnostic, SourceText};
use crate::nearest::suggestion;

pub(crate) fn string(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<String, Box<Diagnostic>> {
    let text = value.get_ref().as_str();
    text.map(str::to_owned)
        .ok_or_else(|| wrong_type(source, slot, value).into())
}

pub(crate) fn boolean(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<bool, Box<Diagnostic>> {
    let found = value.get_ref().as_bool();
    found.ok_or_else(|| wrong_type(source, slot, value).into())
}

/// A number that is not negative, in the range that the schema gives.
pub(crate) fn number(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<u32, Box<Diagnostic>> {
    let Some(integer) = value.get_ref().as_integer() else {
        return Err(wrong_type(source, slot, value).into());
    };
    let range = match slot.kind {
        Kind::Number { least, most } => *least..=*most,
        _ => 0..=u32::MAX,
    };
    let found = u32::from_str_radix(integer.as_str(), integer.radix()).ok();
    found
        .filter(|number| range.contains(number))
        .ok_or_else(|| {
            let message = format!("`{}` is out of range", slot.name);
            Diagnostic::error(codes::OUT_OF_RANGE, message)
                .at(source, value.span())
                .found(integer.as_str())
                .expected(slot.kind.describe())
                .into()
        })
}

/// An array of which each element is read by `read`.
pub(crate) fn array<T>(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
    read: Read<T>,
) -> Result<Vec<Spanned<T>>, Box<Diagnostic>> {
    let Some(elements) = value.get_ref().as_array() else {
        return Err(wrong_type(source, slot, value).into());
    };
    let read = |element: &Value<'_>| {
        let result = read(source, slot.element(), element)?;
        Ok(Spanned::new(element.span(), result))
    };
    elements.iter().map(read).collect()
}

pub(crate) fn numbers(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<Vec<Spanned<u32>>, Box<Diagnostic>> {
    array(source, slot, value, number)
}

pub(crate) fn strings(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<Vec<Spanned<String>>, Box<Diagnostic>> {
    array(source, slot, value, string)
}

/// A size in bytes, never 0.
pub(crate) fn size(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<u64, Box<Diagnostic>> {
    let key = slot.name;
    const EXPECTED: &str =
        "a size with its unit in a string: \"64MiB\", \"2GiB\", \"4KiB\", or bytes as \"0x1000\"";
    let bad = |message: &str, found: &str| {
        Diagnostic::error(codes::BAD_SIZE, format!("`{key}` {message}"))
            .at(source, value.span())
            .found(found)
            .expected(EXPECTED)
    };
    if let Some(integer) = value.get_ref().as_integer() {
        let number = integer.as_str();
        let help = format!("write `{key} = \"{number}MiB\"` if mebibytes are meant");
        return Err(bad("has no unit", number).help(help).into());
    }
    let Some(text) = value.get_ref().as_str() else {
        return Err(wrong_type(source, slot, value).into());
    };
    let quoted = format!("\"{text}\"");
    let finding = match parse_size(text) {
        Ok(0) => Diagnostic::error(codes::ZERO_SIZE, format!("`{key}` is zero"))
            .at(source, value.span())
            .help(format!(
                "write a size that is not zero: `{key} = {}`",
                slot.example
            )),
        Ok(bytes) => return Ok(bytes),
        Err(SizeError::NotASize) => bad("is not a size", &quoted),
        Err(SizeError::NoUnit) => bad("has no unit", &quoted),
        Err(SizeError::UnknownUnit) => bad("has an unknown unit", &quoted)
            .help("the units are KiB, MiB, GiB and TiB, powers of 1024"),
        Err(SizeError::TooLarge) => bad("does not fit 64 bits", &quoted),
    };
    Err(finding.into())
}

/// An address: a hexadecimal string.
pub(crate) fn address(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<u64, Box<Diagnostic>> {
    let key = slot.name;
    const EXPECTED: &str = "a hexadecimal string like \"0x40000000\"";
    let Some(text) = value.get_ref().as_str() else {
        return Err(wrong_type(source, slot, value).into());
    };
    parse_address(text).map_err(|_| {
        Diagnostic::error(codes::BAD_SIZE, format!("`{key}` is not an address"))
            .at(source, value.span())
            .found(format!("\"{text}\""))
            .expected(EXPECTED)
            .into()
    })
}

/// A length of time in nanoseconds, in the range that the schema gives.
pub(crate) fn duration(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<u64, Box<Diagnostic>> {
    let kind = Quantity {
        code: codes::BAD_TIME,
        expected: "a time with its unit in a string: \"200us\", \"1ms\", \"2s\"",
        what: "a time",
        units: "the units are ns, us, ms, s, min and h",
        usual_unit: "ms",
        parse: parse_duration,
    };
    let time = quantity(source, slot, value, &kind)?;
    let Kind::Time { least, most } = slot.kind else {
        return Ok(time);
    };
    if (*least..=*most).contains(&time) {
        return Ok(time);
    }
    let message = format!("`{}` is out of range", slot.name);
    Err(Diagnostic::error(codes::TIME_OUT_OF_RANGE, message)
        .at(source, value.span())
        .found(human_time(time))
        .expected(slot.kind.describe())
        .into())
}

/// A frequency in hertz, never 0.
pub(crate) fn frequency(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<u64, Box<Diagnostic>> {
    let key = slot.name;
    let kind = Quantity {
        code: codes::BAD_FREQUENCY,
        expected: "a frequency with its unit in a string: \"100MHz\", \"32768Hz\"",
        what: "a frequency",
        units: "the units are Hz, kHz, MHz and GHz",
        usual_unit: "MHz",
        parse: parse_frequency,
    };
    match quantity(source, slot, value, &kind)? {
        0 => Err(
            Diagnostic::error(codes::BAD_FREQUENCY, format!("`{key}` holds a zero"))
                .at(source, value.span())
                .help("write the frequency at which the clock really runs")
                .into(),
        ),
        hertz => Ok(hertz),
    }
}

/// How quantities of one kind are read and spoken of.
struct Quantity {
    code: codes::Code,
    expected: &'static str,
    what: &'static str,
    units: &'static str,
    usual_unit: &'static str,
    parse: fn(&str) -> Result<u64, QuantityError>,
}

fn quantity(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
    kind: &Quantity,
) -> Result<u64, Box<Diagnostic>> {
    let key = slot.name;
    let bad = |message: &str, found: &str| {
        Diagnostic::error(kind.code, format!("`{key}` {message}"))
            .at(source, value.span())
            .found(found)
            .expected(kind.expected)
    };
    let number = match value.get_ref() {
        DeValue::Integer(integer) => Some(integer.as_str()),
        DeValue::Float(float) => Some(float.as_str()),
        _ => None,
    };
    if let Some(number) = number {
        let unit = kind.usual_unit;
        let help = format!("write \"{number}{unit}\" if {unit} is meant");
        return Err(bad("has no unit", number).help(help).into());
    }
    let Some(text) = value.get_ref().as_str() else {
        return Err(wrong_type(source, slot, value).into());
    };
    let quoted = format!("\"{text}\"");
    let finding = match (kind.parse)(text) {
        Ok(number) => return Ok(number),
        Err(QuantityError::NotAQuantity) => bad(&format!("is not {}", kind.what), &quoted),
        Err(QuantityError::NoUnit) => bad("has no unit", &quoted),
        Err(QuantityError::UnknownUnit) => bad("has an unknown unit", &quoted).help(kind.units),
        Err(QuantityError::TooLarge) => bad("does not fit 64 bits", &quoted),
        Err(QuantityError::TooFine) => bad("is finer than the smallest unit", &quoted),
    };
    Err(finding.into())
}

/// One of a few words, each with its meaning.
pub(crate) fn one_of<T: Copy>(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
    words: &[(&str, T)],
) -> Result<T, Box<Diagnostic>> {
    let key = slot.name;
    #[cfg(test)]
    assert!(
        slot.kind
            .words()
            .iter()
            .map(|word| word.text)
            .eq(words.iter().map(|(word, _)| *word)),
        "the words of {key} are not those of the schema"
    );
    let list: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let quoted: Vec<String> = list.iter().map(|word| format!("\"{word}\"")).collect();
    let expected = quoted.join(", ");
    let Some(text) = value.get_ref().as_str() else {
        return Err(wrong_type(source, slot, value).into());
    };
    if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*meaning);
    }
    let mut finding = Diagnostic::error(
        codes::UNKNOWN_VALUE,
        format!("`{key}` cannot be \"{text}\""),
    )
    .at(source, value.span())
    .expected(expected);
    if crate::nearest::nearest(text, list.iter().copied()).is_some() {
        finding.help = suggestion(text, &list);
    }
    Err(finding.into())
}
