//! Each virtual CPU says when it runs in the way of its pool's policy, and in no other way.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::raw::quantity::human_time;
use crate::raw::{PoolPolicy, RawPartition, RawVcpu};

/// A field that suits no virtual CPU for which it stands.
struct Strange {
    span: Range<usize>,
    name: &'static str,
    /// The pool's policy, and the one that the field belongs to.
    has: PoolPolicy,
    wants: PoolPolicy,
}

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    frames(context, findings);
    for partition in &context.system.partitions {
        for field in strange(context, partition) {
            let (name, has) = (field.name, field.has.word());
            let message = format!("`{name}` means nothing in a pool with the policy \"{has}\"");
            findings.push(
                Diagnostic::error(codes::FIELD_OF_OTHER_POLICY, message)
                    .at(context.source, field.span)
                    .help(format!(
                        "remove it, or give the pool `policy = \"{}\"`",
                        field.wants.word()
                    )),
            );
        }
        missing(context, partition, findings);
    }
}

/// Fields of other policies. What a partition says for all of its virtual CPUs is one place, which is wrong when it suits none.
fn strange(context: &Context<'_>, partition: &RawPartition) -> Vec<Strange> {
    let mut strange: BTreeMap<usize, Strange> = BTreeMap::new();
    let mut suits: Vec<usize> = Vec::new();
    for vcpu in &partition.vcpus {
        let Some(has) = policy_of(context, vcpu) else {
            continue;
        };
        for (name, span, wants) in times(vcpu) {
            let Some(span) = span else { continue };
            if has == wants {
                suits.push(span.start);
            }
            strange.insert(
                span.start,
                Strange {
                    span,
                    name,
                    has,
                    wants,
                },
            );
        }
    }
    strange.retain(|start, _| !suits.contains(start));
    strange.into_values().collect()
}

/// `major_frame` is there in cyclic pools and nowhere else, `switch_cost`, `placement` and `mixed_cpus` in rtds pools at most.
fn frames(context: &Context<'_>, findings: &mut Diagnostics) {
    for pool in &context.system.pools {
        let Some(policy) = &pool.policy else { continue };
        let name = pool.name.get_ref();
        match (&pool.major_frame, policy.get_ref()) {
            (None, PoolPolicy::Cyclic) => findings.push(
                Diagnostic::error(
                    codes::SCHEDULE_MISSING,
                    format!("pool `{name}` has no `major_frame`"),
                )
                .at(context.source, policy.span())
                .help("say when its windows come again: `major_frame = \"10ms\"`"),
            ),
            (Some(frame), PoolPolicy::Dedicated | PoolPolicy::Rtds) => findings.push(
                Diagnostic::error(
                    codes::FIELD_OF_OTHER_POLICY,
                    format!(
                        "`major_frame` means nothing in a pool with the policy \"{}\"",
                        policy.get_ref().word()
                    ),
                )
                .at(context.source, frame.span())
                .help("remove it, or give the pool `policy = \"cyclic\"`"),
            ),
            _ => {}
        }
        let of_rtds = [
            ("mixed_cpus", pool.mixed_cpus.as_ref().map(Spanned::span)),
            ("switch_cost", pool.switch_cost.as_ref().map(Spanned::span)),
            ("placement", pool.placement.as_ref().map(Spanned::span)),
        ];
        let given = of_rtds
            .into_iter()
            .filter(|_| *policy.get_ref() != PoolPolicy::Rtds);
        for (field, span) in given.filter_map(|(field, span)| Some((field, span?))) {
            findings.push(
                Diagnostic::error(
                    codes::FIELD_OF_OTHER_POLICY,
                    format!(
                        "`{field}` means nothing in a pool with the policy \"{}\"",
                        policy.get_ref().word()
                    ),
                )
                .at(context.source, span)
                .help("remove it, or give the pool `policy = \"rtds\"`"),
            );
        }
    }
}

fn policy_of(context: &Context<'_>, vcpu: &RawVcpu) -> Option<PoolPolicy> {
    let name = vcpu.pool.as_ref()?.get_ref();
    let mut pools = context.system.pools.iter();
    let pool = pools.find(|pool| pool.name.get_ref() == name)?;
    pool.policy.as_ref().map(|policy| *policy.get_ref())
}

/// The fields that say when a virtual CPU runs, each with its place and the policy that it belongs to.
fn times(vcpu: &RawVcpu) -> [(&'static str, Option<Range<usize>>, PoolPolicy); 5] {
    [
        (
            "period",
            vcpu.period.as_ref().map(Spanned::span),
            PoolPolicy::Rtds,
        ),
        (
            "budget",
            vcpu.budget.as_ref().map(Spanned::span),
            PoolPolicy::Rtds,
        ),
        (
            "extra_time",
            vcpu.extra_time.as_ref().map(Spanned::span),
            PoolPolicy::Rtds,
        ),
        (
            "priority",
            vcpu.priority.as_ref().map(Spanned::span),
            PoolPolicy::Rtds,
        ),
        (
            "windows",
            vcpu.windows.as_ref().map(Spanned::span),
            PoolPolicy::Cyclic,
        ),
    ]
}

/// What a virtual CPU must say and does not. A field that is there and wrong is reported where it is read.
fn missing(context: &Context<'_>, partition: &RawPartition, findings: &mut Diagnostics) {
    let mut places: Vec<(usize, &str)> = Vec::new();
    for vcpu in &partition.vcpus {
        let needed: &[(&str, bool, &str)] = match policy_of(context, vcpu) {
            Some(PoolPolicy::Rtds) => &[
                ("period", vcpu.period.is_none(), "period = \"10ms\""),
                ("budget", vcpu.budget.is_none(), "budget = \"4ms\""),
            ],
            Some(PoolPolicy::Cyclic) => &[(
                "windows",
                vcpu.windows.is_none(),
                "windows = [{ start = \"0ms\", length = \"2ms\" }]",
            )],
            _ => &[],
        };
        for (name, _, example) in needed.iter().filter(|(_, missing, _)| *missing) {
            // Several that are counted by one number lack the same field once.
            if vcpu.wrong || places.contains(&(vcpu.span.start, name)) {
                continue;
            }
            places.push((vcpu.span.start, name));
            let message = format!("a virtual CPU of {} has no `{name}`", partition.title());
            findings.push(
                Diagnostic::error(codes::SCHEDULE_MISSING, message)
                    .at(context.source, vcpu.span.clone())
                    .help(format!("add `{example}`: its pool's policy needs it")),
            );
        }
        budget(context, vcpu, &mut places, findings);
    }
}

/// A budget is at most its period.
fn budget(
    context: &Context<'_>,
    vcpu: &RawVcpu,
    places: &mut Vec<(usize, &str)>,
    findings: &mut Diagnostics,
) {
    let (Some(period), Some(budget)) = (&vcpu.period, &vcpu.budget) else {
        return;
    };
    let place = (budget.span().start, "");
    if budget.get_ref() <= period.get_ref() || places.contains(&place) {
        return;
    }
    places.push(place);
    let [longer, shorter] = [budget, period].map(|time| human_time(*time.get_ref()));
    findings.push(
        Diagnostic::error(codes::BUDGET_TOO_LARGE, "`budget` is longer than `period`")
            .at(context.source, budget.span())
            .found(format!("{longer} in each {shorter}"))
            .help("a virtual CPU cannot run longer than the time that passes; lower the budget"),
    );
}
