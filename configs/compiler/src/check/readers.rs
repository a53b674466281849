//! Who may read a console reads one of another partition, whose text Bulkhead has.

use toml::Spanned;

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::raw::{RawConsole, RawPartition};

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let partitions = &context.system.partitions;
    for partition in partitions {
        for read in &partition.may_read_console {
            let named = |name: &Spanned<String>| name.get_ref() == read.get_ref();
            let mut others = partitions.iter();
            // One that does not exist is another rule's matter.
            let Some(other) = others.find(|one| one.name.as_ref().is_some_and(named)) else {
                continue;
            };
            let found = if partition.name.as_ref().is_some_and(named) {
                "the partition's own console"
            } else if let Some(found) = without_text(other) {
                found
            } else {
                continue;
            };
            let message = format!(
                "{} cannot read the console of {}",
                partition.title(),
                other.title()
            );
            findings.push(
                Diagnostic::error(codes::NO_TEXT_TO_READ, message)
                    .at(context.source, read.span())
                    .found(found)
                    .expected("another partition with `console = \"virtual\"`")
                    .help("give that one a virtual console, or take it out of `may_read_console`"),
            );
        }
    }
}

/// What a partition has in the place of a virtual console. One that is wrong is another rule's matter.
fn without_text(partition: &RawPartition) -> Option<&'static str> {
    match partition.console.as_ref()?.get_ref() {
        RawConsole::Virtual => None,
        RawConsole::None => Some("a partition without a console"),
        RawConsole::Device(_) => Some("a partition with a UART of its own"),
    }
}
