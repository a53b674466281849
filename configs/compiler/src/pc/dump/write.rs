//! A dump as the text that is kept beside `board.toml`.

use std::fmt::Write as _;

use model::x86::MessageTable;

use super::table::Signature;
use super::{Dump, SeenBar, SeenFunction};

/// Bytes in a line.
const LINE: usize = 16;

/// Writing to a string cannot fail.
pub(super) fn text(dump: &Dump) -> String {
    let mut out = String::from(
        "# ACPI tables, memory map and PCI functions of the board, as firmware has them: the lines that are needed of what dump.sh printed.\n",
    );
    for table in dump
        .tables
        .iter()
        .filter(|table| table.signature != Signature::Dsdt)
    {
        let _ = writeln!(out, "{} @ 0x0000000000000000", table.signature.name());
        for (number, bytes) in table.bytes().chunks(LINE).enumerate() {
            let _ = write!(out, "    {:04x}:", number * LINE);
            for byte in bytes {
                let _ = write!(out, " {byte:02x}");
            }
            out.push('\n');
        }
    }
    for area in &dump.memory {
        let kind = if area.ram { "System RAM" } else { "Reserved" };
        let (base, last) = (area.range.base, area.range.end() - 1);
        let _ = writeln!(out, "[mem {base:#018x}-{last:#018x}] {kind}");
    }
    for function in &dump.functions {
        self::function(&mut out, function);
    }
    out.push_str(super::read::END);
    out.push('\n');
    out
}

fn function(out: &mut String, function: &SeenFunction) {
    let [vendor, device, class] = function.identity;
    let _ = writeln!(
        out,
        "pci 0000:{} {vendor:#06x} {device:#06x} {class:#08x}",
        function.address
    );
    for bar in &function.bars {
        let (base, last, flags) = bar.map_or((0, 0, 0), |SeenBar { range, kind }| {
            (range.base, range.end() - 1, kind.flags())
        });
        let _ = writeln!(out, "    bar {base:#018x} {last:#018x} {flags:#018x}");
    }
    if let Some(MessageTable {
        bar,
        offset,
        entries,
    }) = function.messages
    {
        let _ = writeln!(out, "    msix {bar:#x} {offset:#x} {entries:#x}");
    }
}
