//! `board.toml`: what a device tree cannot say about a board.

use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use toml::Spanned;

use super::given::{
    IommuLimits, MemoryBank, Reserved, V2mFrame, read_iommus, read_memory, read_reserved, read_v2m,
};
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};
use crate::raw::reader::{TableReader, parse};
use crate::raw::schema::{BOARD, QEMU, TREE};
use crate::raw::values::{address, boolean, number, size, string, strings};

/// The QEMU machine that stands for a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QemuMachine {
    /// Value of `-machine`.
    pub machine: String,
    /// Value of `-cpu`.
    pub cpu: String,
    /// Number of CPUs, at least 1; `None`: as many as the machine has by itself.
    pub cpus: Option<u32>,
    /// RAM in bytes.
    pub memory_bytes: u64,
    /// Which of its serial ports is the console, from 0.
    pub serial: u32,
    /// Values of `-device`.
    pub devices: Vec<String>,
}

/// Where a board's device tree comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeSource {
    /// QEMU generates it; it is dumped from the board's machine.
    Qemu,
    /// A file in the flattened format or, with the ending `.dts`, in source, relative to `board.toml`.
    File(PathBuf),
    /// A compiled device tree in a Debian kernel package.
    Package {
        /// For example `linux-image-arm64`.
        package: String,
        /// Path in the package's folder of device trees, for example `xilinx/zynqmp-zcu102-rev1.0.dtb`.
        path: PathBuf,
    },
    /// The source of a device tree in a Debian kernel source package.
    Source {
        /// For example `linux-source-6.12`.
        package: String,
        /// Path below `arch/arm64/boot/dts`, for example `renesas/r8a77951-salvator-xs.dts`.
        path: PathBuf,
    },
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
    /// Its console: label, alias or path; without it `/chosen/stdout-path` names it.
    pub console: Option<String>,
    /// All of its RAM; when there is none here, the device tree describes it.
    pub memory: Vec<MemoryBank>,
    /// Memory that firmware keeps and the device tree does not reserve.
    pub reserved: Vec<Reserved>,
    /// What its IOMMUs can hold.
    pub iommus: Vec<IommuLimits>,
    /// What its v2m frames raise.
    pub v2m: Vec<V2mFrame>,
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
    let mut root = TableReader::new(&source, "a board file", &BOARD, document.get_ref(), 0..0);
    let name = root.required("name", string, &mut findings);
    let description = root.required("description", string, &mut findings);
    let load = root.required("load", address, &mut findings);
    let console = root.optional("console", string, &mut findings);
    let memory = read_memory(&source, root.value("memory"), &mut findings);
    let reserved = read_reserved(&source, root.value("reserved"), &mut findings);
    let iommus = read_iommus(&source, root.value("iommu"), &mut findings);
    let v2m = read_v2m(&source, root.value("v2m"), &mut findings);
    let tree = root.table("tree", &mut findings);
    if tree.is_none() {
        findings.push(root.missing("tree"));
    }
    let tree = tree.and_then(|(table, span)| {
        read_tree(
            TableReader::new(&source, "`[tree]`", &TREE, table, span.clone()),
            &source,
            span,
            &mut findings,
        )
    });
    let qemu = root.table("qemu", &mut findings).map(|(table, span)| {
        let reader = TableReader::new(&source, "`[qemu]`", &QEMU, table, span);
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
                console: console.map(Spanned::into_inner),
                memory,
                reserved,
                iommus,
                v2m,
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
    let mut text = |name| reader.optional(name, string, findings);
    let (file, package, kernel_source, path) =
        (text("file"), text("package"), text("source"), text("path"));
    reader.finish(findings);
    if let Some(path) = &path
        && !is_inside(Path::new(path.get_ref()))
    {
        findings.push(
            Diagnostic::error(codes::UNKNOWN_VALUE, "`path` leads out of the package")
                .at(source, path.span())
                .found(path.get_ref())
                .expected("a vendor's folder and a file, like `xilinx/zynqmp-zcu102-rev1.0.dtb`"),
        );
        return None;
    }
    let text = |value: Option<Spanned<String>>| value.map(Spanned::into_inner);
    let from_qemu = qemu.is_some_and(Spanned::into_inner);
    match (
        from_qemu,
        text(file),
        text(package),
        text(kernel_source),
        text(path),
    ) {
        (true, None, None, None, None) => Some(TreeSource::Qemu),
        (false, Some(file), None, None, None) => Some(TreeSource::File(file.into())),
        (false, None, Some(package), None, Some(path)) => Some(TreeSource::Package {
            package,
            path: path.into(),
        }),
        (false, None, None, Some(package), Some(path)) => Some(TreeSource::Source {
            package,
            path: path.into(),
        }),
        _ => {
            findings.push(
                Diagnostic::error(
                    codes::MISSING_FIELD,
                    "`[tree]` does not say where the tree comes from",
                )
                .at(source, span)
                .help(
                    "write one of `qemu = true`, `file = \"board.dtb\"`, `package` with `path`, and `source` with `path`",
                ),
            );
            None
        }
    }
}

/// True for a path that stays below the folder that it is added to.
fn is_inside(path: &Path) -> bool {
    path.file_name().is_some()
        && path
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
}

/// Reads `[qemu]`.
pub(crate) fn read_qemu(
    mut reader: TableReader<'_>,
    findings: &mut Diagnostics,
) -> Option<QemuMachine> {
    let machine = reader.required("machine", string, findings);
    let cpu = reader.required("cpu", string, findings);
    let cpus = reader.optional("cpus", number, findings);
    let memory = reader.required("memory", size, findings);
    let serial = reader.optional("serial", number, findings);
    let devices = reader.optional("devices", strings, findings);
    reader.finish(findings);
    let devices = devices.map_or(Vec::new(), Spanned::into_inner);
    Some(QemuMachine {
        machine: machine?.into_inner(),
        cpu: cpu?.into_inner(),
        cpus: cpus.map(Spanned::into_inner),
        memory_bytes: memory?.into_inner(),
        serial: serial.map_or(0, Spanned::into_inner),
        devices: devices.into_iter().map(Spanned::into_inner).collect(),
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
            Some((Some(4), 2 << 30))
        );
    }

    #[test]
    fn machine_of_a_real_board_has_its_own_cpus_and_may_have_its_console_elsewhere() {
        let text = GOOD.replace("cpus = 4", "serial = 1");
        let machine = read_board_toml(&text, Path::new("board.toml"))
            .unwrap()
            .qemu;
        assert_eq!(machine.map(|one| (one.cpus, one.serial)), Some((None, 1)));
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

    fn tree_of(tree: &str) -> Result<TreeSource, Diagnostics> {
        let text = GOOD.replace("qemu = true", tree);
        read_board_toml(&text, Path::new("board.toml")).map(|board| board.tree)
    }

    #[test]
    fn tree_in_a_kernel_package_is_named_by_package_and_path() {
        let tree = tree_of("package = \"linux-image-arm64\"\npath = \"xilinx/a.dtb\"").unwrap();
        assert_eq!(
            tree,
            TreeSource::Package {
                package: "linux-image-arm64".to_owned(),
                path: "xilinx/a.dtb".into()
            }
        );
    }

    #[test]
    fn tree_in_kernel_sources_is_named_by_package_and_path() {
        let tree = tree_of("source = \"linux-source-6.12\"\npath = \"renesas/a.dts\"").unwrap();
        assert_eq!(
            tree,
            TreeSource::Source {
                package: "linux-source-6.12".to_owned(),
                path: "renesas/a.dts".into()
            }
        );
    }

    #[test]
    fn tree_of_no_two_or_half_a_source_is_refused() {
        for tree in [
            "",
            "qemu = false",
            "qemu = true\nfile = \"a.dtb\"",
            "package = \"p\"",
            "package = \"p\"\nsource = \"s\"\npath = \"a.dtb\"",
            "path = \"a.dtb\"",
        ] {
            let findings = tree_of(tree).unwrap_err();
            assert!(
                findings.to_string().contains("where the tree comes from"),
                "{tree}: {findings}"
            );
        }
    }

    #[test]
    fn path_that_leaves_the_package_is_refused() {
        for path in ["../a.dtb", "/etc/passwd", "", "a/../../b.dtb"] {
            let findings = tree_of(&format!("package = \"p1\"\npath = \"{path}\"")).unwrap_err();
            assert!(
                findings.to_string().contains("leads out"),
                "{path}: {findings}"
            );
        }
    }

    #[test]
    fn memory_that_firmware_keeps_is_read() {
        let text = GOOD.replace(
            "[tree]",
            "[[reserved]]\nbase = \"0x0\"\nsize = \"5MiB\"\nowner = \"ATF\"\n[tree]",
        );
        let board = read_board_toml(&text, Path::new("board.toml")).unwrap();
        let expected = Reserved {
            base: 0,
            size: 5 << 20,
            owner: "ATF".to_owned(),
        };
        assert_eq!(board.reserved, [expected]);
    }

    #[test]
    fn kept_memory_without_owner_or_beyond_64_bits_is_refused() {
        let refused = |reserved: &str| {
            let text = GOOD.replace("[tree]", &format!("{reserved}\n[tree]"));
            let findings = read_board_toml(&text, Path::new("board.toml")).unwrap_err();
            findings.iter().map(|one| one.code).collect::<Vec<_>>()
        };
        assert_eq!(
            refused("[[reserved]]\nbase = \"0x0\"\nsize = \"5MiB\""),
            [codes::MISSING_FIELD]
        );
        assert_eq!(
            refused("[[reserved]]\nbase = \"0xffffffffffff0000\"\nsize = \"1MiB\"\nowner = \"x\""),
            [codes::OUT_OF_RANGE]
        );
        assert_eq!(refused("reserved = [1]"), [codes::WRONG_TYPE]);
    }
}
