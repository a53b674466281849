//! The ACPI tables of a partition: as few as an operating system needs to find its CPUs and its serial port (ACPI 6.5, chapter 5).
//!
//! The machine is "hardware-reduced": it has no interval timer, interrupt controller, clock or power management of a PC's, but for the local
//! APICs, two ports that restart and stop the partition, and a 16550 without an interrupt.

use acpi_tables::Aml;
use acpi_tables::aml::{Device, EISAName, IO, Name, Package, ResourceTemplate, Scope};
use acpi_tables::fadt::{FADTBuilder, Flags};
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};
use acpi_tables::rsdp::Rsdp;
use acpi_tables::sdt::Sdt;
use acpi_tables::xsdt::XSDT;
use model::x86::{end, port};

use crate::range::AddressRange;

const OEM: [u8; 6] = *b"BULKHD";
const TABLE: [u8; 8] = *b"PARTITIO";

/// FADT, IA-PC boot architecture flags (5.2.9.3): no VGA; no clock in CMOS.
const NO_VGA: u16 = 1 << 2;
const NO_CLOCK: u16 = 1 << 5;

/// What a partition's tables say of it.
#[derive(Clone, Copy)]
pub(super) struct Machine<'a> {
    /// x2APIC identifiers of its CPUs.
    pub apics: &'a [u32],
    /// It has a serial port.
    pub console: bool,
    /// Its ends of channels.
    pub ends: &'a [SeenEnd<'a>],
}

/// An end of a channel as its partition is told of it.
#[derive(Clone, Copy)]
pub(super) struct SeenEnd<'a> {
    pub name: &'a str,
    pub seen: AddressRange,
    /// Its place in `ends`.
    pub number: u32,
    /// Flags of [`model::x86::end`].
    pub flags: u32,
}

/// The tables for the address `at`, a multiple of 16: the root pointer comes first.
pub(super) fn tables(at: u64, machine: &Machine<'_>) -> Vec<u8> {
    let mut bytes = vec![0; Rsdp::len().next_multiple_of(16)];
    let mut add = |table: &dyn Aml| {
        let place = at + bytes.len() as u64;
        table.to_aml_bytes(&mut bytes);
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        place
    };
    let dsdt = add(&dsdt(machine.console));
    let fadt = add(&fadt(dsdt));
    let madt = add(&madt(machine.apics));
    let ends = (!machine.ends.is_empty()).then(|| add(&ends(machine.ends)));
    let mut xsdt = XSDT::new(OEM, TABLE, 1);
    xsdt.add_entry(fadt);
    xsdt.add_entry(madt);
    if let Some(ends) = ends {
        xsdt.add_entry(ends);
    }
    let xsdt = add(&xsdt);
    let mut root = Vec::new();
    Rsdp::new(OEM, xsdt).to_aml_bytes(&mut root);
    bytes.splice(..root.len(), root);
    bytes
}

fn fadt(dsdt: u64) -> impl Aml {
    let byte = |port: u16| {
        let (space, access) = (AddressSpace::SystemIo, AccessSize::ByteAccess);
        GAS::new(space, 8, 0, access, port.into())
    };
    let mut fadt = FADTBuilder::new(OEM, TABLE, 1)
        .dsdt_64(dsdt)
        .flag(Flags::HwReducedAcpi)
        .flag(Flags::Wbinvd)
        .flag(Flags::ResetRegSup)
        // An interrupt command then names one CPU, as the hypervisor's filter wants it.
        .flag(Flags::ForceApicPhysicalDestinationMode);
    fadt.iapc_boot_arch = (NO_VGA | NO_CLOCK).into();
    fadt.reset_reg = byte(port::RESET);
    fadt.reset_value = port::RESET_VALUE;
    fadt.sleep_control_reg = byte(port::SLEEP_CONTROL);
    fadt.sleep_status_reg = byte(port::SLEEP_STATUS);
    fadt.finalize()
}

/// Multiple APIC description: local x2APICs alone (5.2.12.12).
fn madt(apics: &[u32]) -> Sdt {
    const HEADER: u32 = 44;
    const LOCAL_X2APIC: [u8; 4] = [9, 16, 0, 0];
    const ENABLED: u32 = 1;
    let mut madt = Sdt::new(*b"APIC", HEADER, 5, OEM, TABLE, 1);
    madt.write(36, 0xfee0_0000_u32);
    for (number, apic) in (0u32..).zip(apics) {
        madt.append_slice(&LOCAL_X2APIC);
        for word in [*apic, ENABLED, number] {
            madt.append_slice(&word.to_le_bytes());
        }
    }
    madt
}

