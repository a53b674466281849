//! The serial console: the SPCR names one for the system (Microsoft, "Serial Port Console Redirection Table"), the DBG2 one for a debugger
//! (Microsoft, "Debug Port Table 2").

use super::table::{Fault, HEADER, Table};

/// Kinds of serial ports that are a 16550 at the address given.
const FULL_16550: u16 = 0;
const SUBSET_16450: u16 = 1;

/// The I/O port of a 16550. `None`: the console is something else.
pub(super) fn of_system(table: &Table) -> Result<Option<u16>, Fault> {
    match u16::from(table.byte(HEADER)?) {
        FULL_16550 | SUBSET_16450 => table.port(HEADER + 4),
        _ => Ok(None),
    }
}

/// The same of the first serial port for debuggers.
pub(super) fn of_debugger(table: &Table) -> Result<Option<u16>, Fault> {
    const SERIAL: u16 = 0x8000;
    /// A device's structure up to the offset of its registers.
    const DEVICE: usize = 22;
    let first = table.word(HEADER)? as usize;
    if first < HEADER + 8 || first > table.len() {
        return Err(Fault::new(
            HEADER,
            format!("its devices cannot begin at byte {first:#x}"),
        ));
    }
    let length = |table: &Table, at| table.half(at + 1).map(usize::from);
    for device in table.structures(first, table.len(), DEVICE, length)? {
        let at = device.start;
        let kind = (table.half(at + 12)?, table.half(at + 14)?);
        if matches!(kind, (SERIAL, FULL_16550 | SUBSET_16450)) {
            let port = table.port(at + usize::from(table.half(at + 18)?))?;
            if port.is_some() {
                return Ok(port);
            }
        }
    }
    Ok(None)
}
