//! Dumps of QEMU's q35, of PCs that are put together here, and of none.

use std::path::Path;

use model::x86::MessageTable;
use proptest::prelude::*;

use super::*;

/// The dump of a board of this checkout.
pub(super) const Q35: &str = include_str!("../../../../../x86-port/boards/x86-qemu-vtd/acpi.txt");

fn read(bytes: &[u8]) -> Result<Dump, Box<Diagnostic>> {
    Dump::read(bytes, Path::new("lab.txt"))
}

fn facts(bytes: &[u8]) -> Facts {
    Facts::of(&read(bytes).unwrap()).unwrap()
}

/// What is refused, with its line, 0 for none.
fn refusal(bytes: &[u8]) -> (usize, String) {
    let finding = match read(bytes) {
        Err(finding) => *finding,
        Ok(dump) => Facts::of(&dump).unwrap_err().iter().next().unwrap().clone(),
    };
    assert_eq!(finding.code, codes::BAD_TABLES);
    (
        finding.location.map_or(0, |place| place.line),
        finding.message,
    )
}

/// A table with a header and a right checksum.
pub(in crate::pc) fn table(name: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.extend((table::HEADER as u32 + body.len() as u32).to_le_bytes());
    bytes.resize(table::HEADER, 0);
    bytes.extend(body);
    let sum = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    bytes[9] = 0u8.wrapping_sub(sum);
    bytes
}

fn address(text: &str) -> FunctionAddress {
    FunctionAddress::parse(text).unwrap()
}

fn range(base: u64, size: u64) -> AddressRange {
    AddressRange::new(base, size).unwrap()
}

/// A structure of the DMAR or of its scopes: a head, and what follows it.
fn joined(head: &[u8], rest: &[&[u8]]) -> Vec<u8> {
    [head, &rest.concat()].concat()
}

/// The body of a DMAR: a unit for 00:02.0, one for all others, and memory for 00:14.0.
pub(in crate::pc) fn dmar() -> Vec<u8> {
    let scope = |device: u8| [1, 8, 0, 0, 0, 0, device, 0];
    let registers = |at: u64| at.to_le_bytes();
    joined(
        &[0; 12],
        &[
            &joined(
                &[0, 0, 24, 0, 0, 0, 0, 0],
                &[&registers(0xfed9_0000), &scope(2)],
            ),
            &joined(&[0, 0, 16, 0, 1, 0, 0, 0], &[&registers(0xfed9_1000)]),
            // Of a kind that is not read.
            &[3, 0, 6, 0, 0, 0],
            &joined(
                &[1, 0, 32, 0, 0, 0, 0, 0],
                &[
                    &registers(0x7f00_0000),
                    &registers(0x7f0f_ffff),
                    &scope(0x14),
                ],
            ),
        ],
    )
}

#[test]
fn dump_of_q35_says_what_qemu_was_asked_for() {
    let facts = facts(Q35.as_bytes());
    assert_eq!(facts.cpus, [0, 1, 2, 3]);
    assert_eq!(facts.ram, [range(0x10_0000, 0x3fee_0000)]);
    assert_eq!((facts.console, facts.control), (None, Some(0x604)));
    let [unit] = &facts.units[..] else {
        panic!("{:?}", facts.units)
    };
    assert_eq!(unit.registers, 0xfed9_0000);
    let edu = address("00:04.0");
    assert_eq!(facts.unit_of(edu), Some(unit));
    // Nobody plugged anything in there.
    assert_eq!(facts.unit_of(address("00:05.0")), None);
    let bar = range(0xfea0_0000, 1 << 20);
    let placeable = |name| facts.function(address(name)).unwrap().placeable();
    assert_eq!(placeable("00:04.0"), Some(vec![Some(bar)]));
    // Behind five BARs that are none for memory, SATA has one; the last function has I/O ports alone.
    let last = range(0xfeb8_4000, 0x1000);
    let sata = [None, None, None, None, None, Some(last)];
    assert_eq!(placeable("00:1f.2"), Some(sata.to_vec()));
    assert_eq!(placeable("00:1f.3"), None);
    let nic = facts.function(address("00:06.0")).unwrap().messages;
    let expected = MessageTable {
        bar: 3,
        offset: 0,
        entries: 5,
    };
    assert_eq!(nic, Some(expected));
    assert_eq!(
        facts.taken(range(0xb000_0000, 4096)).unwrap().1,
        "what firmware keeps"
    );
    assert_eq!(facts.taken(bar), None);
}

