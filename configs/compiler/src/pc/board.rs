//! `board.toml` of a PC: what the dump of its ACPI tables does not say, or, without a dump, all that is known of it.

use std::path::{Path, PathBuf};

use super::dump::{Dump, Facts};
use super::functions::PcFunction;
use super::known;
use crate::board::{MemoryBank, QemuMachine, read_qemu};
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};
use crate::range::AddressRange;
use crate::raw::reader::{TableReader, parse};
use crate::raw::schema::{PC, PC_BOARD, QEMU};
use crate::raw::values::{address, string};

/// The image is linked where it is loaded.
const LOAD: u64 = 0x20_0000;

/// A PC, read and checked by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PcBoard {
    /// Its name, equal to its folder's.
    pub name: String,
    /// One line about it.
    pub description: String,
    /// Where the image is loaded.
    pub load: u64,
    /// All RAM that firmware leaves to the system.
    pub memory: Vec<MemoryBank>,
    /// x2APIC identifiers of its CPUs, in the order in which system files number them.
    pub cpus: Vec<u32>,
    /// First I/O port of its console, a 16550.
    pub console: u16,
    /// I/O port and value that turn it off.
    pub power_off: Option<(u16, u16)>,
    /// Registers of the units that remap its functions' DMA.
    pub units: Vec<u64>,
    /// Its tables have an AMD-Vi, which the image does not drive.
    pub amd_vi: bool,
    /// PCI functions that partitions may own.
    pub functions: Vec<PcFunction>,
    /// Its QEMU machine, if QEMU can be that board.
    pub qemu: Option<QemuMachine>,
}

impl PcBoard {
    /// Its RAM. The reader has seen that each bank is a range.
    pub(super) fn banks(&self) -> impl Iterator<Item = AddressRange> {
        let banks = self.memory.iter();
        banks.filter_map(|bank| AddressRange::new(bank.base, bank.size))
    }

    /// BARs of these functions.
    pub(super) fn bars(&self, functions: &[usize]) -> impl Iterator<Item = AddressRange> {
        self.those(functions).flat_map(PcFunction::ranges)
    }

    /// What of them the functions' partition sees.
    pub(super) fn seen_bars(&self, functions: &[usize]) -> impl Iterator<Item = AddressRange> {
        self.those(functions).flat_map(PcFunction::seen)
    }

    fn those(&self, functions: &[usize]) -> impl Iterator<Item = &PcFunction> {
        let functions = functions.iter();
        functions.filter_map(|index| self.functions.get(*index))
    }
}

/// True when a board's file says that it is a PC.
pub(super) fn is_pc(text: &str) -> bool {
    text.parse::<toml::Table>()
        .is_ok_and(|table| table.contains_key("pc"))
}

/// The file with the board's tables that its `board.toml` names, if that is a PC's. Relative to it.
pub fn pc_tables(text: &str) -> Option<PathBuf> {
    let table = text.parse::<toml::Table>().ok()?;
    Some(table.get("pc")?.get("tables")?.as_str()?.into())
}

/// Reads the text of a PC's `board.toml`; `path` is shown in findings. `tables` are the bytes of the file that [`pc_tables`] names.
///
/// # Errors
/// Every fault of the text, all at once; faults of the tables come before.
pub fn read_pc_board(
    text: &str,
    path: &Path,
    tables: Option<&[u8]>,
) -> Result<PcBoard, Diagnostics> {
    let source = SourceText::new(path, text);
    let mut findings = Diagnostics::default();
    let document = parse(&source, &mut findings);
    if findings.has_errors() {
        return Err(findings);
    }
    let facts = match (tables, pc_tables(text)) {
        (Some(bytes), Some(name)) => Some(read_tables(bytes, &path.with_file_name(name))?),
        _ => None,
    };
    let facts = facts.as_ref();
    let mut root = TableReader::new(
        &source,
        "the board file of a PC",
        &PC_BOARD,
        document.get_ref(),
        0..0,
    );
    let name = root.required("name", string, &mut findings);
    let description = root.required("description", string, &mut findings);
    let load = root.required("load", address, &mut findings);
    let given = root.value("memory");
    let memory = known::memory(&source, given, facts, &mut findings);
    if memory.is_empty() && !findings.has_errors() {
        findings.push(root.missing("memory"));
    }
    let pc = root.table("pc", &mut findings);
    let pc = pc.map(|(table, span)| {
        let reader = TableReader::new(&source, "`[pc]`", &PC, table, span);
        known::pc(&source, reader, facts, &mut findings)
    });
    let qemu = root.table("qemu", &mut findings).map(|(table, span)| {
        let reader = TableReader::new(&source, "`[qemu]`", &QEMU, table, span);
        read_qemu(reader, &mut findings)
    });
    root.finish(&mut findings);
    if let Some(load) = load.as_ref().filter(|load| *load.get_ref() != LOAD) {
        findings.push(
            Diagnostic::error(codes::BAD_LOAD, "the image for PCs runs at one place only")
                .at(&source, load.span())
                .found(format!("{:#x}", load.get_ref()))
                .expected(format!("{LOAD:#x}"))
                .help(format!("write `load = \"{LOAD:#x}\"`")),
        );
    }
    match (name, description, load, pc.flatten()) {
        (Some(name), Some(description), Some(load), Some(pc)) if !findings.has_errors() => {
            Ok(PcBoard {
                name: name.into_inner(),
                description: description.into_inner(),
                load: load.into_inner(),
                memory,
                cpus: pc.cpus,
                console: pc.console,
                power_off: pc.power_off,
                units: pc.units,
                amd_vi: facts.is_some_and(|facts| facts.amd_vi),
                functions: pc.functions,
                qemu: qemu.flatten(),
            })
        }
        _ => Err(findings),
    }
}

