//! Lists in which an entry counts once have none twice.

use std::collections::BTreeSet;

use toml::Spanned;

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    for partition in &context.system.partitions {
        let title = partition.title();
        if let Some(rights) = &partition.psci {
            report(
                context,
                &format!("`psci` of {title}"),
                rights.get_ref(),
                findings,
            );
        }
        if let Some(start) = &partition.start {
            report(
                context,
                &format!("`start.after` of {title}"),
                &start.after,
                findings,
            );
        }
        for (field, names) in [
            ("may_control", &partition.may_control),
            ("may_watch", &partition.may_watch),
            ("may_read_console", &partition.may_read_console),
            ("notify", &partition.notify),
        ] {
            report(context, &format!("`{field}` of {title}"), names, findings);
        }
        for device in &partition.devices {
            let what = format!("`without` of {}", device.name.get_ref());
            report(context, &what, &device.without, findings);
        }
    }
}

fn report<T: Ord>(
    context: &Context<'_>,
    what: &str,
    entries: &[Spanned<T>],
    findings: &mut Diagnostics,
) {
    let mut seen = BTreeSet::new();
    for entry in entries {
        if !seen.insert(entry.get_ref()) {
            findings.push(
                Diagnostic::error(codes::LISTED_TWICE, format!("{what} lists an entry twice"))
                    .at(context.source, entry.span())
                    .help("remove it, or write the entry that was meant"),
            );
        }
    }
}
