//! What is known of a PC: what its `board.toml` says, and where that is silent, what the dump of its ACPI tables says.

use model::memory::PAGE;
use toml::Spanned;

use super::dump::Facts;
use super::functions::{self, PcFunction};
use crate::board::{MemoryBank, read_memory};
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};
use crate::range::AddressRange;
use crate::raw::reader::{Slot, TableReader, Value};
use crate::raw::schema::POWER_OFF;
use crate::raw::values::{address, numbers, string};

/// What `[pc]` and the tables say together.
pub(super) struct Pc {
    pub cpus: Vec<u32>,
    pub console: u16,
    pub power_off: Option<(u16, u16)>,
    pub units: Vec<u64>,
    pub functions: Vec<PcFunction>,
}

/// RAM: the banks that the file lists, which lie in the RAM of the dump, or all of that.
pub(super) fn memory(
    source: &SourceText,
    given: Option<(Slot, &Value<'_>)>,
    facts: Option<&Facts>,
    findings: &mut Diagnostics,
) -> Vec<MemoryBank> {
    let place = given.map_or(0..0, |(_, value)| value.span());
    let banks = read_memory(source, given, findings);
    let Some(facts) = facts else { return banks };
    if given.is_none() {
        let bank = |range: &AddressRange| MemoryBank {
            base: range.base,
            size: range.size,
        };
        return facts.ram.iter().map(bank).collect();
    }
    // A dump without a memory map, as `acpidump` makes it, leaves it to the file.
    for bank in banks.iter().filter(|_| !facts.ram.is_empty()) {
        let range = AddressRange::new(bank.base, bank.size);
        let within = |range: AddressRange| facts.ram.iter().any(|ram| ram.contains(range));
        if !range.is_some_and(within) {
            let known: Vec<String> = facts.ram.iter().map(ToString::to_string).collect();
            let message = "this is not all RAM in the memory map of the board's dump";
            findings.push(
                Diagnostic::error(codes::OUTSIDE_RAM, message)
                    .at(source, place.clone())
                    .found(range.map(|range| range.to_string()).unwrap_or_default())
                    .expected(known.join(", "))
                    .help("leave `[[memory]]` out: the memory map says what there is"),
            );
        }
    }
    banks
}

/// Reads `[pc]`.
pub(super) fn pc(
    source: &SourceText,
    mut reader: TableReader<'_>,
    facts: Option<&Facts>,
    findings: &mut Diagnostics,
) -> Option<Pc> {
    // Whoever called has read that file.
    reader.optional("tables", string, findings);
    let cpus = cpus(source, &mut reader, facts, findings);
    let given = reader.optional("console", address, findings);
    let console = match (given, facts.and_then(|facts| facts.console)) {
        (Some(given), _) => word(source, &given, findings),
        (None, Some(port)) => Some(port),
        (None, None) => {
            reader.report_missing("console", findings);
            None
        }
    };
    let power_off = power_off(source, &mut reader, facts, findings);
    let units = units(source, &mut reader, facts, findings);
    let board = functions::Board {
        facts,
        units: &units,
    };
    let functions = functions::read(source, reader.value("functions"), board, findings);
    reader.finish(findings);
    Some(Pc {
        cpus: cpus?,
        console: console?,
        power_off,
        units,
        functions,
    })
}

/// CPUs: those that the file lists, which the tables have, or all of the tables.
fn cpus(
    source: &SourceText,
    reader: &mut TableReader<'_>,
    facts: Option<&Facts>,
    findings: &mut Diagnostics,
) -> Option<Vec<u32>> {
    let known = facts
        .map(|facts| &facts.cpus)
        .filter(|cpus| !cpus.is_empty());
    let Some(given) = reader.optional("cpus", numbers, findings) else {
        if known.is_none() {
            reader.report_missing("cpus", findings);
        }
        return known.cloned();
    };
    let mut seen: Vec<u32> = Vec::new();
    for cpu in given.get_ref() {
        let apic = *cpu.get_ref();
        let finding = |code, message| {
            Diagnostic::error(code, message)
                .at(source, cpu.span())
                .found(apic.to_string())
        };
        if seen.contains(&apic) {
            findings.push(
                finding(codes::LISTED_TWICE, "the same CPU is listed twice")
                    .help("write each APIC identifier once"),
            );
        } else if known.is_some_and(|known| !known.contains(&apic)) {
            findings.push(
                finding(codes::CPU_NOT_ON_BOARD, "the MADT has no such CPU")
                    .help("leave `cpus` out: the tables list them"),
            );
        }
        seen.push(apic);
    }
    Some(seen)
}

fn power_off(
    source: &SourceText,
    reader: &mut TableReader<'_>,
    facts: Option<&Facts>,
    findings: &mut Diagnostics,
) -> Option<(u16, u16)> {
    let (table, span) = reader.table("power_off", findings)?;
    let mut reader = TableReader::new(source, "`power_off`", &POWER_OFF, table, span);
    let given = reader.optional("port", address, findings);
    let port = match (given, facts.and_then(|facts| facts.control)) {
        (Some(given), _) => word(source, &given, findings),
        (None, Some(port)) => Some(port),
        (None, None) => {
            reader.report_missing("port", findings);
            None
        }
    };
    let value = reader.required("value", address, findings);
    reader.finish(findings);
    Some((port?, word(source, &value?, findings)?))
}

/// VT-d units: the one that the file names, which the tables have, or all of the tables.
fn units(
    source: &SourceText,
    reader: &mut TableReader<'_>,
    facts: Option<&Facts>,
    findings: &mut Diagnostics,
) -> Vec<u64> {
    let units = facts.map_or(&[][..], |facts| &facts.units);
    let Some(given) = reader.optional("remapping", address, findings) else {
        return units.iter().map(|unit| unit.registers).collect();
    };
    let registers = *given.get_ref();
    let finding = |message| {
        Diagnostic::error(codes::OUT_OF_RANGE, message)
            .at(source, given.span())
            .found(format!("{registers:#x}"))
    };
    if !registers.is_multiple_of(PAGE) {
        findings.push(
            finding("the unit's registers do not begin at a page")
                .help("write the address of the DMAR table"),
        );
    } else if facts.is_some() && units.iter().all(|unit| unit.registers != registers) {
        let known: Vec<String> = units
            .iter()
            .map(|unit| format!("{:#x}", unit.registers))
            .collect();
        findings.push(
            finding("the DMAR has no such unit")
                .expected(known.join(", "))
                .help("leave `remapping` out: the tables list the units"),
        );
    } else {
        return vec![registers];
    }
    Vec::new()
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
