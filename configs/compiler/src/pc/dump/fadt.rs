//! How the PC is turned off: the register is in the FADT (ACPI 6.5, 5.2.9), what is written there in the AML of the DSDT (7.4.2.6).

use super::Dump;
use super::table::{Fault, Signature, Table};

const PM1A_CONTROL: usize = 64;
const FLAGS: usize = 112;
const EXTENDED_PM1A_CONTROL: usize = 172;
/// Flag: the PC has no such registers.
const HARDWARE_REDUCED: u32 = 1 << 20;
/// Of PM1a_CNT: `SLP_EN`, and where `SLP_TYP` is.
const SLEEP_ENABLE: u16 = 1 << 13;
const SLEEP_TYPE: u32 = 10;

/// The register PM1a_CNT.
pub(super) fn control(table: &Table) -> Result<Option<u16>, Fault> {
    if table.word(FLAGS)? & HARDWARE_REDUCED != 0 {
        return Ok(None);
    }
    // Tables before ACPI 2.0 end before it.
    if table.len() >= EXTENDED_PM1A_CONTROL + 12
        && let Some(port) = table.port(EXTENDED_PM1A_CONTROL)?
    {
        return Ok(Some(port));
    }
    let port = table.word(PM1A_CONTROL)?;
    let fault = |_| Fault::new(PM1A_CONTROL, format!("{port:#x} is no I/O port"));
    u16::try_from(port)
        .map_err(fault)
        .map(|port| (port != 0).then_some(port))
}

/// What is written to PM1a_CNT: the constant `\_S5` of the DSDT. `None`: it has none that can be read without running AML.
pub(crate) fn soft_off(dump: &Dump) -> Option<u16> {
    let aml = dump.table(Signature::Dsdt)?.bytes();
    // NameOp, the name with or without its root, PackageOp (20.2.2, 20.2.5.1, 20.2.5.4).
    let names: [&[u8]; 2] = [b"\x08_S5_\x12", b"\x08\\_S5_\x12"];
    let behind = names.iter().find_map(|name| {
        let at = aml.windows(name.len()).position(|bytes| bytes == *name)?;
        aml.get(at + name.len()..)
    })?;
    // PkgLength has as many further bytes as bits 7:6 of its first one say (20.2.4); then comes how many elements there are.
    let more = usize::from(behind.first()? >> 6);
    let element = behind.get(2 + more..)?;
    let kind = match element {
        [0x00, ..] => 0,
        [0x01, ..] => 1,
        [0x0a, kind, ..] if *kind < 8 => u16::from(*kind),
        _ => return None,
    };
    Some(SLEEP_ENABLE | kind << SLEEP_TYPE)
}
