//! `[cpu_policies.<name>]`: what partitions are shown of a PC's CPUs.

use model::x86::cpu::{CpuPolicy, FEATURES, Feature, feature};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reader::{Slot, TableReader, Value, wrong_type};
use super::schema::CPU_POLICY;
use super::values::array;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};
use crate::nearest::nearest;

/// A policy as it stands.
#[derive(Debug)]
pub(crate) struct RawCpuPolicy {
    pub name: Spanned<String>,
    /// `None` when it is missing or was reported as wrong.
    pub hide: Option<Spanned<Vec<Spanned<&'static Feature>>>>,
}

impl RawCpuPolicy {
    /// What it comes to.
    pub fn policy(&self) -> CpuPolicy {
        let hidden = self.hide.iter().flat_map(|hide| hide.get_ref());
        hidden.fold(CpuPolicy::FULL, |policy, one| policy.without(one.get_ref()))
    }
}

pub(super) fn read_cpu_policies(
    source: &SourceText,
    slot: Slot,
    table: &DeTable<'_>,
    findings: &mut Diagnostics,
) -> Vec<RawCpuPolicy> {
    let mut policies = Vec::new();
    for (name, value) in table {
        let DeValue::Table(fields) = value.get_ref() else {
            findings.push(wrong_type(source, slot, value));
            continue;
        };
        let what = format!("CPU policy `{}`", name.get_ref());
        let mut reader = TableReader::new(source, what, &CPU_POLICY, fields, value.span());
        policies.push(RawCpuPolicy {
            name: Spanned::new(name.span(), name.get_ref().to_string()),
            hide: reader.required("hide", features, findings),
        });
        reader.finish(findings);
    }
    policies.sort_by_key(|policy| policy.name.span().start);
    policies
}

fn features(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<Vec<Spanned<&'static Feature>>, Box<Diagnostic>> {
    array(source, slot, value, one)
}

fn one(
    source: &SourceText,
    slot: Slot,
    value: &Value<'_>,
) -> Result<&'static Feature, Box<Diagnostic>> {
    let Some(text) = value.get_ref().as_str() else {
        return Err(wrong_type(source, slot, value).into());
    };
    feature(text).ok_or_else(|| {
        let message = format!("no feature that can be hidden is called \"{text}\"");
        let finding = Diagnostic::error(codes::UNKNOWN_VALUE, message).at(source, value.span());
        let near = nearest(text, FEATURES.iter().map(|feature| feature.name));
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "docs/x86.md lists the features".to_owned(),
        };
        Box::new(finding.help(help))
    })
}
