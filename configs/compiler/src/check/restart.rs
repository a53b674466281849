//! Limits of restarts belong to the answer `restart`.

use model::partition::FaultPolicy;
use toml::Spanned;

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    for partition in &context.system.partitions {
        let Some(answer) = partition.on_fault.as_ref().map(Spanned::get_ref) else {
            continue;
        };
        let classes = partition.on.as_ref().map(|on| on.answers);
        let of_class = classes.into_iter().flatten().flatten();
        let restarts = of_class
            .chain([answer.policy])
            .any(|one| one == FaultPolicy::Restart);
        let then = answer.then.as_ref().map(|field| ("then", field.span()));
        let (fields, missing, help): (Vec<_>, _, _) = if !restarts {
            let limit = answer.limit.as_ref().map(|field| ("limit", field.span()));
            let back_off = answer.back_off.as_ref();
            let back_off = back_off.map(|field| ("back_off", field.span()));
            let fields = [limit, back_off, then].into_iter().flatten().collect();
            (
                fields,
                "restarts",
                "write `policy = \"restart\"`, or remove the field",
            )
        } else if answer.limit.is_none() {
            (
                then.into_iter().collect(),
                "a limit",
                "write a `limit`, or remove the field",
            )
        } else {
            continue;
        };
        for (name, span) in fields {
            findings.push(
                Diagnostic::error(
                    codes::RESTART_FIELD,
                    format!("`{name}` means nothing without {missing}"),
                )
                .at(context.source, span)
                .help(help),
            );
        }
    }
}
