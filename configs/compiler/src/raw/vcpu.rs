//! `vcpus` of a partition: a number, or a table for each virtual CPU.

use std::ops::Range;

use model::partition::MOST_VCPUS;
use toml::Spanned;
use toml::de::DeValue;

use super::reader::{Slot, TableReader, Value, each, table_of};
use super::schema::{VCPU, WINDOW};
use super::values::{boolean, duration, number, numbers, string};
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};

/// A virtual CPU as it stands. What only the partition says is filled in.
#[derive(Clone, Debug)]
pub(crate) struct RawVcpu {
    /// Its table, or the number that it is counted by.
    pub span: Range<usize>,
    pub pool: Option<Spanned<String>>,
    /// Physical CPUs on which it may run; all of its pool when it is missing.
    pub affinity: Option<Spanned<Vec<Spanned<u32>>>>,
    /// Nanoseconds.
    pub period: Option<Spanned<u64>>,
    /// Nanoseconds.
    pub budget: Option<Spanned<u64>>,
    pub extra_time: Option<Spanned<bool>>,
    pub priority: Option<Spanned<u32>>,
    pub windows: Option<Spanned<Vec<RawWindow>>>,
    /// True when one of these fields was reported as wrong: what is missing is not known then.
    pub wrong: bool,
}

/// Part of a cyclic pool's frame.
#[derive(Clone, Debug)]
pub(crate) struct RawWindow {
    pub span: Range<usize>,
    /// Nanoseconds from the frame's start.
    pub start: Spanned<u64>,
    /// Nanoseconds.
    pub length: Spanned<u64>,
}

/// Reads the fields that a partition and a virtual CPU have in common.
pub(super) fn read_common(
    source: &SourceText,
    reader: &mut TableReader<'_>,
    span: Range<usize>,
    findings: &mut Diagnostics,
) -> RawVcpu {
    let before = findings.len();
    let vcpu = RawVcpu {
        span,
        pool: reader.optional("pool", string, findings),
        affinity: reader.optional("affinity", numbers, findings),
        period: reader.optional("period", duration, findings),
        budget: reader.optional("budget", duration, findings),
        extra_time: reader.optional("extra_time", boolean, findings),
        priority: reader.optional("priority", number, findings),
        windows: reader.value("windows").and_then(|(slot, value)| {
            let windows = read_windows(source, slot, value, findings)?;
            Some(Spanned::new(value.span(), windows))
        }),
        wrong: false,
    };
    RawVcpu {
        wrong: findings.len() > before,
        ..vcpu
    }
}

/// The virtual CPUs of the partition that messages call `title`, with what is `common` to them. Empty when the field is wrong.
/// There are at most [`MOST_VCPUS`], whatever number the file says.
pub(super) fn read_vcpus(
    source: &SourceText,
    title: &str,
    slot: Slot,
    value: &Value<'_>,
    common: &RawVcpu,
    findings: &mut Diagnostics,
) -> Vec<RawVcpu> {
    let (number, vcpus) = if matches!(value.get_ref(), DeValue::Array(_)) {
        let read = |slot, element: &Value<'_>, findings: &mut Diagnostics| {
            read_vcpu(source, slot, element, common, findings)
        };
        let Some(vcpus) = each(source, slot, value, findings, read) else {
            return Vec::new();
        };
        (vcpus.len(), vcpus)
    } else {
        let number = match number(source, slot, value) {
            Ok(number) => number as usize,
            Err(finding) => {
                findings.push(*finding);
                return Vec::new();
            }
        };
        let one = RawVcpu {
            span: value.span(),
            ..common.clone()
        };
        (number, vec![one; number.min(MOST_VCPUS)])
    };
    if number == 0 {
        let message = format!("{title} has no virtual CPU");
        findings.push(
            Diagnostic::error(codes::NO_VCPUS, message)
                .at(source, value.span())
                .expected("at least 1"),
        );
    }
    if number > MOST_VCPUS {
        let message = format!("{title} has too many virtual CPUs");
        findings.push(
            Diagnostic::error(codes::PARTITION_TOO_WIDE, message)
                .at(source, value.span())
                .found(number.to_string())
                .expected(format!(
                    "at most {MOST_VCPUS}: the virtual interrupt controller addresses no more"
                ))
                .help("split it into several partitions"),
        );
        return Vec::new();
    }
    vcpus
}

fn read_vcpu(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
    common: &RawVcpu,
    findings: &mut Diagnostics,
) -> Option<RawVcpu> {
    let table = table_of(source, slot, value, findings)?;
    let mut reader = TableReader::new(source, "a virtual CPU", &VCPU, table, value.span());
    let own = read_common(source, &mut reader, value.span(), findings);
    reader.finish(findings);
    let common = common.clone();
    Some(RawVcpu {
        span: own.span,
        pool: own.pool.or(common.pool),
        affinity: own.affinity.or(common.affinity),
        period: own.period.or(common.period),
        budget: own.budget.or(common.budget),
        extra_time: own.extra_time.or(common.extra_time),
        priority: own.priority.or(common.priority),
        windows: own.windows.or(common.windows),
        wrong: own.wrong || common.wrong,
    })
}

fn read_windows(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
    findings: &mut Diagnostics,
) -> Option<Vec<RawWindow>> {
    each(source, slot, value, findings, |slot, element, findings| {
        let table = table_of(source, slot, element, findings)?;
        let mut reader = TableReader::new(source, "a window", &WINDOW, table, element.span());
        let start = reader.required("start", duration, findings);
        let length = reader.required("length", duration, findings);
        reader.finish(findings);
        Some(RawWindow {
            span: element.span(),
            start: start?,
            length: length?,
        })
    })
}
