//! Nobody has a virtual console when the UART below it is given away, or the hypervisor has none.

use super::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::raw::{RawConsole, RawHypervisorConsole};

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let Some(board) = context.board else { return };
    let owner = context
        .partitions()
        .find(|(_, resolved)| resolved.owns(board.console.node));
    let chosen = context.system.hypervisor.console.as_ref();
    let silent = chosen.is_some_and(|one| matches!(one.get_ref(), RawHypervisorConsole::None));
    let (why, help) = match owner {
        Some((owner, _)) => (
            format!(
                "{} owns the board's console {}",
                owner.title(),
                board.tree.path(board.console.node)
            ),
            "write `console = \"none\"`, or do not pass the UART through",
        ),
        None if silent => (
            "the hypervisor has no console".to_owned(),
            "write `console = \"none\"` here, too, or give the hypervisor a console",
        ),
        None => return,
    };
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
                .note(why.as_str())
                .help(help),
        );
    }
}
