//! Where things are.

use std::path::{Path, PathBuf};

use anyhow::Context;

/// This checkout.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The checkout that this program was built from, or, when that has moved, the one around the current folder.
    ///
    /// # Errors
    /// Neither exists.
    pub fn find() -> anyhow::Result<Self> {
        let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        let here = std::env::current_dir().context("the current folder is gone")?;
        built_from
            .into_iter()
            .chain(here.ancestors())
            .find(|folder| folder.join("platforms/boards").is_dir())
            .map(|root| Self {
                root: root.to_owned(),
            })
            .context("this is no Bulkhead checkout: no folder above has platforms/boards")
    }

    /// The folder with the workspace's `Cargo.toml`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where cargo builds what is linked into images, whatever the user has set for other builds.
    pub fn cargo_target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// Everything that this tool writes.
    pub fn output(&self) -> PathBuf {
        self.root.join("target/bulkhead")
    }

    /// A board's folder.
    pub fn board(&self, name: &str) -> PathBuf {
        self.root.join("platforms/boards").join(name)
    }

    /// The folder of a board's systems.
    pub fn systems(&self, board: &str) -> PathBuf {
        self.root.join("configs").join(board)
    }

    /// The folder of a board that is a PC.
    pub fn pc(&self, name: &str) -> PathBuf {
        self.root.join("x86-port/boards").join(name)
    }

    /// The workspace of the Rust guests for PCs.
    pub fn pc_guests(&self) -> PathBuf {
        self.root.join("tests/guests-x86")
    }

    /// The workspace of the Rust guests.
    pub fn guests(&self) -> PathBuf {
        self.root.join("tests/guests")
    }

    /// `path` as the user would write it: relative to the current folder where it lies below.
    pub fn shown<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        std::env::current_dir()
            .ok()
            .and_then(|here| path.strip_prefix(here).ok())
            .unwrap_or(path)
            .display()
    }
}
