//! Reads one TOML table field by field: each field is asked for by name, and what nobody asked for is refused.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::syntax;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};
use crate::nearest::suggestion;

/// A TOML value with its place.
pub(crate) type Value<'a> = Spanned<DeValue<'a>>;

/// Turns a TOML value into a Rust one, or says what is wrong with it. The text is the field's name.
pub(crate) type Read<T> = fn(&SourceText, &str, &Value<'_>) -> Result<T, Box<Diagnostic>>;

/// A TOML table that is being read.
pub(crate) struct TableReader<'a> {
    source: &'a SourceText,
    /// How messages call the table: "partition `linux`".
    what: String,
    table: &'a DeTable<'a>,
    span: Range<usize>,
    asked: Vec<&'static str>,
}

impl<'a> TableReader<'a> {
    /// Begins to read a table. `span` is what findings about the whole table point to.
    pub fn new(
        source: &'a SourceText,
        what: impl Into<String>,
        table: &'a DeTable<'a>,
        span: Range<usize>,
    ) -> Self {
        Self {
            source,
            what: what.into(),
            table,
            span,
            asked: Vec::new(),
        }
    }

    /// Changes how messages call the table, once its name is known.
    pub fn call(&mut self, what: impl Into<String>) {
        self.what = what.into();
    }

    /// The value of a field as it stands.
    pub fn value(&mut self, key: &'static str) -> Option<&'a Value<'a>> {
        self.asked.push(key);
        let table = self.table;
        table
            .iter()
            .find(|(name, _)| name.get_ref() == key)
            .map(|(_, value)| value)
    }

    /// A field that may be missing.
    pub fn optional<T>(
        &mut self,
        key: &'static str,
        read: Read<T>,
        findings: &mut Diagnostics,
    ) -> Option<Spanned<T>> {
        let value = self.value(key)?;
        match read(self.source, key, value) {
            Ok(result) => Some(Spanned::new(value.span(), result)),
            Err(finding) => {
                findings.push(*finding);
                None
            }
        }
    }

    /// A field that must be there. `example` completes the help: "add `memory = \"64MiB\"`".
    pub fn required<T>(
        &mut self,
        key: &'static str,
        example: &str,
        read: Read<T>,
        findings: &mut Diagnostics,
    ) -> Option<Spanned<T>> {
        if !self.table.iter().any(|(name, _)| name.get_ref() == key) {
            self.asked.push(key);
            self.report_missing(key, example, findings);
            return None;
        }
        self.optional(key, read, findings)
    }

    /// Reports that a field is missing.
    pub fn report_missing(&self, key: &str, example: &str, findings: &mut Diagnostics) {
        // A near miss is reported as an unknown field, which names this one: one fault, one finding.
        let misspelt = |name: &str| crate::nearest::nearest(name, [key]).is_some();
        if !self.table.keys().any(|name| misspelt(name.get_ref())) {
            findings.push(self.missing(key, example));
        }
    }

    /// The finding that a field is missing.
    pub fn missing(&self, key: &str, example: &str) -> Diagnostic {
        Diagnostic::error(
            codes::MISSING_FIELD,
            format!("{} has no `{key}`", self.what),
        )
        .at(self.source, self.span.clone())
        .help(format!("add `{key} = {example}`"))
    }

    /// A table within this one.
    pub fn table(
        &mut self,
        key: &'static str,
        findings: &mut Diagnostics,
    ) -> Option<(&'a DeTable<'a>, Range<usize>)> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some((table, value.span())),
            _ => {
                findings.push(wrong_type(
                    self.source,
                    key,
                    value,
                    &format!("a table `[{key}]`"),
                ));
                None
            }
        }
    }

    /// Refuses every field that nobody asked for.
    pub fn finish(self, findings: &mut Diagnostics) {
        for key in self.table.keys() {
            if self.asked.contains(&key.get_ref().as_ref()) {
                continue;
            }
            let finding = Diagnostic::error(
                codes::UNKNOWN_FIELD,
                format!("{} has no field `{}`", self.what, key.get_ref()),
            );
            let mut finding = finding.at(self.source, key.span());
            finding.help = suggestion(key.get_ref(), &self.asked);
            findings.push(finding);
        }
    }
}

/// The finding that a value is of another type than `expected`.
pub(crate) fn wrong_type(
    source: &SourceText,
    key: &str,
    value: &Value<'_>,
    expected: &str,
) -> Diagnostic {
    let article = match value.get_ref() {
        DeValue::Integer(_) | DeValue::Array(_) => "an",
        _ => "a",
    };
    let kind = value.get_ref().type_str();
    Diagnostic::error(codes::WRONG_TYPE, format!("`{key}` has the wrong type"))
        .at(source, value.span())
        .found(format!("{article} {kind}"))
        .expected(expected)
}

/// The table that a value must be.
pub(crate) fn table_of<'a>(
    source: &SourceText,
    key: &str,
    value: &'a Value<'a>,
    expected: &str,
    findings: &mut Diagnostics,
) -> Option<&'a DeTable<'a>> {
    match value.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => {
            findings.push(wrong_type(source, key, value, expected));
            None
        }
    }
}

/// Reads each element of an array. `None` when it is no array, or when `read` refused an element; every wrong one is reported.
pub(crate) fn each<'a, T>(
    source: &SourceText,
    key: &str,
    value: &'a Value<'a>,
    expected: &str,
    findings: &mut Diagnostics,
    mut read: impl FnMut(&'a Value<'a>, &mut Diagnostics) -> Option<T>,
) -> Option<Vec<T>> {
    let Some(elements) = value.get_ref().as_array() else {
        findings.push(wrong_type(source, key, value, expected));
        return None;
    };
    let results: Vec<Option<T>> = elements
        .iter()
        .map(|element| read(element, findings))
        .collect();
    results.into_iter().collect()
}

/// Parses a TOML text. Syntax errors are reported; what could be read is returned all the same.
pub(crate) fn parse<'a>(
    source: &'a SourceText,
    findings: &mut Diagnostics,
) -> Spanned<DeTable<'a>> {
    let (table, errors) = DeTable::parse_recoverable(source.text());
    let mut repeated_until = 0;
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let message = error.message().replace('\n', ", ");
        if span.start < repeated_until {
            continue;
        }
        if let Some(end) = syntax::repeated_table_end(source.text(), span.start, &message) {
            repeated_until = end;
        }
        let help = syntax::help(source.text(), span.clone(), &message);
        findings.push(
            Diagnostic::error(codes::SYNTAX, message)
                .at(source, span)
                .help(help),
        );
    }
    table
}
