//! Every virtual CPU gets the time that its pool promises.

use super::Context;
use crate::admit::admit;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::raw::PoolPolicy;

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let (admission, refusals) = admit(context.system);
    let refusals = refusals.into_iter();
    findings.extend(refusals.map(|(span, finding)| finding.at(context.source, span)));
    for (pool, decided) in context.system.pools.iter().zip(&admission.pools) {
        let (Some(decided), Some(cpus), Some(policy)) = (decided, &pool.cpus, &pool.policy) else {
            continue;
        };
        let idle = cpus.get_ref().len().saturating_sub(decided.cpus.len());
        // Unused pools and dedicated ones have rules of their own.
        if idle == 0 || decided.cpus.is_empty() || *policy.get_ref() == PoolPolicy::Dedicated {
            continue;
        }
        let message = format!(
            "{idle} of the {} CPUs of pool `{}` stay parked",
            cpus.get_ref().len(),
            pool.name.get_ref()
        );
        findings.push(
            Diagnostic::warning(codes::IDLE_CPU, message)
                .at(context.source, cpus.span())
                .help(format!("everything fits CPUs {:?}: remove the others, or spread the virtual CPUs with `affinity`", decided.cpus)),
        );
    }
}
