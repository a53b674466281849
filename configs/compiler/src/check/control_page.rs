//! Who has a page of calls has something to call for.

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    for partition in &context.system.partitions {
        let Some(page) = partition.control_page.as_ref().filter(|one| *one.get_ref()) else {
            continue;
        };
        if partition.may_control.is_empty()
            && partition.may_watch.is_empty()
            && partition.may_read_console.is_empty()
            && partition.watchdog.is_none()
        {
            let message = format!("{} has nothing to call for", partition.title());
            findings.push(
                Diagnostic::error(codes::PAGE_WITHOUT_RIGHT, message)
                    .at(context.source, page.span())
                    .expected(
                        "`may_control`, `may_watch`, `may_read_console` or `watchdog` beside it",
                    )
                    .help("say what it may do, or remove `control_page`"),
            );
        }
    }
}
