//! `[pools.<name>]`: physical CPUs with one scheduling policy.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reader::{Slot, TableReader, Value, wrong_type};
use super::schema::POOL;
use super::values::{boolean, duration, numbers, one_of};
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};
use crate::nearest::nearest;

/// A pool as it stands.
#[derive(Debug)]
pub(crate) struct RawPool {
    pub name: Spanned<String>,
    pub policy: Option<Spanned<PoolPolicy>>,
    pub cpus: Option<Spanned<Vec<Spanned<u32>>>>,
    /// Nanoseconds after which the windows of a cyclic pool come again.
    pub major_frame: Option<Spanned<u64>>,
    /// Nanoseconds that a physical CPU of an rtds pool loses around each budget.
    pub switch_cost: Option<Spanned<u64>>,
    /// Whether the virtual CPUs of an rtds pool move between its CPUs.
    pub placement: Option<Spanned<Placement>>,
    /// Whether they may do so between CPUs of different types.
    pub mixed_cpus: Option<Spanned<bool>>,
}

impl RawPool {
    /// True when the file says that its virtual CPUs may move between CPUs of different types.
    pub fn allows_mixed_cpus(&self) -> bool {
        self.mixed_cpus
            .as_ref()
            .is_some_and(|mixed| *mixed.get_ref())
    }

    /// True when its virtual CPUs move between its CPUs.
    pub fn is_global(&self) -> bool {
        let placement = self.placement.as_ref().map(Spanned::get_ref);
        placement == Some(&Placement::Global)
    }
}

/// On how many CPUs a virtual CPU of an rtds pool runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// On one, which admission chooses.
    Partitioned,
    /// On any of its affinity.
    Global,
}

/// How the CPUs of a pool are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PoolPolicy {
    /// Each virtual CPU owns a physical one.
    Dedicated,
    /// Each virtual CPU gets its budget in each of its periods.
    Rtds,
    /// Each virtual CPU runs in windows of a frame that repeats.
    Cyclic,
}

impl PoolPolicy {
    const WORDS: [(&str, Self); 3] = [
        ("dedicated", Self::Dedicated),
        ("rtds", Self::Rtds),
        ("cyclic", Self::Cyclic),
    ];

    /// The word of the system file for it.
    pub fn word(self) -> &'static str {
        let known = Self::WORDS.iter().find(|(_, policy)| *policy == self);
        known.map_or("", |(word, _)| word)
    }
}

pub(super) fn read_pools(
    source: &SourceText,
    slot: Slot,
    table: &DeTable<'_>,
    findings: &mut Diagnostics,
) -> Vec<RawPool> {
    let mut pools = Vec::new();
    for (name, value) in table {
        let DeValue::Table(fields) = value.get_ref() else {
            findings.push(wrong_type(source, slot, value));
            continue;
        };
        let what = format!("pool `{}`", name.get_ref());
        let mut reader = TableReader::new(source, what, &POOL, fields, value.span());
        pools.push(RawPool {
            name: Spanned::new(name.span(), name.get_ref().to_string()),
            cpus: reader.required("cpus", numbers, findings),
            policy: reader.required("policy", policy, findings),
            major_frame: reader.optional("major_frame", duration, findings),
            switch_cost: reader.optional("switch_cost", duration, findings),
            placement: reader.optional("placement", placement, findings),
            mixed_cpus: reader.optional("mixed_cpus", boolean, findings),
        });
        reader.finish(findings);
    }
    pools.sort_by_key(|pool| pool.name.span().start);
    pools
}

fn placement(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<Placement, Box<Diagnostic>> {
    let words = [
        ("partitioned", Placement::Partitioned),
        ("global", Placement::Global),
    ];
    one_of(source, slot, value, &words)
}

fn policy(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<PoolPolicy, Box<Diagnostic>> {
    let Some(text) = value.get_ref().as_str() else {
        return Err(wrong_type(source, slot, value).into());
    };
    if let Some((_, policy)) = PoolPolicy::WORDS.iter().find(|(word, _)| *word == text) {
        return Ok(*policy);
    }
    let message = format!("there is no policy \"{text}\"");
    let mut finding = Diagnostic::error(codes::UNKNOWN_POLICY, message)
        .at(source, value.span())
        .expected(slot.kind.describe());
    if let Some(near) = nearest(text, PoolPolicy::WORDS.map(|(word, _)| word)) {
        finding = finding.help(format!("did you mean `{near}`?"));
    }
    Err(finding.into())
}
