//! `board.toml` of a PC.

use super::board::{MEMORY_BANK, QEMU};
use super::{Kind, Table, maybe, optional, required};

pub(crate) const PC_BOARD: Table = Table {
    name: "pc-board",
    header: "board.toml of a PC",
    doc: "A PC: `x86-port/boards/<name>/board.toml`. It has no device tree. Its ACPI tables, its memory map and its PCI functions are in the dump that `tables` names, and the file says what a dump does not; without one it says everything.",
    fields: &[
        required(
            "name",
            Kind::Text("name"),
            "\"x86-qemu\"",
            "The board's name, the same as its folder's.",
        ),
        required(
            "description",
            Kind::Text("one line"),
            "\"QEMU q35\"",
            "One line about the board.",
        ),
        required(
            "load",
            Kind::Address,
            "\"0x200000\"",
            "Where the image is loaded, which is where it is linked.",
        ),
        maybe(
            "memory",
            Kind::List(&Kind::Table(&MEMORY_BANK)),
            "all RAM from 1 MiB on in the memory map of the dump; required without one",
            "[{ base = \"0x100000\", size = \"1023MiB\" }]",
            "RAM that firmware leaves to the system, one `[[memory]]` a bank. Compared with the boot loader's memory map at boot.",
        ),
        required(
            "pc",
            Kind::Table(&PC),
            "{ cpus = [0, 1], console = \"0x3f8\" }",
            "What makes it a PC.",
        ),
        maybe(
            "qemu",
            Kind::Table(&QEMU),
            "the system can be built but not run here",
            "{ machine = \"q35\", cpu = \"max\", cpus = 4, memory = \"1GiB\" }",
            "The QEMU machine that stands for the board.",
        ),
    ],
};

pub(crate) const PC: Table = Table {
    name: "pc",
    header: "[pc]",
    doc: "What makes a board a PC.",
    fields: &[
        maybe(
            "tables",
            Kind::Text("path"),
            "the fields below and `[[memory]]` say it",
            "\"acpi.txt\"",
            "The dump of the PC's ACPI tables, memory map and PCI functions, relative to `board.toml`: what `x86-port/boards/dump.sh` prints under any Linux. What the fields below say instead must not contradict it.",
        ),
        maybe(
            "cpus",
            Kind::List(&Kind::Number {
                least: 0,
                most: u32::MAX - 1,
            }),
            "those of the tables; required without",
            "[0, 1, 2, 3]",
            "x2APIC identifiers of its CPUs, as its MADT lists them (ACPI 6.5, 5.2.12). System files number them from 0 in this order.",
        ),
        maybe(
            "console",
            Kind::Address,
            "the 16550 that the SPCR or the DBG2 names; required where there is none",
            "\"0x3f8\"",
            "First I/O port of the 16550 that is its console.",
        ),
        maybe(
            "power_off",
            Kind::Table(&POWER_OFF),
            "its CPUs wait for ever instead",
            "{ port = \"0x604\", value = \"0x2000\" }",
            "How it is turned off.",
        ),
        maybe(
            "remapping",
            Kind::Address,
            "all units of the DMAR; without one no device can be given away",
            "\"0xfed90000\"",
            "Registers of the VT-d unit that remaps the DMA of the PCI functions below, as its DMAR lists them (Intel 671081, 8.3): 4 KiB. Where the DMAR has further units, they stay as firmware leaves them.",
        ),
        optional(
            "functions",
            Kind::List(&Kind::Table(&PC_FUNCTION)),
            "[]",
            "[{ function = \"00:04.0\", bars = [{ base = \"0xe0000000\", size = \"1MiB\" }] }]",
            "PCI functions that partitions may own, and where the hypervisor puts their BARs.",
        ),
    ],
};

pub(crate) const PC_FUNCTION: Table = Table {
    name: "pc-function",
    header: "functions",
    doc: "A PCI function of a PC.",
    fields: &[
        required(
            "function",
            Kind::Text("address"),
            "\"00:04.0\"",
            "Bus, device and function as `lspci` writes them. The bus is 00: functions behind a bridge may reach one another without passing the unit.",
        ),
        maybe(
            "bars",
            Kind::List(&Kind::Table(&MEMORY_BANK)),
            "where the dump has them; required without one",
            "[{ base = \"0xe0000000\", size = \"1MiB\" }]",
            "Where its BARs of 32 bits are put, the first one first: addresses that no other device answers to. At least a page each, at a multiple of its size. A function with BARs for I/O ports before others needs the dump; nobody gets the ports.",
        ),
        maybe(
            "msix",
            Kind::Table(&MSIX),
            "it has one message (MSI), or none",
            "{ bar = 3, offset = \"0x0\", entries = 5 }",
            "The table of its MSI-X capability. Partitions do not see its pages: the hypervisor writes it.",
        ),
    ],
};

pub(crate) const MSIX: Table = Table {
    name: "msix",
    header: "msix",
    doc: "Where a PCI function has its table of messages (PCI Local Bus Specification 3.0, 6.8.2), as `lspci -v` prints it: `Count=5`, `Vector table: BAR=3 offset=00000000`.",
    fields: &[
        required(
            "bar",
            Kind::Number { least: 0, most: 5 },
            "3",
            "The BAR that it lies in.",
        ),
        required(
            "offset",
            Kind::Address,
            "\"0x0\"",
            "Where it begins in the BAR, a multiple of 8.",
        ),
        required(
            "entries",
            Kind::Number {
                least: 1,
                most: model::x86::MessageTable::MOST as u32,
            },
            "5",
            "How many messages it has. All functions that partitions own have at most 256 together, one that has no table counting as one.",
        ),
    ],
};

pub(crate) const POWER_OFF: Table = Table {
    name: "power-off",
    header: "power_off",
    doc: "The 16-bit write that turns a PC off.",
    fields: &[
        maybe(
            "port",
            Kind::Address,
            "as the FADT of the dump has it; required without",
            "\"0x604\"",
            "The register PM1a_CNT, as the FADT has it (ACPI 6.5, 4.8.3.2.1).",
        ),
        required(
            "value",
            Kind::Address,
            "\"0x2000\"",
            "`SLP_EN` (0x2000) with the `SLP_TYP` of `\\_S5` in bits 10 to 12.",
        ),
    ],
};
