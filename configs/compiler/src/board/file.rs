//! `board.toml`: what a device tree cannot say about a board.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;

use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};
use crate::raw::reader::{TableReader, parse};
use crate::raw::values::{address, boolean, positive, size, string};

/// The QEMU machine that stands for a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QemuMachine {
    /// Value of `-machine`.
    pub machine: String,
    /// Value of `-cpu`.
    pub cpu: String,
    /// Number of CPUs, at least 1.
    pub cpus: u32,
    /// RAM in bytes.
    pub memory_bytes: u64,
}

/// Where a board's device tree comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeSource {
    /// QEMU generates it; it is dumped from the board's machine.
    Qemu,
    /// A file in the flattened format, relative to `board.toml`.
    File(PathBuf),
}

/// A `board.toml`, read and checked by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardToml {
    /// The board's name, equal to its folder's.
    pub name: String,
    /// One line about it.
    pub description: String,
    /// Where firmware puts the image: a multiple of 2 MiB.
    pub load: u64,
    /// Where its device tree comes from.
    pub tree: TreeSource,
    /// Its QEMU machine, if QEMU can be that board.
    pub qemu: Option<QemuMachine>,
}

/// Reads the text of a `board.toml`; `path` is shown in findings.
///
/// # Errors
/// Every fault of the text, all at once.
pub fn read_board_toml(text: &str, path: &Path) -> Result<BoardToml, Diagnostics> {
    let source = SourceText::new(path, text);
    let mut findings = Diagnostics::default();
    let document = parse(&source, &mut findings);
    if findings.has_errors() {
        return Err(findings);
    }
    let mut root = TableReader::new(&source, "a board file", document.get_ref(), 0..0);
    let name = root.required("name", "\"…\"", string, &mut findings);
    let description = root.required("description", "\"…\"", string, &mut findings);
    let load = root.required("load", "\"0x…\"", address, &mut findings);
    let tree = root.table("tree", &mut findings);
    if tree.is_none() {
        findings.push(root.missing("tree", "{ file = \"board.dtb\" }"));
    }
    let tree = tree.and_then(|(table, span)| {
        read_tree(
            TableReader::new(&source, "`[tree]`", table, span.clone()),
            &source,
            span,
            &mut findings,
        )
    });
    let qemu = root.table("qemu", &mut findings).map(|(table, span)| {
        let reader = TableReader::new(&source, "`[qemu]`", table, span);
        read_qemu(reader, &mut findings)
    });
    root.finish(&mut findings);

    if let Some(load) = load
        .as_ref()
        .filter(|load| !load.get_ref().is_multiple_of(LOAD_ALIGNMENT))
    {
        findings.push(
            Diagnostic::error(codes::BAD_LOAD, "`load` is not a multiple of 2 MiB")
                .at(&source, load.span())
                .found(format!("{:#x}", load.get_ref()))
                .help("firmware enters an arm64 Image at a multiple of 2 MiB"),
        );
    }
    if let (Some(TreeSource::Qemu), None) = (&tree, &qemu) {
        findings.push(root_without_machine(&source));
    }
    match (name, description, load, tree) {
        (Some(name), Some(description), Some(load), Some(tree)) if !findings.has_errors() => {
            Ok(BoardToml {
                name: name.into_inner(),
                description: description.into_inner(),
                load: load.into_inner(),
                tree,
                qemu: qemu.flatten(),
            })
        }
        _ => Err(findings),
    }
}

/// Alignment of an arm64 Image without text offset (Linux, Documentation/arch/arm64/booting.rst, section 4).
const LOAD_ALIGNMENT: u64 = 2 << 20;

fn root_without_machine(source: &SourceText) -> Diagnostic {
    Diagnostic::error(
        codes::MISSING_FIELD,
        "the tree comes from QEMU, but there is no `[qemu]` table",
    )
    .at(source, 0..0)
    .help("add `[qemu]` with `machine`, `cpu`, `cpus` and `memory`")
}

fn read_tree(
    mut reader: TableReader<'_>,
    source: &SourceText,
    span: Range<usize>,
    findings: &mut Diagnostics,
) -> Option<TreeSource> {
    let qemu = reader.optional("qemu", boolean, findings);
    let file = reader.optional("file", string, findings);
    reader.finish(findings);
    match (qemu.map(Spanned::into_inner), file) {
        (Some(true), None) => Some(TreeSource::Qemu),
        (None | Some(false), Some(file)) => {
            Some(TreeSource::File(PathBuf::from(file.into_inner())))
        }
        _ => {
            findings.push(
                Diagnostic::error(
                    codes::MISSING_FIELD,
                    "`[tree]` does not say where the tree comes from",
                )
                .at(source, span)
                .help("write either `qemu = true` or `file = \"board.dtb\"`"),
            );
            None
        }
    }
}

fn read_qemu(mut reader: TableReader<'_>, findings: &mut Diagnostics) -> Option<QemuMachine> {
    let machine = reader.required("machine", "\"virt\"", string, findings);
    let cpu = reader.required("cpu", "\"cortex-a57\"", string, findings);
    let cpus = reader.required("cpus", "4", positive, findings);
    let memory = reader.required("memory", "\"2GiB\"", size, findings);
    reader.finish(findings);
    Some(QemuMachine {
        machine: machine?.into_inner(),
        cpu: cpu?.into_inner(),
        cpus: cpus?.into_inner(),
        memory_bytes: memory?.into_inner(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = \"b\"\ndescription = \"d\"\nload = \"0x40200000\"\n[tree]\nqemu = true\n\
        [qemu]\nmachine = \"virt\"\ncpu = \"max\"\ncpus = 4\nmemory = \"2GiB\"\n";

    #[test]
    fn complete_board_file_is_read() {
        let board = read_board_toml(GOOD, Path::new("board.toml")).unwrap();
        assert_eq!(board.load, 0x4020_0000);
        assert_eq!(
            board
                .qemu
                .map(|machine| (machine.cpus, machine.memory_bytes)),
            Some((4, 2 << 30))
        );
    }

    #[test]
    fn unaligned_load_address_is_refused() {
        let text = GOOD.replace("0x40200000", "0x40280000");
        let findings = read_board_toml(&text, Path::new("board.toml")).unwrap_err();
        assert_eq!(
            findings.iter().map(|one| one.code).collect::<Vec<_>>(),
            [codes::BAD_LOAD]
        );
    }

    #[test]
    fn machine_without_cpus_is_refused() {
        let text = GOOD.replace("cpus = 4", "cpus = 0");
        let findings = read_board_toml(&text, Path::new("board.toml")).unwrap_err();
        let codes: Vec<_> = findings.iter().map(|one| one.code).collect();
        assert_eq!(codes, [codes::OUT_OF_RANGE]);
    }

    #[test]
    fn tree_from_qemu_without_machine_is_refused() {
        let text = GOOD.split("[qemu]").next().unwrap();
        let findings = read_board_toml(text, Path::new("board.toml")).unwrap_err();
        assert!(findings.to_string().contains("no `[qemu]` table"));
    }
}