#[test]
fn kept_text_is_read_as_the_dump_was() {
    let dump = read(Q35.as_bytes()).unwrap();
    assert_eq!(dump.text(), Q35);
}

#[test]
fn binary_tables_and_acpidumps_text_are_read_as_well() {
    let madt = table("APIC", &[&[0; 8][..], &[0, 8, 7, 7, 1, 0, 0, 0]].concat());
    let other = table("SSDT", &[0; 3]);
    let binary = facts(&[other, madt.clone()].concat());
    assert_eq!((binary.cpus, binary.ram), (vec![7], vec![]));
    let mut text = String::from(
        "SSDT @ 0x00000000\n    0000: 00                              .\n\nAPIC @ 0x00000000BFFE0000\n",
    );
    for (number, line) in madt.chunks(16).enumerate() {
        let bytes: Vec<String> = line.iter().map(|byte| format!("{byte:02X}")).collect();
        text += &format!(
            "    {:04X}: {:<47}  AB CD EF\r\n",
            number * 16,
            bytes.join(" ")
        );
    }
    text += "[    0.000000] BIOS-e820: [mem 0x0000000000100000-0x00000000001fffff] usable\n";
    let text = facts(text.as_bytes());
    assert_eq!(
        (text.cpus, text.ram),
        (vec![7], vec![range(0x10_0000, 0x10_0000)])
    );
}

