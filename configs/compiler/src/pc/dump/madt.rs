//! CPUs, as the MADT lists them (ACPI 6.5, 5.2.12).

use super::table::{Fault, HEADER, Table};

/// Structures follow the local APIC's address and flags.
const FIRST: usize = HEADER + 8;
const LOCAL_APIC: u8 = 0;
const LOCAL_X2APIC: u8 = 9;
/// The CPU can be used.
const ENABLED: u32 = 1;

/// Identifiers of the CPUs that can be used, in the table's order. Firmware may list a CPU by both kinds of structures: it counts once.
pub(super) fn cpus(table: &Table) -> Result<Vec<u32>, Fault> {
    let mut cpus = Vec::new();
    let length = |table: &Table, at| table.byte(at + 1).map(usize::from);
    for structure in table.structures(FIRST, table.len(), 2, length)? {
        let at = structure.start;
        let least = match table.byte(at)? {
            LOCAL_APIC => 8,
            LOCAL_X2APIC => 16,
            _ => continue,
        };
        if structure.len() < least {
            return Err(Fault::new(
                at,
                format!(
                    "a CPU in {} bytes, where {least} are needed",
                    structure.len()
                ),
            ));
        }
        let (id, flags) = match least {
            8 => (u32::from(table.byte(at + 3)?), table.word(at + 4)?),
            _ => (table.word(at + 4)?, table.word(at + 8)?),
        };
        if flags & ENABLED != 0 && !cpus.contains(&id) {
            cpus.push(id);
        }
    }
    Ok(cpus)
}
