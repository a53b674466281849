//! What a dump says of the board.

use model::memory::PAGE;

use super::dmar::{self, Scope, Unit};
use super::table::{Fault, Signature, Table};
use super::{Area, BarKind, Dump, SeenBar, SeenFunction, console, fadt, madt, mcfg};
use crate::board::FunctionAddress;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::range::{AddressRange, merge};

/// RAM below is firmware's and the boot loader's.
const FIRST_MEBIBYTE: u64 = 1 << 20;
/// Writes there are interrupts (Intel SDM volume 3, 12.11.1).
const MESSAGES: AddressRange = AddressRange {
    base: 0xfee0_0000,
    size: 1 << 20,
};

/// The board as its tables and its memory map have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// x2APIC identifiers of the CPUs that can be used.
    pub cpus: Vec<u32>,
    /// RAM from the first MiB on, as whole pages, sorted.
    pub ram: Vec<AddressRange>,
    /// First I/O port of the console.
    pub console: Option<u16>,
    /// The register PM1a_CNT.
    pub control: Option<u16>,
    /// Units that remap DMA.
    pub units: Vec<Unit>,
    /// There is an AMD-Vi, which is no unit that the image drives.
    pub amd_vi: bool,
    /// Memory that firmware has devices use, and which devices.
    pub reserved: Vec<(AddressRange, Vec<Scope>)>,
    /// PCI functions of segment 0.
    pub functions: Vec<SeenFunction>,
    /// What is neither RAM of the system nor free for BARs, and what it is.
    taken: Vec<(AddressRange, &'static str)>,
}

impl Facts {
    /// Reads the tables.
    ///
    /// # Errors
    /// Every table that is wrong.
    pub fn of(dump: &Dump) -> Result<Self, Diagnostics> {
        let mut findings = Diagnostics::default();
        let mut remapping =
            of(dump, Signature::Dmar, dmar::remapping, &mut findings).unwrap_or_default();
        let spaces = of(dump, Signature::Mcfg, mcfg::spaces, &mut findings).unwrap_or_default();
        let console = of(dump, Signature::Spcr, console::of_system, &mut findings).flatten();
        let debugger = of(dump, Signature::Dbg2, console::of_debugger, &mut findings).flatten();
        let mut facts = Self {
            cpus: of(dump, Signature::Apic, madt::cpus, &mut findings).unwrap_or_default(),
            ram: ram(&dump.memory),
            console: console.or(debugger),
            control: of(dump, Signature::Facp, fadt::control, &mut findings).flatten(),
            amd_vi: dump.table(Signature::Ivrs).is_some(),
            units: std::mem::take(&mut remapping.units),
            reserved: remapping.reserved,
            functions: dump.functions.clone(),
            taken: vec![(MESSAGES, "messages of interrupts")],
        };
        let area = |area: &Area| {
            let what = if area.ram {
                "RAM"
            } else {
                "what firmware keeps"
            };
            (area.range, what)
        };
        facts.taken.extend(dump.memory.iter().map(area));
        facts.taken.extend(
            spaces
                .into_iter()
                .map(|space| (space, "PCI configuration space")),
        );
        let registers = facts
            .units
            .iter()
            .filter_map(|unit| AddressRange::new(unit.registers, PAGE));
        facts
            .taken
            .extend(registers.map(|unit| (unit, "the registers of a VT-d unit")));
        if findings.has_errors() {
            Err(findings)
        } else {
            Ok(facts)
        }
    }

    /// The unit that remaps a function.
    pub fn unit_of(&self, function: FunctionAddress) -> Option<&Unit> {
        dmar::unit_of(&self.units, function)
    }

    /// Memory that firmware has the function use.
    pub fn reserved_for(&self, function: FunctionAddress) -> Option<AddressRange> {
        let uses = |(_, scopes): &&(AddressRange, Vec<Scope>)| {
            scopes.iter().any(|scope| scope.is(function))
        };
        self.reserved.iter().find(uses).map(|(range, _)| *range)
    }

    /// What answers already where a BAR would be.
    pub fn taken(&self, bar: AddressRange) -> Option<(AddressRange, &'static str)> {
        self.taken
            .iter()
            .find(|(range, _)| range.overlaps(bar))
            .copied()
    }

    pub fn function(&self, address: FunctionAddress) -> Option<&SeenFunction> {
        self.functions
            .iter()
            .find(|function| function.address == address)
    }
}

/// What a table says, if there is one and it is right.
fn of<T>(
    dump: &Dump,
    signature: Signature,
    read: impl Fn(&Table) -> Result<T, Fault>,
    findings: &mut Diagnostics,
) -> Option<T> {
    let table = dump.table(signature)?;
    let finding = |fault: Fault| -> Diagnostic { *dump.finding(table, &fault) };
    read(table)
        .map_err(|fault| findings.push(finding(fault)))
        .ok()
}

/// RAM of the system without what else the map has there: entries may overlap, and what is no RAM counts (ACPI 6.5, 15.4).
fn ram(memory: &[Area]) -> Vec<AddressRange> {
    let ram = memory.iter().filter(|area| area.ram);
    let above =
        |area: &Area| AddressRange::between(area.range.base.max(FIRST_MEBIBYTE), area.range.end());
    let mut ram = merge(ram.filter_map(above).collect());
    for kept in memory.iter().filter(|area| !area.ram) {
        ram = ram
            .into_iter()
            .flat_map(|piece| piece.without(kept.range))
            .collect();
    }
    ram.into_iter()
        .filter_map(|piece| piece.inward(PAGE))
        .collect()
}

impl SeenFunction {
    /// Its BARs from the first one on, if this version can put them in place: those for memory of 32 bits, at least a page each. `None` among them:
    /// none for memory.
    pub fn placeable(&self) -> Option<Vec<Option<AddressRange>>> {
        let used = self
            .bars
            .iter()
            .rposition(Option::is_some)
            .map_or(0, |last| last + 1);
        let bar = |bar: &Option<SeenBar>| match bar {
            Some(SeenBar {
                range,
                kind: BarKind::Plain,
            }) => {
                let fits = range.size >= PAGE
                    && range.size.is_power_of_two()
                    && range.base.is_multiple_of(range.size);
                fits.then_some(Some(*range))
            }
            Some(SeenBar {
                kind: BarKind::Other,
                ..
            }) => None,
            Some(_) | None => Some(None),
        };
        let bars: Option<Vec<_>> = self.bars.iter().take(used).map(bar).collect();
        // One that has ports alone is of no use: nobody gets them.
        bars.filter(|bars| bars.is_empty() || bars.iter().any(Option::is_some))
    }
}
