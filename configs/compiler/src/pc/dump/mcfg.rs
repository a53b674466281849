//! Where PCI configuration space is in memory, as the MCFG says (PCI Firmware Specification 3.3, 4.1.2).

use super::table::{Fault, HEADER, Table};
use crate::range::AddressRange;

/// Entries follow 8 reserved bytes.
const FIRST: usize = HEADER + 8;
const ENTRY: usize = 16;
/// A bus has 32 devices of 8 functions with 4 KiB each.
const BUS: u64 = 1 << 20;

pub(super) fn spaces(table: &Table) -> Result<Vec<AddressRange>, Fault> {
    let entries = table.structures(FIRST, table.len(), ENTRY, |_, _| Ok(ENTRY))?;
    let space = |at: usize| {
        let (base, first, last) = (
            table.double(at)?,
            table.byte(at + 10)?,
            table.byte(at + 11)?,
        );
        let buses = u64::from(last)
            .checked_sub(u64::from(first))
            .map(|more| more + 1);
        let base = base.checked_add(u64::from(first) * BUS);
        let range = buses
            .zip(base)
            .and_then(|(buses, base)| AddressRange::new(base, buses * BUS));
        range.ok_or_else(|| {
            Fault::new(
                at,
                format!("buses {first:#04x} to {last:#04x} cannot be there"),
            )
        })
    };
    entries.iter().map(|entry| space(entry.start)).collect()
}