fn read_tables(bytes: &[u8], path: &Path) -> Result<Facts, Diagnostics> {
    let dump = Dump::read(bytes, path).map_err(|finding| {
        let mut findings = Diagnostics::default();
        findings.push(*finding);
        findings
    })?;
    Facts::of(&dump)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pc::dump::tests::{dmar, table};

    const GOOD: &str = "name = \"lab-pc\"\ndescription = \"d\"\nload = \"0x200000\"\n\
        [[memory]]\nbase = \"0x100000\"\nsize = \"255MiB\"\n\
        [pc]\ncpus = [0, 2]\nconsole = \"0x3f8\"\npower_off = { port = \"0x604\", value = \"0x2000\" }\n";

    fn codes_of(text: &str) -> Vec<codes::Code> {
        let findings = read_pc_board(text, Path::new("board.toml"), None).unwrap_err();
        findings.iter().map(|one| one.code).collect()
    }

    #[test]
    fn complete_file_is_read() {
        let board = read_pc_board(GOOD, Path::new("board.toml"), None).unwrap();
        assert_eq!(board.cpus, [0, 2]);
        assert_eq!(
            (board.console, board.power_off),
            (0x3f8, Some((0x604, 0x2000)))
        );
        assert_eq!(board.banks().count(), 1);
    }

    #[test]
    fn only_a_file_with_a_pc_table_is_a_pcs() {
        assert!(is_pc(GOOD));
        assert!(!is_pc("name = \"b\"\n[tree]\nqemu = true\n"));
        assert!(!is_pc("[pc"));
    }

    #[test]
    fn other_load_address_is_refused() {
        let text = GOOD.replace("0x200000", "0x400000");
        assert_eq!(codes_of(&text), [codes::BAD_LOAD]);
    }

    #[test]
    fn port_of_17_bits_and_cpu_listed_twice_are_refused() {
        let text = GOOD.replace("0x3f8", "0x10000");
        assert_eq!(codes_of(&text), [codes::OUT_OF_RANGE]);
        let text = GOOD.replace("[0, 2]", "[2, 2]");
        assert_eq!(codes_of(&text), [codes::LISTED_TWICE]);
    }

    #[test]
    fn pc_without_memory_is_refused() {
        let text = GOOD.replace("[[memory]]\nbase = \"0x100000\"\nsize = \"255MiB\"\n", "");
        assert_eq!(codes_of(&text), [codes::MISSING_FIELD]);
    }

    /// A dump of QEMU's q35, whose only function beside its own is 00:04.0.
    const DUMP: &str = include_str!("../../../../x86-port/boards/x86-qemu-vtd/acpi.txt");
    const DUMPED: &str = "name = \"lab-pc\"\ndescription = \"d\"\nload = \"0x200000\"\n\
        [pc]\ntables = \"acpi.txt\"\nconsole = \"0x3f8\"\npower_off = { value = \"0x2000\" }\n\
        functions = [{ function = \"00:04.0\" }]\n";

    fn dumped(text: &str, dump: &str) -> Result<PcBoard, Diagnostics> {
        read_pc_board(text, Path::new("lab/board.toml"), Some(dump.as_bytes()))
    }

    #[test]
    fn what_the_file_does_not_say_is_in_the_dump() {
        let board = dumped(DUMPED, DUMP).unwrap();
        assert_eq!(board.cpus, [0, 1, 2, 3]);
        assert_eq!(
            (board.power_off, board.units),
            (Some((0x604, 0x2000)), vec![0xfed9_0000])
        );
        let bank = |base, size| MemoryBank { base, size };
        assert_eq!(board.memory, [bank(0x10_0000, 0x3fee_0000)]);
        assert_eq!(board.functions[0].bars, [bank(0xfea0_0000, 1 << 20)]);
    }

    #[test]
    fn each_function_is_behind_its_own_unit_unless_the_file_names_one() {
        // One for 00:02.0, and one for all others.
        let dump = table("DMAR", &dmar());
        let functions = "functions = [{ function = \"00:03.0\", bars = [] }, { function = \"00:02.0\", bars = [] }]\n";
        let read = |more: &str| {
            let text = format!("{GOOD}{more}{functions}");
            let text = text.replace("[pc]\n", "[pc]\ntables = \"acpi.txt\"\n");
            read_pc_board(&text, Path::new("lab/board.toml"), Some(&dump))
        };
        let board = read("").unwrap();
        assert_eq!(board.units, [0xfed9_0000, 0xfed9_1000]);
        let units: Vec<usize> = board.functions.iter().map(|one| one.unit).collect();
        assert_eq!(units, [1, 0]);
        let findings = read("remapping = \"0xfed91000\"\n").unwrap_err();
        let found: Vec<_> = findings.iter().map(|one| one.code).collect();
        assert_eq!(found, [codes::DMA_UNPROTECTED]);
    }

    #[test]
    fn file_may_say_less_than_the_dump() {
        let bank = "[[memory]]\nbase = \"0x200000\"\nsize = \"1MiB\"\n[pc]\ncpus = [2, 0]\n";
        let board = dumped(&DUMPED.replace("[pc]\n", bank), DUMP).unwrap();
        assert_eq!(board.cpus, [2, 0]);
        assert_eq!(board.memory.len(), 1);
    }

    #[test]
    fn file_that_contradicts_the_dump_is_refused() {
        let pc = |more: &str| DUMPED.replace("[pc]\n", &format!("[pc]\n{more}\n"));
        let function = |more: &str| DUMPED.replace("{ function = \"00:04.0\" }", more);
        let at = |base: &str| {
            function(&format!(
                "{{ function = \"00:04.0\", bars = [{{ base = \"{base}\", size = \"1MiB\" }}] }}"
            ))
        };
        let memory = "[[memory]]\nbase = \"0x100000\"\nsize = \"1GiB\"\n[pc]";
        for (text, code) in [
            (pc("cpus = [4]"), codes::CPU_NOT_ON_BOARD),
            (pc("remapping = \"0xfed91000\""), codes::OUT_OF_RANGE),
            (DUMPED.replace("[pc]", memory), codes::OUTSIDE_RAM),
            (
                DUMPED.replace("console = \"0x3f8\"\n", ""),
                codes::MISSING_FIELD,
            ),
            (
                function("{ function = \"00:05.0\", bars = [] }"),
                codes::UNKNOWN_DEVICE,
            ),
            // No unit was told of it.
            (
                function(
                    "{ function = \"00:1f.2\", msix = { bar = 4, offset = \"0x0\", entries = 1 } }",
                ),
                codes::OUT_OF_RANGE,
            ),
            (at("0x8000000"), codes::PAGE_SHARED),
            (at("0xb0000000"), codes::PAGE_SHARED),
            (at("0xfed00000"), codes::PAGE_SHARED),
            (at("0xfee00000"), codes::PAGE_SHARED),
        ] {
            let findings = dumped(&text, DUMP).unwrap_err();
            let found: Vec<_> = findings.iter().map(|one| one.code).collect();
            assert_eq!(found, [code], "{text}");
        }
        assert!(dumped(&at("0xe0000000"), DUMP).is_ok());
    }

    #[test]
    fn damaged_dump_is_told_with_the_file_that_it_is_in() {
        let findings = dumped(DUMPED, &DUMP.replacen("41 50 49 43", "41 50 49 44", 1)).unwrap_err();
        let text = findings.to_string();
        assert!(text.contains("lab/acpi.txt:3"), "{text}");
    }
}
