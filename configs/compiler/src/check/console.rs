//! Nobody has a virtual console when the UART below it is given away.

use toml::Spanned;

use super::Context;
use crate::board::UartKind;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::raw::RawConsole;

pub(super) fn check(context: &Context<'_>, findings: &mut Diagnostics) {
    let Some(board) = context.board else { return };
    if board.console.kind != UartKind::Pl011 {
        let span = context.system.board.as_ref().map_or(0..0, Spanned::span);
        let (path, kind) = (
            board.tree.path(board.console.node),
            board.console.kind.name(),
        );
        findings.push(
            Diagnostic::error(
                codes::NO_CONSOLE,
                format!("the console {path} cannot be driven"),
            )
            .at(context.source, span)
            .found(format!(
                "{kind}: {}",
                board
                    .tree
                    .strings(board.console.node, "compatible")
                    .join(", ")
            ))
            .expected("a PL011")
            .help("let `/chosen/stdout-path` name a PL011 of the board"),
        );
    }
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
