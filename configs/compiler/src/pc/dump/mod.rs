//! A PC as it was dumped under any Linux by `x86-port/boards/dump.sh`: its ACPI tables, firmware's memory map, and its PCI functions.
//!
//! The text is that of ACPICA's `acpidump` with two more kinds of lines:
//!
//! ```text
//! APIC @ 0x0000000000000000
//!     0000: 41 50 49 43 …
//! [mem 0x0000000000100000-0x000000003ffdffff] System RAM
//! pci 0000:00:04.0 0x1234 0x11e8 0x00ff00
//!     bar 0x00000000fea00000 0x00000000feafffff 0x0000000000040200
//!     msix 0x0 0x1000 0x5
//! ```
//!
//! Lines of the memory map may be those of the kernel's log. Binary tables, one behind the other, are taken as well; they have no such lines.
//! Whoever wrote it, it is an allegation: every length and checksum is looked at, and a fault is told with its line.

mod console;
mod dmar;
mod facts;
mod fadt;
mod madt;
mod mcfg;
mod read;
mod table;
#[cfg(test)]
pub(super) mod tests;
mod write;

use std::path::Path;

use model::x86::MessageTable;

use crate::board::FunctionAddress;
use crate::codes;
use crate::diagnostics::{Diagnostic, SourceText};
use crate::range::AddressRange;

pub(crate) use facts::Facts;
pub(crate) use fadt::soft_off;

use table::{Fault, Signature, Table};

/// The file that `tables` names when `new-board` writes it.
pub const FILE: &str = "acpi.txt";

/// A dump that was read. Its tables are whole: their lengths and checksums are right.
#[derive(Clone, Debug)]
pub(crate) struct Dump {
    source: SourceText,
    tables: Vec<Table>,
    /// Firmware's memory map, in the order of the dump.
    pub memory: Vec<Area>,
    /// PCI functions of segment 0.
    pub functions: Vec<SeenFunction>,
}

/// A piece of the physical address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Area {
    pub range: AddressRange,
    /// RAM that firmware leaves to the system.
    pub ram: bool,
}

/// A PCI function as Linux saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeenFunction {
    pub address: FunctionAddress,
    /// Vendor, device and class.
    pub identity: [u32; 3],
    pub bars: Vec<Option<SeenBar>>,
    /// The table of its MSI-X capability.
    pub messages: Option<MessageTable>,
}

/// A base address register, where firmware or Linux has put it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SeenBar {
    pub range: AddressRange,
    pub kind: BarKind,
}

/// What answers behind a BAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BarKind {
    /// Memory, at an address of 32 bits.
    Plain,
    /// I/O ports.
    Ports,
    /// Anything else.
    Other,
}

impl Dump {
    /// Reads a dump; `path` is shown in findings.
    ///
    /// # Errors
    /// It is cut off, or not such a text, or a table is damaged.
    pub fn read(bytes: &[u8], path: &Path) -> Result<Self, Box<Diagnostic>> {
        read::read(bytes, path)
    }

    /// True when a file is rather a dump than a device tree.
    pub fn is_one(bytes: &[u8]) -> bool {
        read::is_dump(bytes)
    }

    /// The dump as text, without the tables that only `new-board` reads.
    pub fn text(&self) -> String {
        write::text(self)
    }

    fn table(&self, signature: Signature) -> Option<&Table> {
        self.tables
            .iter()
            .find(|table| table.signature == signature)
    }

    /// What a table lacks or says wrong, at its place.
    fn finding(&self, table: &Table, fault: &Fault) -> Box<Diagnostic> {
        let finding = Diagnostic::error(codes::BAD_TABLES, format!("table {}: {}", table.signature.name(), fault.what))
            .at(&self.source, table.place(fault.at))
            .note(format!("at byte {:#x} of the table", fault.at))
            .help("dump the tables anew; if they are as firmware has them, do without `tables` and write `[pc]` by hand");
        Box::new(finding)
    }
}
