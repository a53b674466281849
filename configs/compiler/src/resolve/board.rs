//! The system's board: its tree with the system's overlays, and the console that the system chooses.

use std::ops::Range;

use toml::Spanned;

use super::Resolver;
use crate::board::{Board, BoardError, read_board_toml};
use crate::codes;
use crate::devicetree::Tree;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::nearest::{nearest, suggestion};
use crate::raw::{RawHypervisorConsole, RawSystem};
use crate::resources::ResourceError;

impl Resolver<'_> {
    /// The system's board.
    pub fn board(&self, system: &RawSystem, findings: &mut Diagnostics) -> Option<Board> {
        let name = system.board.as_ref()?;
        let report =
            |code, message: String| Diagnostic::error(code, message).at(self.source, name.span());
        let files = match self.resources.board(name.get_ref()) {
            Ok(files) => files,
            Err(ResourceError::NotFound { .. }) => {
                let known = self.resources.boards();
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                let mut finding = report(
                    codes::UNKNOWN_BOARD,
                    format!("there is no board `{}`", name.get_ref()),
                );
                finding.help = suggestion(name.get_ref(), &known);
                findings.push(finding);
                return None;
            }
            Err(ResourceError::Unavailable { reason, help }) => {
                let mut finding = report(
                    codes::BOARD_UNAVAILABLE,
                    format!("board `{}` cannot be had: {reason}", name.get_ref()),
                );
                finding.help = help;
                findings.push(finding);
                return None;
            }
        };
        let file = match read_board_toml(&files.board_toml, &files.path) {
            Ok(file) => file,
            Err(more) => {
                findings.extend(more);
                return None;
            }
        };
        if file.name != *name.get_ref() {
            let message = format!(
                "board `{}` calls itself `{}` in board.toml",
                name.get_ref(),
                file.name
            );
            let finding = report(codes::BOARD_UNAVAILABLE, message).in_file(&files.path);
            findings.push(finding.help("give the folder and `name` in board.toml the same name"));
            return None;
        }
        let unusable = |error: BoardError, findings: &mut Diagnostics| {
            let message = format!("board `{}` cannot be used: {error}", name.get_ref());
            let finding = report(error.code(), message).in_file(&files.path);
            findings.push(finding.help(error.help()));
        };
        let mut tree = match Tree::read(&files.tree) {
            Ok(tree) => tree,
            Err(error) => {
                unusable(error.into(), findings);
                return None;
            }
        };
        for overlay in &system.overlays {
            self.apply(overlay, &mut tree, findings)?;
        }
        let mut board = match Board::from_tree(file, tree) {
            Ok(board) => board,
            Err(errors) => {
                for error in errors {
                    unusable(error, findings);
                }
                return None;
            }
        };
        self.console(system, &mut board, findings)?;
        Some(board)
    }

    /// Applies one of the system's overlays to its board's tree. `None` when that is impossible.
    fn apply(
        &self,
        name: &Spanned<String>,
        tree: &mut Tree,
        findings: &mut Diagnostics,
    ) -> Option<()> {
        let overlay = self.overlay(name, "the board", findings)?;
        if let Err(error) = tree.apply(&overlay.tree) {
            let message = format!(
                "overlay `{}` does not fit the board's device tree",
                name.get_ref()
            );
            findings.push(
                Diagnostic::error(codes::BAD_OVERLAY, message)
                    .at(self.source, name.span())
                    .found(error.to_string())
                    .help("correct the overlay; labels work in trees and overlays that `dtc -@` compiled"),
            );
            return None;
        }
        Some(())
    }

    /// Lets the hypervisor have the console that the system file names. `None` when that is impossible.
    fn console(
        &self,
        system: &RawSystem,
        board: &mut Board,
        findings: &mut Diagnostics,
    ) -> Option<()> {
        let Some(console) = &system.hypervisor.console else {
            return Some(());
        };
        let RawHypervisorConsole::Device(name) = console.get_ref() else {
            return Some(());
        };
        let Some(node) = board.device_node(name) else {
            findings.push(self.unknown_device(name, console.span(), board));
            return None;
        };
        if let Err(error) = board.use_console(node) {
            let message = format!("`{name}` cannot be the hypervisor's console: {error}");
            findings.push(
                Diagnostic::error(error.code(), message)
                    .at(self.source, console.span())
                    .help("name a serial port of the board"),
            );
            return None;
        }
        Some(())
    }

    /// The finding that the board has no device of that name.
    pub(super) fn unknown_device(
        &self,
        name: &str,
        span: Range<usize>,
        board: &Board,
    ) -> Diagnostic {
        let names = board.device_names();
        let message = format!("the board has no device `{name}`");
        let finding = Diagnostic::error(codes::UNKNOWN_DEVICE, message).at(self.source, span);
        match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => finding.help(format!("did you mean `{near}`?")),
            None => finding.help("name it by label, alias or full path in the board's device tree"),
        }
    }
}
