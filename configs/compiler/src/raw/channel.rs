//! `[[channel]]`: memory that partitions share.

use std::ops::Range;

use toml::Spanned;

use super::reader::{Slot, TableReader, Value, each, table_of};
use super::schema::{CHANNEL, END};
use super::values::{address, boolean, one_of, size, string};
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};

/// A channel as it stands.
#[derive(Debug)]
pub(crate) struct RawChannel {
    pub name: Option<Spanned<String>>,
    /// Bytes, not 0.
    pub size: Option<Spanned<u64>>,
    /// Where it lies.
    pub address: Option<Spanned<u64>>,
    /// True when every end maps it as Device memory.
    pub uncached: bool,
    /// `None` when the list is missing or an end is wrong.
    pub ends: Option<Spanned<Vec<RawEnd>>>,
}

impl RawChannel {
    /// How messages call it.
    pub fn title(&self) -> String {
        title(self.name.as_ref())
    }

    /// Its ends; none when they are not known.
    pub fn ends(&self) -> &[RawEnd] {
        self.ends.as_ref().map_or(&[], |ends| ends.get_ref())
    }
}

fn title(name: Option<&Spanned<String>>) -> String {
    name.map_or("channel".to_owned(), |name| {
        format!("channel `{}`", name.get_ref())
    })
}

/// A partition's end of a channel.
#[derive(Debug)]
pub(crate) struct RawEnd {
    pub span: Range<usize>,
    pub partition: Spanned<String>,
    pub access: Access,
    /// Where the partition sees it.
    pub at: Option<Spanned<u64>>,
    /// True when it can be notified.
    pub doorbell: bool,
}

/// What one end may do with the memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Access {
    #[default]
    ReadWrite,
    ReadOnly,
}

pub(super) fn read_channels(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
    findings: &mut Diagnostics,
) -> Vec<RawChannel> {
    let channels = each(source, slot, value, findings, |slot, element, findings| {
        Some(read_channel(source, slot, element, findings))
    });
    channels.into_iter().flatten().flatten().collect()
}

fn read_channel(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
    findings: &mut Diagnostics,
) -> Option<RawChannel> {
    let table = table_of(source, slot, value, findings)?;
    let mut reader = TableReader::new(source, "channel", &CHANNEL, table, value.span());
    let name = reader.required("name", string, findings);
    reader.call(title(name.as_ref()));
    let size = reader.required("size", size, findings);
    let address = reader.optional("address", address, findings);
    let uncached = reader.optional("uncached", boolean, findings);
    let ends = match reader.value("ends") {
        Some((slot, value)) => {
            read_ends(source, slot, value, findings).map(|ends| Spanned::new(value.span(), ends))
        }
        None => {
            reader.report_missing("ends", findings);
            None
        }
    };
    reader.finish(findings);
    Some(RawChannel {
        name,
        size,
        address,
        uncached: uncached.is_some_and(Spanned::into_inner),
        ends,
    })
}

fn read_ends(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
    findings: &mut Diagnostics,
) -> Option<Vec<RawEnd>> {
    each(source, slot, value, findings, |slot, element, findings| {
        let table = table_of(source, slot, element, findings)?;
        let mut reader = TableReader::new(source, "an end", &END, table, element.span());
        let partition = reader.required("partition", string, findings);
        let access = reader.optional("access", access, findings);
        let at = reader.optional("at", address, findings);
        let doorbell = reader.optional("doorbell", boolean, findings);
        reader.finish(findings);
        Some(RawEnd {
            span: element.span(),
            partition: partition?,
            access: access.map_or(Access::default(), Spanned::into_inner),
            at,
            doorbell: doorbell.is_some_and(Spanned::into_inner),
        })
    })
}

fn access(source: &SourceText, slot: Slot, value: &Value<'_>) -> Result<Access, Box<Diagnostic>> {
    let words = [
        ("read-write", Access::ReadWrite),
        ("read-only", Access::ReadOnly),
    ];
    one_of(source, slot, value, &words)
}
