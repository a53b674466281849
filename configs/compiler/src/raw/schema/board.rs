//! `board.toml`: what a device tree cannot say about a board.

use super::{Kind, Table, maybe, optional, required};

pub(crate) const BOARD: Table = Table {
    name: "board",
    header: "board.toml",
    doc: "What a device tree cannot say about a board: `platforms/boards/<name>/board.toml`.",
    fields: &[
        required(
            "name",
            Kind::Text("name"),
            "\"qemu-virt-gicv3\"",
            "The board's name, the same as its folder's.",
        ),
        required(
            "description",
            Kind::Text("one line"),
            "\"QEMU virt with GICv3\"",
            "One line about the board.",
        ),
        required(
            "load",
            Kind::Address,
            "\"0x40200000\"",
            "Where the firmware puts the image: a multiple of 2 MiB in the board's memory.",
        ),
        required(
            "tree",
            Kind::Table(&TREE),
            "{ file = \"board.dtb\" }",
            "Where the board's device tree comes from.",
        ),
        maybe(
            "console",
            Kind::Text("device"),
            "`/chosen/stdout-path` of the tree",
            "\"uaa0\"",
            "The board's console, where the tree does not name it: a label, an alias or a full path.",
        ),
        maybe(
            "memory",
            Kind::List(&Kind::Table(&MEMORY_BANK)),
            "the memory nodes of the tree",
            "[{ base = \"0x0\", size = \"2GiB\" }]",
            "All RAM of the board, one `[[memory]]` a bank, where firmware fills it into the tree.",
        ),
        optional(
            "reserved",
            Kind::List(&Kind::Table(&RESERVED)),
            "[]",
            "[{ base = \"0x78000000\", size = \"32MiB\", owner = \"OP-TEE\" }]",
            "Memory that firmware keeps and the device tree does not reserve, one `[[reserved]]` each.",
        ),
        optional(
            "iommu",
            Kind::List(&Kind::Table(&IOMMU)),
            "[]",
            "[{ node = \"smmu\", stream_match_registers = 48, contexts = 16 }]",
            "What an IOMMU can hold, one `[[iommu]]` each.",
        ),
        optional(
            "v2m",
            Kind::List(&Kind::Table(&V2M)),
            "[]",
            "[{ node = \"/intc/v2m\", first = 80, count = 64 }]",
            "Which interrupts a GICv2m frame raises, one `[[v2m]]` each, where the tree does not say it.",
        ),
        maybe(
            "qemu",
            Kind::Table(&QEMU),
            "the system can be built but not run here",
            "{ machine = \"virt\", cpu = \"cortex-a57\", cpus = 4, memory = \"2GiB\" }",
            "The QEMU machine that stands for the board.",
        ),
    ],
};

pub(crate) const MEMORY_BANK: Table = Table {
    name: "memory",
    header: "[[memory]]",
    doc: "A bank of RAM.",
    fields: &[
        required("base", Kind::Address, "\"0x800000000\"", "Its first byte."),
        required("size", Kind::Size, "\"2GiB\"", "How much it is."),
    ],
};

pub(crate) const IOMMU: Table = Table {
    name: "iommu",
    header: "[[iommu]]",
    doc: "What an IOMMU can hold. Its identification registers say it; a device tree does not.",
    fields: &[
        required(
            "node",
            Kind::Text("device"),
            "\"smmu\"",
            "Its node in the device tree: a label, an alias or a full path.",
        ),
        maybe(
            "stream_match_registers",
            Kind::Number {
                least: 1,
                most: 128,
            },
            "the most that its architecture allows",
            "48",
            "How many streams an SMMUv2 can tell apart (SMMU_IDR0.NUMSMRG).",
        ),
        maybe(
            "contexts",
            Kind::Number {
                least: 1,
                most: 128,
            },
            "the most that its architecture allows",
            "16",
            "How many address spaces it can hold: context banks of an SMMUv2 (SMMU_IDR1.NUMCB), contexts of an IPMMU.",
        ),
        maybe(
            "stream_bits",
            Kind::Number { least: 1, most: 32 },
            "the most that its architecture allows",
            "16",
            "Width of a stream number (SMMU_IDR1.SIDSIZE of an SMMUv3, SMMU_IDR0.NUMSIDB of an SMMUv2).",
        ),
    ],
};