/// Ends of channels: a table of Bulkhead's own, which other systems pass over.
fn ends(ends: &[SeenEnd<'_>]) -> Sdt {
    let mut table = Sdt::new(end::SIGNATURE, end::HEADER as u32, 1, OEM, TABLE, 1);
    for (index, one) in (0u32..).zip(ends) {
        let mut name = [0; 16];
        name.iter_mut()
            .zip(one.name.bytes())
            .for_each(|(to, from)| *to = from);
        table.append_slice(&name);
        for word in [one.seen.base, one.seen.size] {
            table.append_slice(&word.to_le_bytes());
        }
        for word in [one.number, one.flags, index, 0] {
            table.append_slice(&word.to_le_bytes());
        }
    }
    table
}

fn dsdt(console: bool) -> Sdt {
    let mut dsdt = Sdt::new(*b"DSDT", 36, 2, OEM, TABLE, 1);
    let mut body = Vec::new();
    let off = port::SOFT_OFF;
    let states = Package::new(vec![&off, &off, &0u8, &0u8]);
    Name::new("_S5_".into(), &states).to_aml_bytes(&mut body);
    if console {
        let identity = Name::new("_HID".into(), &EISAName::new("PNP0501"));
        let number = Name::new("_UID".into(), &0u8);
        let ports = IO::new(port::COM1, port::COM1, 0, port::COM1_PORTS);
        let resources = ResourceTemplate::new(vec![&ports]);
        let resources = Name::new("_CRS".into(), &resources);
        let serial = Device::new("COM1".into(), vec![&identity, &number, &resources]);
        Scope::new("\\_SB_".into(), vec![&serial]).to_aml_bytes(&mut body);
    }
    dsdt.append_slice(&body);
    dsdt
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u64 = 0xe_2000;

    fn word(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(*bytes[at..].first_chunk().unwrap())
    }

    /// Table `n` of the list, by its address.
    fn table(bytes: &[u8], n: usize) -> &[u8] {
        let list = (word(bytes, 24) - AT) as usize;
        at(bytes, word(bytes, list + 36 + 8 * n))
    }

    fn at(bytes: &[u8], address: u64) -> &[u8] {
        let table = &bytes[(address - AT) as usize..];
        let length = u32::from_le_bytes(*table[4..].first_chunk().unwrap());
        &table[..length as usize]
    }

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
    }

    fn written(console: bool) -> Vec<u8> {
        let apics = &[3, 5];
        tables(
            AT,
            &Machine {
                apics,
                console,
                ends: &[],
            },
        )
    }

    #[test]
    fn every_table_is_reached_from_the_root_and_has_its_checksum() {
        let bytes = written(true);
        assert_eq!(&bytes[..8], b"RSD PTR ");
        assert_eq!((sum(&bytes[..20]), sum(&bytes[..36])), (0, 0));
        let (fadt, madt) = (table(&bytes, 0), table(&bytes, 1));
        let dsdt = at(&bytes, word(fadt, 140));
        assert_eq!(
            (&fadt[..4], &madt[..4], &dsdt[..4]),
            (&b"FACP"[..], &b"APIC"[..], &b"DSDT"[..])
        );
        assert_eq!((sum(fadt), sum(madt), sum(dsdt)), (0, 0, 0));
    }

    #[test]
    fn machine_is_hardware_reduced_with_a_reset_register() {
        let bytes = written(true);
        let flags = u32::from_le_bytes(*table(&bytes, 0)[112..].first_chunk().unwrap());
        assert_eq!(
            flags & (1 << 20 | 1 << 19 | 1 << 10),
            1 << 20 | 1 << 19 | 1 << 10
        );
    }

    #[test]
    fn each_cpu_is_an_enabled_x2apic_of_its_identifier() {
        let bytes = written(true);
        let cpus = &table(&bytes, 1)[44..];
        let first = [9, 16, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        let second = [9, 16, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0];
        assert_eq!(cpus, [first, second].concat());
    }

    #[test]
    fn serial_port_is_there_only_with_a_console() {
        let has_port = |bytes: Vec<u8>| bytes.windows(4).any(|name| name == b"COM1");
        assert!(has_port(written(true)));
        assert!(!has_port(written(false)));
    }

    #[test]
    fn end_of_a_channel_is_an_entry_of_a_table_of_its_own() {
        let end = SeenEnd {
            name: "data",
            seen: AddressRange::new(0x20_0000, 0x3000).unwrap(),
            number: 1,
            flags: end::WRITABLE | end::RINGS,
        };
        let machine = Machine {
            apics: &[3],
            console: false,
            ends: &[
                SeenEnd {
                    name: "first",
                    ..end
                },
                end,
            ],
        };
        let bytes = tables(AT, &machine);
        let table = table(&bytes, 2);
        assert_eq!(
            (&table[..4], sum(table), table.len()),
            (&b"BHCH"[..], 0, 36 + 2 * 48)
        );
        let entry = &table[36 + 48..];
        assert_eq!(&entry[..16], b"data\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!((word(entry, 16), word(entry, 24)), (0x20_0000, 0x3000));
        assert_eq!((word(entry, 32), word(entry, 40)), (1 | 9 << 32, 1));
        // A partition without one has no such table.
        assert!(!written(true).windows(4).any(|bytes| bytes == b"BHCH"));
    }
}
