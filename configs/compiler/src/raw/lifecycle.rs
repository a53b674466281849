//! When a partition starts, and what happens when it fails.

use std::ops::Range;

use model::monitor::Class;
use model::partition::FaultPolicy;
use toml::Spanned;
use toml::de::DeValue;

use super::reader::{Slot, TableReader, Value};
use super::schema::{ON_CLASSES, ON_FAULT};
use super::values::{boolean, duration, number, one_of, strings};
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};

/// The answer to a partition's faults.
#[derive(Debug)]
pub(crate) struct RawOnFault {
    pub policy: FaultPolicy,
    /// How many restarts are tried.
    pub limit: Option<Spanned<u32>>,
    /// Nanoseconds before a restart.
    pub back_off: Option<Spanned<u64>>,
    /// What comes instead of one restart too many.
    pub then: Option<Spanned<FaultPolicy>>,
}

/// The answers to single classes of failures.
#[derive(Debug)]
pub(crate) struct RawOn {
    pub span: Range<usize>,
    pub answers: [Option<FaultPolicy>; Class::COUNT],
}

pub(super) fn read_on(
    mut reader: TableReader<'_>,
    span: Range<usize>,
    findings: &mut Diagnostics,
) -> RawOn {
    let mut answers = [None; Class::COUNT];
    for (answer, (_, name)) in answers.iter_mut().zip(ON_CLASSES) {
        *answer = reader
            .optional(name, class_answer, findings)
            .map(Spanned::into_inner);
    }
    reader.finish(findings);
    RawOn { span, answers }
}

fn class_answer(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<FaultPolicy, Box<Diagnostic>> {
    let words = [
        ("ignore", FaultPolicy::Inject),
        ("stop", FaultPolicy::Stop),
        ("restart", FaultPolicy::Restart),
        ("stop-system", FaultPolicy::StopSystem),
    ];
    one_of(source, slot, value, &words)
}

/// When a partition starts.
#[derive(Debug)]
pub(crate) struct RawStart {
    pub span: Range<usize>,
    /// Partitions that start before it.
    pub after: Vec<Spanned<String>>,
    /// Nanoseconds that it starts later.
    pub delay: Option<Spanned<u64>>,
    /// False when it waits until it is asked for.
    pub automatic: bool,
    /// Where that is said.
    pub automatic_span: Option<Range<usize>>,
}

pub(super) fn read_on_fault(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
    findings: &mut Diagnostics,
) -> Option<RawOnFault> {
    let DeValue::Table(table) = value.get_ref() else {
        return match fault_policy(source, slot, value) {
            Ok(policy) => Some(RawOnFault {
                policy,
                limit: None,
                back_off: None,
                then: None,
            }),
            Err(finding) => {
                findings.push(*finding);
                None
            }
        };
    };
    let mut reader = TableReader::new(source, "`on_fault`", &ON_FAULT, table, value.span());
    let policy = reader.required("policy", fault_policy, findings);
    let limit = reader.optional("limit", number, findings);
    let back_off = reader.optional("back_off", duration, findings);
    let then = reader.optional("then", at_limit, findings);
    reader.finish(findings);
    Some(RawOnFault {
        policy: policy?.into_inner(),
        limit,
        back_off,
        then,
    })
}

fn at_limit(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<FaultPolicy, Box<Diagnostic>> {
    let words = [
        ("stop", FaultPolicy::Stop),
        ("stop-system", FaultPolicy::StopSystem),
    ];
    one_of(source, slot, value, &words)
}

fn fault_policy(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<FaultPolicy, Box<Diagnostic>> {
    let words = [
        ("inject", FaultPolicy::Inject),
        ("stop", FaultPolicy::Stop),
        ("restart", FaultPolicy::Restart),
        ("stop-system", FaultPolicy::StopSystem),
    ];
    one_of(source, slot, value, &words)
}

pub(super) fn read_start(
    mut reader: TableReader<'_>,
    span: Range<usize>,
    findings: &mut Diagnostics,
) -> RawStart {
    let after = reader.optional("after", strings, findings);
    let delay = reader.optional("delay", duration, findings);
    let automatic = reader.optional("automatic", boolean, findings);
    reader.finish(findings);
    RawStart {
        span,
        after: after.map_or(Vec::new(), Spanned::into_inner),
        delay,
        automatic_span: automatic.as_ref().map(Spanned::span),
        automatic: automatic.is_none_or(Spanned::into_inner),
    }
}
