//! What has an answer is watched.

use model::monitor::Class;
use toml::Spanned;

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::raw::{PoolPolicy, RawPartition};

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    for partition in &context.system.partitions {
        let Some(on) = &partition.on else { continue };
        let has_answer = |class: Class| matches!(on.answers.get(class as usize), Some(Some(_)));
        for (class, field, is_watched, needs) in [
            (
                Class::Watchdog,
                "watchdog",
                partition.watchdog.is_some(),
                "`watchdog` of the partition",
            ),
            (
                Class::InterruptStorm,
                "interrupt_storm",
                partition.interrupt_limit.is_some(),
                "`interrupt_limit` of the partition",
            ),
            (
                Class::MissedBudget,
                "missed_budget",
                has_promised_time(context, partition),
                "a pool with the policy \"rtds\" or \"cyclic\"",
            ),
        ] {
            if is_watched || !has_answer(class) {
                continue;
            }
            let message = format!("`{field}` of {} would never happen", partition.title());
            findings.push(
                Diagnostic::error(codes::NEVER_HAPPENS, message)
                    .at(context.source, on.span.clone())
                    .expected(needs)
                    .help(format!("write that, or take `{field}` out of `on`")),
            );
        }
    }
}

/// True when one of its virtual CPUs may be in a pool that promises time; a pool that is not known may be one.
fn has_promised_time(context: &Context<'_>, partition: &RawPartition) -> bool {
    let mut pools = partition.pools().into_iter();
    pools.any(|name| {
        let mut all = context.system.pools.iter();
        let pool = all.find(|pool| pool.name.get_ref() == name.get_ref());
        let policy = pool.and_then(|pool| pool.policy.as_ref());
        policy.map(Spanned::get_ref) != Some(&PoolPolicy::Dedicated)
    })
}
