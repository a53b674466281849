//! Reads one TOML table field by field: each field is asked for by name, and what nobody asked for is refused.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::schema::{Field, Kind, Table};
use super::syntax;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};
use crate::nearest::suggestion;

/// A TOML value with its place.
pub(crate) type Value<'a> = Spanned<DeValue<'a>>;

/// Turns the value of a field into a Rust one, or says what is wrong with it.
pub(crate) type Read<T> = fn(&SourceText, Slot, &Value<'_>) -> Result<T, Box<Diagnostic>>;

/// What a value stands for: a field of the schema, or an element of its array.
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    /// The field's name.
    pub name: &'static str,
    pub kind: &'static Kind,
    /// A value of the field, as TOML.
    pub example: &'static str,
}

impl Slot {
    /// An element of the array.
    pub fn element(self) -> Self {
        let list = match self.kind {
            Kind::OneOf(kinds) => kinds.iter().find(|kind| matches!(kind, Kind::List(_))),
            kind => Some(kind),
        };
        match list {
            Some(Kind::List(of)) => Self { kind: of, ..self },
            _ => self,
        }
    }
}

/// A TOML table that is being read.
pub(crate) struct TableReader<'a> {
    source: &'a SourceText,
    /// How messages call the table: "partition `linux`".
    what: String,
    schema: &'static Table,
    table: &'a DeTable<'a>,
    span: Range<usize>,
    /// Fields that were asked for: all of the schema's, as tests check.
    #[cfg(test)]
    asked: Vec<&'static str>,
}

impl<'a> TableReader<'a> {
    /// Begins to read a table. `span` is what findings about the whole table point to.
    pub fn new(
        source: &'a SourceText,
        what: impl Into<String>,
        schema: &'static Table,
        table: &'a DeTable<'a>,
        span: Range<usize>,
    ) -> Self {
        Self {
            source,
            what: what.into(),
            schema,
            table,
            span,
            #[cfg(test)]
            asked: Vec::new(),
        }
    }

    /// Changes how messages call the table, once its name is known.
    pub fn call(&mut self, what: impl Into<String>) {
        self.what = what.into();
    }

    /// The field of that name. Every field that is asked for is in the schema, as tests check.
    fn field(&mut self, key: &'static str) -> Option<&'static Field> {
        let field = self.schema.field(key);
        #[cfg(test)]
        {
            assert!(
                field.is_some(),
                "{}.{key} is not in the schema",
                self.schema.name
            );
            self.asked.push(key);
        }
        field
    }

    /// True when the table has the field.
    pub fn has(&self, key: &str) -> bool {
        self.table.keys().any(|name| name.get_ref() == key)
    }

    /// The value of a field as it stands.
    pub fn value(&mut self, key: &'static str) -> Option<(Slot, &'a Value<'a>)> {
        let field = self.field(key)?;
        let slot = Slot {
            name: field.name,
            kind: &field.kind,
            example: field.example,
        };
        let table = self.table;
        let value = table.iter().find(|(name, _)| name.get_ref() == key);
        value.map(|(_, value)| (slot, value))
    }

    /// A field that may be missing.
    pub fn optional<T>(
        &mut self,
        key: &'static str,
        read: Read<T>,
        findings: &mut Diagnostics,
    ) -> Option<Spanned<T>> {
        let (slot, value) = self.value(key)?;
        match read(self.source, slot, value) {
            Ok(result) => Some(Spanned::new(value.span(), result)),
            Err(finding) => {
                findings.push(*finding);
                None
            }
        }
    }

    /// A field that must be there.
    pub fn required<T>(
        &mut self,
        key: &'static str,
        read: Read<T>,
        findings: &mut Diagnostics,
    ) -> Option<Spanned<T>> {
        let result = self.optional(key, read, findings);
        if !self.has(key) {
            self.report_missing(key, findings);
        }
        result
    }

    /// Reports that a field is missing.
    pub fn report_missing(&self, key: &str, findings: &mut Diagnostics) {
        // A near miss is reported as an unknown field, which names this one: one fault, one finding.
        let misspelt = |name: &str| {
            !self.schema.fields.iter().any(|field| field.name == name)
                && crate::nearest::nearest(name, [key]).is_some()
        };
        if !self.table.keys().any(|name| misspelt(name.get_ref())) {
            findings.push(self.missing(key));
        }
    }

    /// The finding that a field is missing.
    pub fn missing(&self, key: &str) -> Diagnostic {
        let example = self.schema.field(key).map_or("…", |field| field.example);
        Diagnostic::error(
            codes::MISSING_FIELD,
            format!("{} has no `{key}`", self.what),
        )
        .at(self.source, self.span.clone())
        .help(format!("add `{key}`, for example `{key} = {example}`"))
    }

    /// A table within this one.
    pub fn table(
        &mut self,
        key: &'static str,
        findings: &mut Diagnostics,
    ) -> Option<(&'a DeTable<'a>, Range<usize>)> {
        let (slot, value) = self.value(key)?;
        Some((table_of(self.source, slot, value, findings)?, value.span()))
    }

    /// Refuses every field that the schema does not have.
    pub fn finish(self, findings: &mut Diagnostics) {
        #[cfg(test)]
        for field in self.schema.fields {
            let asked = self.asked.contains(&field.name);
            assert!(asked, "{}.{} is never read", self.schema.name, field.name);
        }
        let known: Vec<&str> = self.schema.fields.iter().map(|field| field.name).collect();
        for key in self.table.keys() {
            if self.schema.field(key.get_ref()).is_some() {
                continue;
            }
            let finding = Diagnostic::error(
                codes::UNKNOWN_FIELD,
                format!("{} has no field `{}`", self.what, key.get_ref()),
            );
            let mut finding = finding.at(self.source, key.span());
            finding.help = suggestion(key.get_ref(), &known);
            findings.push(finding);
        }
    }
}

/// The finding that a value is of another type than its field takes.
pub(crate) fn wrong_type(source: &SourceText, slot: Slot, value: &Value<'_>) -> Diagnostic {
    let article = match value.get_ref() {
        DeValue::Integer(_) | DeValue::Array(_) => "an",
        _ => "a",
    };
    let kind = value.get_ref().type_str();
    Diagnostic::error(
        codes::WRONG_TYPE,
        format!("`{}` has the wrong type", slot.name),
    )
    .at(source, value.span())
    .found(format!("{article} {kind}"))
    .expected(slot.kind.describe())
}

/// The table that a value must be.
pub(crate) fn table_of<'a>(
    source: &SourceText,
    slot: Slot,
    value: &'a Value<'a>,
    findings: &mut Diagnostics,
) -> Option<&'a DeTable<'a>> {
    match value.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => {
            findings.push(wrong_type(source, slot, value));
            None
        }
    }
}

/// Reads each element of an array. `None` when it is no array, or when `read` refused an element; every wrong one is reported.
pub(crate) fn each<'a, T>(
    source: &SourceText,
    slot: Slot,
    value: &'a Value<'a>,
    findings: &mut Diagnostics,
    mut read: impl FnMut(Slot, &'a Value<'a>, &mut Diagnostics) -> Option<T>,
) -> Option<Vec<T>> {
    let Some(elements) = value.get_ref().as_array() else {
        findings.push(wrong_type(source, slot, value));
        return None;
    };
    let results: Vec<Option<T>> = elements
        .iter()
        .map(|element| read(slot.element(), element, findings))
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
