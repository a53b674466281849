//! Nobody has a virtual console when the UART below it is given away.

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::raw::RawConsole;

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let Some(board) = context.board else { return };
    let owner = context
        .partitions()
        .find(|(_, resolved)| resolved.owns(board.console.node));
    let Some((owner, _)) = owner else { return };
    for partition in &context.system.partitions {
        let Some(console) = partition
            .console
            .as_ref()
            .filter(|one| matches!(one.get_ref(), RawConsole::Virtual))
        else {
            continue;
        };
        let message = format!("{} cannot have a virtual console", partition.title());
        findings.push(
            Diagnostic::error(codes::CONSOLE_CONFLICT, message)
                .at(context.source, console.span())
                .note(format!(
                    "{} owns the board's console {}",
                    owner.title(),
                    board.tree.path(board.console.node)
                ))
                .help("write `console = \"none\"`, or do not pass the UART through"),
        );
    }
}