#[test]
fn cpus_that_cannot_be_used_are_passed_over_and_one_listed_twice_counts_once() {
    let x2apic = |id: u32, flags: u8| {
        let id = id.to_le_bytes();
        [&[9, 16, 0, 0][..], &id, &[flags, 0, 0, 0, 0, 0, 0, 0]].concat()
    };
    let body = [
        &[0; 8][..],
        &[0, 8, 0, 2, 1, 0, 0, 0],
        &[0, 8, 0, 3, 0, 0, 0, 0],
        &[1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &x2apic(2, 1),
        &x2apic(0x1234, 1),
        &x2apic(0x1235, 0),
    ];
    assert_eq!(facts(&table("APIC", &body.concat())).cpus, [2, 0x1234]);
}

#[test]
fn function_is_behind_the_unit_that_lists_it_else_behind_the_one_for_all() {
    let facts = facts(&table("DMAR", &dmar()));
    let unit = |name| facts.unit_of(address(name)).map(|unit| unit.registers);
    assert_eq!(
        [unit("00:02.0"), unit("00:03.0")],
        [Some(0xfed9_0000), Some(0xfed9_1000)]
    );
    let reserved = |name| facts.reserved_for(address(name));
    assert_eq!(
        [reserved("00:02.0"), reserved("00:14.0")],
        [None, Some(range(0x7f00_0000, 1 << 20))]
    );
}

#[test]
fn amd_vi_is_known_of_and_is_no_unit() {
    let facts = facts(&table("IVRS", &[0; 12]));
    assert_eq!((facts.amd_vi, facts.units.len()), (true, 0));
    assert!(!super::tests::facts(&table("DMAR", &dmar())).amd_vi);
}

#[test]
fn console_is_the_systems_else_the_first_for_debuggers_at_an_io_port() {
    let port = |space: u8, port: u16| {
        let [low, high] = port.to_le_bytes();
        [space, 8, 0, 1, low, high, 0, 0, 0, 0, 0, 0]
    };
    let spcr = |kind: u8, space: u8| {
        table(
            "SPCR",
            &[&[kind, 0, 0, 0][..], &port(space, 0x2f8), &[0; 28]].concat(),
        )
    };
    let device = |kind: u8, space: u8| {
        let head = [
            0, 34, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, kind, 0, 0, 0, 22, 0, 0, 0,
        ];
        [&head[..], &port(space, 0x3e8)].concat()
    };
    let debug = [&[44, 0, 0, 0, 2, 0, 0, 0][..], &device(3, 0), &device(0, 1)].concat();
    let debug = table("DBG2", &debug);
    for (dump, expected) in [
        (spcr(0, 1), Some(0x2f8)),
        // In memory, and a PL011.
        (spcr(0, 0), None),
        (spcr(3, 1), None),
        (debug.clone(), Some(0x3e8)),
        ([spcr(3, 1), debug.clone()].concat(), Some(0x3e8)),
        ([spcr(0, 1), debug].concat(), Some(0x2f8)),
    ] {
        assert_eq!(facts(&dump).console, expected);
    }
}

#[test]
fn soft_off_is_read_where_it_is_a_constant() {
    for (aml, expected) in [
        (&b"\x08_S5_\x12\x06\x04\0\0\0\0"[..], Some(0x2000)),
        (b"\x08\\_S5_\x12\x08\x04\x0a\x05\x0a\x05\0\0", Some(0x3400)),
        (b"\x08_S5_\x12\x46\0\x02\x01\0", Some(0x2400)),
        // Not a constant, out of range, cut off, and another name.
        (b"\x08_S5_\x12\x06\x04SLPT", None),
        (b"\x08_S5_\x12\x08\x04\x0a\x08\0\0", None),
        (b"\x08_S5_\x12", None),
        (b"\x08_S4_\x12\x06\x04\0\0\0\0", None),
    ] {
        let dump = read(&table("DSDT", aml)).unwrap();
        assert_eq!(soft_off(&dump), expected, "{aml:?}");
        assert!(!dump.text().contains("DSDT"));
    }
}

#[test]
fn ram_is_what_nothing_else_claims_in_whole_pages_above_the_first_mebibyte() {
    let dump = "[mem 0x0-0x1fffff] System RAM\n[mem 0x300800-0x3fffff] usable\n[mem 0x180000-0x180fff] ACPI Tables\n\
        [mem 0xfffffffffffff000-0xffffffffffffffff] Reserved\n";
    let ram = facts(format!("X @ 0x0\n{dump}").as_bytes()).ram;
    assert_eq!(
        ram,
        [
            range(0x10_0000, 0x8_0000),
            range(0x18_1000, 0x7_f000),
            range(0x30_1000, 0xf_f000)
        ]
    );
}

#[test]
fn damage_is_told_with_its_line() {
    let q35 = |from: &str, to: &str| {
        assert!(Q35.contains(from), "{from}");
        Q35.replacen(from, to, 1).into_bytes()
    };
    for (bytes, line, what) in [
        (
            q35("44 4d 41 52", "44 4d 41 53"),
            13,
            "begin with its signature",
        ),
        (q35("49 42 4f 43", "49 42 4f 44"), 3, "checksum"),
        (q35("    0010:", "    0020:"), 4, "0x10 is next"),
        (
            q35(" 4f 43 48 53 20", " 4f 43 48 53"),
            4,
            "is for byte 0x10",
        ),
        (q35(" 41 50 49 43", " 41 50 4x 43"), 3, "no byte"),
        (
            q35("[mem 0x0000000000100000", "[mem 0x9000000000000000"),
            0,
            "memory map",
        ),
        (q35("# end\n", ""), 0, "cut off"),
        (
            q35("0x1234 0x11e8", "0x11e8"),
            0,
            "vendor, device and class",
        ),
        (
            q35("pci 0000:00:04.0", "pci 0000:00:44.0"),
            0,
            "no PCI function",
        ),
        (q35("MCFG @", "APIC @"), 0, "begin with its signature"),
        (q35("[mem", "garbage"), 0, "of no kind"),
        (
            q35("msix 0x3 0x0 0x5", "msix 0x6 0x0 0x5"),
            0,
            "a table of messages",
        ),
        (
            q35("msix 0x3 0x0 0x5", "msix 0x3 0x100000000 0x5"),
            0,
            "a table of messages",
        ),
        (
            q35("msix 0x3 0x0 0x5", "msix 0x3 0x0 0x801"),
            0,
            "a table of messages",
        ),
        (
            q35("msix 0x3 0x0 0x5", "msix 0x3 0x0 0x0"),
            0,
            "a table of messages",
        ),
        (
            q35("msix 0x3 0x0 0x5", "msix 0x3 0x0"),
            0,
            "a table of messages",
        ),
        (
            q35("pci 0000:00:00.0", "    msix 0x3 0x0 0x5\npci 0000:00:00.0"),
            0,
            "of no function",
        ),
        (
            table("APIC", &[&[0; 8][..], &[0, 0]].concat()),
            0,
            "0 bytes",
        ),
        (
            table("APIC", &[&[0; 8][..], &[0, 8, 0]].concat()),
            0,
            "8 bytes",
        ),
        (
            table("APIC", &[&[0; 8][..], &[9, 8, 0, 0, 0, 0, 0, 0]].concat()),
            0,
            "16 are needed",
        ),
        (table("DMAR", &dmar()[..40]), 0, "16 bytes"),
        (
            table("DMAR", &[&[0; 12][..], &[0, 0, 4, 0]].concat()),
            0,
            "within",
        ),
        (table("FACP", &[]), 0, "within"),
        (table("MCFG", &[0; 10]), 0, "16 bytes"),
        (table("DBG2", &[0; 8]), 0, "cannot begin"),
        (table("APIC", &[])[..30].to_vec(), 0, "cut off"),
        (
            [table("MCFG", &[0; 8]), table("MCFG", &[0; 8])].concat(),
            0,
            "two of it",
        ),
    ] {
        let (found, message) = refusal(&bytes);
        assert!(message.contains(what), "{what}: {message}");
        assert!(
            line == 0 || found == line,
            "{what}: line {found}, {message}"
        );
    }
}

#[test]
fn device_tree_is_no_dump() {
    assert!(Dump::is_one(Q35.as_bytes()));
    assert!(Dump::is_one(&table("APIC", &[])));
    for other in [
        &b"\xd0\x0d\xfe\xed\0\0"[..],
        b"/dts-v1/;\n/ { };\n",
        b"",
        b"APIC",
    ] {
        assert!(!Dump::is_one(other));
    }
}

proptest! {
    #[test]
    fn changed_byte_of_a_table_is_refused(at in 0usize..table("DMAR", &dmar()).len(), change in 1u8..) {
        let mut bytes = table("DMAR", &dmar());
        bytes[at] ^= change;
        // A table of another name is not looked at.
        prop_assert!(read(&bytes).map_or(true, |dump| dump.tables.is_empty()));
    }

    #[test]
    fn tables_with_right_sums_and_any_content_are_read_or_refused(
        name in prop::sample::select(vec!["APIC", "DBG2", "DMAR", "FACP", "IVRS", "MCFG", "SPCR", "DSDT"]),
        body in prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(8), Just(16), Just(0xff), any::<u8>()], 0..200),
    ) {
        let dump = read(&table(name, &body)).unwrap();
        let _ = (Facts::of(&dump), soft_off(&dump));
    }

    #[test]
    fn damaged_text_is_read_or_refused(at in 0..Q35.len(), length in 0usize..40, put in "[ -~\n]{0,20}") {
        let end = (at + length).min(Q35.len());
        let text = [&Q35[..at], &put, &Q35[end..]].concat();
        let _ = read(text.as_bytes()).map(|dump| Facts::of(&dump).map(|facts| facts.ram.len()));
    }
}
