//! Other projects' configurations, turned into system files. What has no counterpart is a note, and a comment where it belongs.

mod xen;

use std::fmt::{self, Display};

pub use xen::xen;

/// An imported configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The text of a system file.
    pub toml: String,
    /// What a human must look at, in the order of the file.
    pub notes: Vec<Note>,
}

/// Something that could not be taken over as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Path of the node that it is about.
    pub node: String,
    /// What was found there.
    pub found: String,
    /// What to do.
    pub advice: String,
}

impl Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.node, self.found, self.advice)
    }
}

/// What the tree itself does not tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// The board; without it QEMU's boards are recognised, and others named by the tree's `compatible`.
    pub board: Option<&'a str>,
    /// Files that the boot loader puts into memory.
    pub modules: &'a [Module],
}

/// A file that the boot loader puts into memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Physical address where it goes.
    pub address: u64,
    /// Its path, as the system file shall name it.
    pub path: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// Why nothing could be imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// It is no device tree, or a property that matters is malformed.
    #[error("the device tree cannot be read: {0}")]
    Tree(String),
    /// There is nothing to import.
    #[error(
        "the device tree's `/chosen` describes no domain: no node with `compatible = \"xen,domain\"` and no kernel module"
    )]
    NoDomain,
}

impl From<crate::devicetree::TreeError> for ImportError {
    fn from(error: crate::devicetree::TreeError) -> Self {
        Self::Tree(error.to_string())
    }
}