pub(crate) const V2M: Table = Table {
    name: "v2m",
    header: "[[v2m]]",
    doc: "Which interrupts a GICv2m frame raises (its register `MSI_TYPER`), where the device tree has no `arm,msi-base-spi`.",
    fields: &[
        required(
            "node",
            Kind::Text("device"),
            "\"/intc/v2m\"",
            "Its node in the device tree: a label, an alias or a full path.",
        ),
        required(
            "first",
            Kind::Number {
                least: 32,
                most: 1019,
            },
            "80",
            "INTID of the first one.",
        ),
        required(
            "count",
            Kind::Number {
                least: 1,
                most: 988,
            },
            "64",
            "How many follow one another.",
        ),
    ],
};

pub(crate) const RESERVED: Table = Table {
    name: "reserved",
    header: "[[reserved]]",
    doc: "Memory that firmware keeps and the device tree does not reserve.",
    fields: &[
        required("base", Kind::Address, "\"0x78000000\"", "Its first byte."),
        required("size", Kind::Size, "\"32MiB\"", "How much it is."),
        required(
            "owner",
            Kind::Text("one line"),
            "\"OP-TEE\"",
            "Who keeps it; findings and the report show that.",
        ),
    ],
};

pub(crate) const TREE: Table = Table {
    name: "tree",
    header: "[tree]",
    doc: "Where the board's device tree comes from: `qemu = true`, `file`, `package` with `path`, or `source` with `path`.",
    fields: &[
        optional(
            "qemu",
            Kind::Boolean,
            "false",
            "true",
            "The tree is dumped from the machine in `[qemu]`.",
        ),
        maybe(
            "file",
            Kind::Text("path"),
            "another field says it",
            "\"board.dtb\"",
            "A flattened device tree (`.dtb`), or source (`.dts`), relative to `board.toml`.",
        ),
        maybe(
            "package",
            Kind::Text("Debian package"),
            "another field says it",
            "\"linux-image-arm64\"",
            "A Debian kernel package that holds the compiled tree.",
        ),
        maybe(
            "source",
            Kind::Text("Debian package"),
            "another field says it",
            "\"linux-source-6.12\"",
            "A Debian kernel source package that holds the tree's source.",
        ),
        maybe(
            "path",
            Kind::Text("path"),
            "not in a package",
            "\"xilinx/zynqmp-zcu102-rev1.0.dtb\"",
            "Where the tree is in the package's folder of device trees, or below `arch/arm64/boot/dts` of the sources.",
        ),
    ],
};

pub(crate) const QEMU: Table = Table {
    name: "qemu",
    header: "[qemu]",
    doc: "The QEMU machine that stands for the board.",
    fields: &[
        required(
            "machine",
            Kind::Text("QEMU's `-M`"),
            "\"virt\"",
            "The machine.",
        ),
        required(
            "cpu",
            Kind::Text("QEMU's `-cpu`"),
            "\"cortex-a57\"",
            "The CPU model.",
        ),
        maybe(
            "cpus",
            Kind::Number {
                least: 1,
                most: 512,
            },
            "the machine's own number",
            "4",
            "How many CPUs it has. A run of `virt` starts only as many as the system uses.",
        ),
        required("memory", Kind::Size, "\"2GiB\"", "RAM."),
        optional(
            "serial",
            Kind::Number { least: 0, most: 15 },
            "0",
            "1",
            "Which of the machine's serial ports is the board's console: its place among QEMU's `-serial` options.",
        ),
        optional(
            "devices",
            Kind::List(&Kind::Text("QEMU's `-device`")),
            "[]",
            "[\"intel-iommu,intremap=on\"]",
            "Devices beside the machine's own, in this order.",
        ),
    ],
};
