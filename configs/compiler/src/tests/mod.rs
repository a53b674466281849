//! The whole pipeline on whole files.

mod address_space;
mod demo;
mod faults;
mod hostile;
mod images;
mod trees;

use std::path::PathBuf;

use crate::testing::{FakeResources, unique_path};
use crate::{Compiled, Diagnostics, compile};

/// The root of the repository.
fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Compiles a text as a system file of its own.
fn compile_text(text: &str) -> Result<Compiled, Diagnostics> {
    compile_with(text, &FakeResources::new())
}

/// The same with resources of one's own.
fn compile_with(text: &str, resources: &FakeResources) -> Result<Compiled, Diagnostics> {
    let path = unique_path("system.toml");
    std::fs::write(&path, text).unwrap();
    let result = compile(&path, resources);
    std::fs::remove_file(&path).unwrap();
    result
}
