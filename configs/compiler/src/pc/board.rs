//! `board.toml` of a PC: what its firmware's ACPI tables say, since there is no device tree.

use std::path::Path;

use model::memory::PAGE;
use toml::Spanned;

use super::functions::{self, PcFunction};
use crate::board::{MemoryBank, QemuMachine, read_memory, read_qemu};
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};
use crate::range::AddressRange;
use crate::raw::reader::{TableReader, parse};
use crate::raw::schema::{PC, PC_BOARD, POWER_OFF, QEMU};
use crate::raw::values::{address, numbers, string};

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
    /// Registers of the unit that remaps its functions' DMA.
    pub remapping: Option<u64>,
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
        let functions = functions
            .iter()
            .filter_map(|index| self.functions.get(*index));
        functions.flat_map(PcFunction::ranges)
    }
}

/// True when a board's file says that it is a PC.
pub(super) fn is_pc(text: &str) -> bool {
    text.parse::<toml::Table>()
        .is_ok_and(|table| table.contains_key("pc"))
}

/// Reads the text of a PC's `board.toml`; `path` is shown in findings.
///
/// # Errors
/// Every fault of the text, all at once.
pub fn read_pc_board(text: &str, path: &Path) -> Result<PcBoard, Diagnostics> {
    let source = SourceText::new(path, text);
    let mut findings = Diagnostics::default();
    let document = parse(&source, &mut findings);
    if findings.has_errors() {
        return Err(findings);
    }
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
    let memory = read_memory(&source, root.value("memory"), &mut findings);
    if memory.is_empty() && !findings.has_errors() {
        findings.push(root.missing("memory"));
    }
    let pc = root.table("pc", &mut findings);
    let pc = pc.map(|(table, span)| {
        let reader = TableReader::new(&source, "`[pc]`", &PC, table, span);
        read_pc(&source, reader, &mut findings)
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
                qemu: qemu.flatten(),
                ..pc
            })
        }
        _ => Err(findings),
    }
}

/// The fields of `[pc]`; the others are empty.
fn read_pc(
    source: &SourceText,
    mut reader: TableReader<'_>,
    findings: &mut Diagnostics,
) -> Option<PcBoard> {
    let cpus = reader.required("cpus", numbers, findings);
    let console = reader.required("console", address, findings);
    let power_off = reader.table("power_off", findings).map(|(table, span)| {
        let mut reader = TableReader::new(source, "`power_off`", &POWER_OFF, table, span);
        let port = reader.required("port", address, findings);
        let value = reader.required("value", address, findings);
        reader.finish(findings);
        Some((
            word(source, &port?, findings)?,
            word(source, &value?, findings)?,
        ))
    });
    let remapping = reader.optional("remapping", address, findings);
    let functions = functions::read(source, reader.value("functions"), findings);
    reader.finish(findings);
    if let Some(unit) = remapping
        .as_ref()
        .filter(|unit| !unit.get_ref().is_multiple_of(PAGE))
    {
        let message = "the unit's registers do not begin at a page";
        findings.push(
            Diagnostic::error(codes::OUT_OF_RANGE, message)
                .at(source, unit.span())
                .help("write the address of the DMAR table"),
        );
    }
    let cpus = cpus?;
    let mut seen: Vec<u32> = Vec::new();
    for cpu in cpus.get_ref() {
        if seen.contains(cpu.get_ref()) {
            findings.push(
                Diagnostic::error(codes::LISTED_TWICE, "the same CPU is listed twice")
                    .at(source, cpu.span())
                    .found(cpu.get_ref().to_string())
                    .help("write each APIC identifier once"),
            );
        }
        seen.push(*cpu.get_ref());
    }
    Some(PcBoard {
        name: String::new(),
        description: String::new(),
        load: LOAD,
        memory: Vec::new(),
        cpus: seen,
        console: word(source, &console?, findings)?,
        power_off: power_off.flatten(),
        remapping: remapping.map(Spanned::into_inner),
        functions,
        qemu: None,
    })
}

/// 16 bits: an I/O port, or what is written to one.
fn word(source: &SourceText, value: &Spanned<u64>, findings: &mut Diagnostics) -> Option<u16> {
    let word = u16::try_from(*value.get_ref()).ok();
    if word.is_none() {
        findings.push(
            Diagnostic::error(codes::OUT_OF_RANGE, "this has more than 16 bits")
                .at(source, value.span())
                .found(format!("{:#x}", value.get_ref()))
                .help("write at most \"0xffff\""),
        );
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = \"lab-pc\"\ndescription = \"d\"\nload = \"0x200000\"\n\
        [[memory]]\nbase = \"0x100000\"\nsize = \"255MiB\"\n\
        [pc]\ncpus = [0, 2]\nconsole = \"0x3f8\"\npower_off = { port = \"0x604\", value = \"0x2000\" }\n";

    fn codes_of(text: &str) -> Vec<codes::Code> {
        let findings = read_pc_board(text, Path::new("board.toml")).unwrap_err();
        findings.iter().map(|one| one.code).collect()
    }

    #[test]
    fn complete_file_is_read() {
        let board = read_pc_board(GOOD, Path::new("board.toml")).unwrap();
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
}
