//! Limits of restarts belong to the answer `restart`.

use model::partition::FaultPolicy;
use toml::Spanned;

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let answers = context
        .system
        .partitions
        .iter()
        .filter_map(|partition| partition.on_fault.as_ref());
    for answer in answers.map(Spanned::get_ref) {
        if answer.policy == FaultPolicy::Restart {
            continue;
        }
        let limit = answer.limit.as_ref().map(|field| ("limit", field.span()));
        let back_off = answer
            .back_off
            .as_ref()
            .map(|field| ("back_off", field.span()));
        for (name, span) in limit.into_iter().chain(back_off) {
            findings.push(
                Diagnostic::error(
                    codes::RESTART_FIELD,
                    format!("`{name}` means nothing without restarts"),
                )
                .at(context.source, span)
                .help("write `policy = \"restart\"`, or remove the field"),
            );
        }
    }
}
