//! Who is told of a partition's failures may know how it does.

use toml::Spanned;

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let partitions = &context.system.partitions;
    for partition in partitions {
        let Some(own) = partition.name.as_ref().map(Spanned::get_ref) else {
            continue;
        };
        for told in &partition.notify {
            let named = |name: &Spanned<String>| name.get_ref() == told.get_ref();
            let mut others = partitions.iter();
            // One that does not exist is another rule's matter.
            let Some(other) = others.find(|one| one.name.as_ref().is_some_and(named)) else {
                continue;
            };
            let mut rights = other.may_control.iter().chain(&other.may_watch);
            if rights.any(|right| right.get_ref() == own) {
                continue;
            }
            let message = format!(
                "{} may not know how {} does",
                other.title(),
                partition.title()
            );
            findings.push(
                Diagnostic::error(codes::TOLD_WITHOUT_RIGHT, message)
                    .at(context.source, told.span())
                    .found("a partition that is told of failures")
                    .expected(format!("`{own}` in its `may_control` or `may_watch`"))
                    .help(format!(
                        "write `may_watch = [\"{own}\"]` in {}, or take it out of `notify`",
                        other.title()
                    )),
            );
        }
    }
}
