//! The whole pipeline on whole files.

mod address_space;
mod admission;
mod demo;
mod dtc;
mod extended;
mod faults;
mod functions;
mod hostile;
mod images;
mod iommus;
mod ipmmu;
mod messages;
mod one_field;
mod refusals;
mod report;
mod separate;
mod smoke;
mod supply;
mod trees;

use std::path::{Path, PathBuf};

use crate::testing::{FakeResources, unique_path};
use crate::{Compiled, Diagnostics, Proof, compile, prove};

/// The root of the repository.
fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The system files of a folder of the repository, by name.
fn corpus(folder: &str) -> Vec<PathBuf> {
    let folder = repository().join(folder);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let entries = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|kind| kind == "toml"))
        .collect();
    files.sort();
    files
}

/// Compiles a text as a system file of its own.
pub(crate) fn compile_text(text: &str) -> Result<Compiled, Diagnostics> {
    compile_with(text, &FakeResources::new())
}

/// The same with resources of one's own.
fn compile_with(text: &str, resources: &FakeResources) -> Result<Compiled, Diagnostics> {
    with_file(text, |path| compile(path, resources))
}

/// Proves a text as a system file of its own.
pub(crate) fn prove_text(text: &str) -> Result<Proof, Diagnostics> {
    prove_with(text, &FakeResources::new())
}

/// The same with resources of one's own.
fn prove_with(text: &str, resources: &FakeResources) -> Result<Proof, Diagnostics> {
    with_file(text, |path| prove(path, resources))
}

/// Writes a text to a file of its own for as long as `f` runs.
fn with_file<T>(text: &str, f: impl FnOnce(&Path) -> T) -> T {
    let path = unique_path("system.toml");
    std::fs::write(&path, text).unwrap();
    let result = f(&path);
    std::fs::remove_file(&path).unwrap();
    result
}
