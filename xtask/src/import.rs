//! `cargo xtask import`: another project's configuration, turned into a system file.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use compiler::import::{Module, Options, xen};

/// What the user asked for.
pub struct Request {
    /// The device tree that Xen is booted with, as `.dtb`.
    pub tree: PathBuf,
    /// The board, when it is known.
    pub board: Option<String>,
    /// Files that the boot loader puts into memory: `ADDRESS=FILE`.
    pub modules: Vec<String>,
    /// Where the system file goes; standard output without it.
    pub output: Option<PathBuf>,
}

/// Imports a Xen dom0less configuration. What needs a human goes to standard error.
///
/// # Errors
/// A file cannot be read or written, the output exists already, or the tree has nothing to import.
pub fn run(request: &Request) -> anyhow::Result<u8> {
    let tree = read(&request.tree)?;
    let modules = request.modules.iter().map(|text| module(text));
    let modules = modules.collect::<anyhow::Result<Vec<Module>>>()?;
    let options = Options {
        board: request.board.as_deref(),
        modules: &modules,
    };
    let import = xen(&tree, &options).with_context(|| request.tree.display().to_string())?;
    match &request.output {
        Some(path) => {
            // The text is where a user's work begins: never over a file that may hold some already.
            ensure!(
                !path.exists(),
                "{} exists already; remove it or name another file",
                path.display()
            );
            std::fs::write(path, &import.toml)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        None => print!("{}", import.toml),
    }
    for note in &import.notes {
        eprintln!("note: {note}");
    }
    Ok(0)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Reads `ADDRESS=FILE` and the file.
fn module(text: &str) -> anyhow::Result<Module> {
    let parts = text.split_once('=').and_then(|(address, path)| {
        let address = u64::from_str_radix(address.strip_prefix("0x")?, 16).ok()?;
        Some((address, path))
    });
    let (address, path) = parts.with_context(|| {
        format!("`{text}` is no module: write the address where the boot loader puts it and the file, like 0x4a000000=Image")
    })?;
    Ok(Module {
        address,
        path: path.to_owned(),
        bytes: read(Path::new(path))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_is_an_address_and_a_file_that_exists() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().display().to_string();
        let read = module(&format!("0x4a000000={path}")).unwrap();
        assert_eq!((read.address, read.path), (0x4a00_0000, path));
    }

    #[test]
    fn module_without_address_or_file_is_refused_with_an_example() {
        for text in ["Image", "4a000000=Image", "0x=Image"] {
            let error = module(text).unwrap_err().to_string();
            assert!(error.contains("like 0x4a000000=Image"), "{error}");
        }
        assert!(
            module("0x1000=/no/such/file")
                .unwrap_err()
                .to_string()
                .contains("cannot read")
        );
    }

    #[test]
    fn output_that_exists_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("system.toml");
        std::fs::write(&output, "mine").unwrap();
        let request = Request {
            tree: folder.path().join("none.dtb"),
            board: None,
            modules: Vec::new(),
            output: Some(output.clone()),
        };
        assert!(run(&request).is_err());
        assert_eq!(std::fs::read_to_string(output).unwrap(), "mine");
    }
}
