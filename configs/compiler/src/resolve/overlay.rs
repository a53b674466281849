//! Device-tree overlays that a system file names.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;

use super::Resolver;
use crate::codes;
use crate::devicetree::Tree;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::resources::ResourceError;

/// An overlay, read.
#[derive(Clone, Debug)]
pub(crate) struct LoadedOverlay {
    /// Where the system file names it.
    pub span: Range<usize>,
    pub tree: Tree,
}

impl Resolver<'_> {
    /// Reads an overlay; `owner` is whose tree it is for.
    pub(super) fn overlay(
        &self,
        name: &Spanned<String>,
        owner: &str,
        findings: &mut Diagnostics,
    ) -> Option<LoadedOverlay> {
        let report = |message: String, help: String| {
            Diagnostic::error(codes::OVERLAY_UNAVAILABLE, message)
                .at(self.source, name.span())
                .found(name.get_ref())
                .help(help)
        };
        let bytes = match self
            .resources
            .overlay(Path::new(name.get_ref()), self.folder)
        {
            Ok(bytes) => bytes,
            Err(error) => {
                let help = match &error {
                    ResourceError::Unavailable {
                        help: Some(help), ..
                    } => help.clone(),
                    ResourceError::Unavailable { .. } => {
                        "correct the overlay; what ends in .dtso is compiled by `dtc`".to_owned()
                    }
                    ResourceError::NotFound { .. } => {
                        "check the path: it is relative to the system file".to_owned()
                    }
                };
                let message = format!("the overlay of {owner} cannot be had: {error}");
                findings.push(report(message, help));
                return None;
            }
        };
        match Tree::read(&bytes) {
            Ok(tree) => Some(LoadedOverlay {
                span: name.span(),
                tree,
            }),
            Err(error) => {
                let message = format!("the overlay of {owner} is no device tree: {error}");
                let help = "give a .dtso, or a .dtbo that `dtc` made".to_owned();
                findings.push(report(message, help));
                None
            }
        }
    }
}
