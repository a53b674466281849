//! `[[partition]]` and the tables in it.

use super::lifecycle::{FAULT_POLICIES, ON, ON_FAULT, START};
use super::vcpu::COMMON;
use super::{Field, HOUR, Kind, Table, VCPU, Word, maybe, optional, required, word};

pub(crate) const PARTITION: Table = Table {
    name: "partition",
    header: "[[partition]]",
    doc: "A partition is an isolated guest: virtual CPUs, memory, devices, an image, and the answer to its faults. The fields `pool` to \
          `windows` hold for each of its virtual CPUs that does not say otherwise.",
    fields: &FIELDS,
};

const FIELDS: [Field; 31] = {
    let [
        pool,
        affinity,
        period,
        budget,
        extra_time,
        priority,
        windows,
    ] = COMMON;
    [
        required(
            "name",
            Kind::Name,
            "\"linux\"",
            "The partition's name, unique. It prefixes the partition's console lines and names its log. `hv` is taken: it is the hypervisor's \
             own prefix.",
        ),
        pool,
        optional(
            "vcpus",
            Kind::OneOf(&[
                Kind::Number { least: 1, most: 8 },
                Kind::List(&Kind::Table(&VCPU)),
            ]),
            "1",
            "2",
            "The virtual CPUs, at most 8: how many, or a table for each one.",
        ),
        affinity,
        period,
        budget,
        extra_time,
        priority,
        windows,
        required(
            "memory",
            Kind::OneOf(&[
                Kind::Size,
                Kind::Table(&MEMORY),
                Kind::List(&Kind::OneOf(&[Kind::Size, Kind::Table(&MEMORY)])),
            ]),
            "\"256MiB\"",
            "The partition's RAM: a size, a region, or an array of regions. The first region holds the image and the device tree.",
        ),
        required(
            "image",
            Kind::OneOf(&[
                Kind::Text("source"),
                Kind::Table(&KERNEL),
                Kind::Table(&RAW_FILE),
            ]),
            "\"guest:rt\"",
            "What is loaded at each start. A source is a path relative to the system file, `debian:<package>`, `busybox` or `guest:<name>`. \
             A string stands for an arm64 Linux Image or a 64-bit Arm ELF file.",
        ),
        maybe(
            "overlay",
            Kind::Text("path"),
            "the generated tree stays as it is",
            "\"linux.dtso\"",
            "A device-tree overlay (`.dtbo` or `.dtso`) that is applied to the partition's generated tree. It is checked like the rest: it gives \
             nothing that the partition does not own.",
        ),
        optional(
            "console",
            Kind::OneOf(&[Kind::Word(&CONSOLES), Kind::Table(&CONSOLE)]),
            "\"none\"",
            "\"virtual\"",
            "The partition's console.",
        ),
        maybe(
            "gic",
            Kind::Word(&GIC_VERSIONS),
            "the board's version",
            "\"v2\"",
            "The version of the interrupt controller (Arm GIC) that the partition sees.",
        ),
        optional(
            "cpu_policy",
            Kind::Text("policy"),
            "\"full\"",
            "\"baseline\"",
            "On a PC, what the partition is shown of its CPUs: `full`, everything that partitions can have; `baseline`, little beyond x86-64-v2; or a \
             `[cpu_policies.<name>]` of the file.",
        ),
        optional(
            "devices",
            Kind::List(&Kind::OneOf(&[Kind::Text("device"), Kind::Table(&DEVICE)])),
            "[]",
            "[\"uart1\", { device = \"uart2\", clocks = [\"100MHz\"] }]",
            "Devices that are passed through: their registers are mapped and their interrupts delivered. A device is named by its label, \
             its alias or its full path in the board's tree.",
        ),
        optional(
            "interrupts",
            Kind::List(&Kind::Table(&INTERRUPT)),
            "[]",
            "[{ spi = 45, trigger = \"edge\" }]",
            "Shared peripheral interrupts that belong to no device of the tree.",
        ),
        optional(
            "dma",
            Kind::Word(&DMA),
            "\"protected\"",
            "\"trusted\"",
            "Whether the partition may own devices whose DMA nothing confines. It then needs memory with `identity = true`, as such a device knows no other \
             addresses.",
        ),
        optional(
            "psci",
            Kind::List(&Kind::Word(&PSCI_RIGHTS)),
            "[\"cpus\", \"off\", \"reset\", \"suspend\"]",
            "[\"cpus\"]",
            "What the partition may ask of PSCI. Each call acts on the partition only, never on the machine.",
        ),
        optional(
            "firmware_calls",
            Kind::OneOf(&[Kind::Boolean, Kind::Word(&MEDIATED)]),
            "false",
            "\"mediated\"",
            "Which calls to the firmware (SMCCC) beyond PSCI are passed on: none (`false`), all (`true`), or those that only concern what the \
             partition owns.",
        ),
        optional(
            "on_fault",
            Kind::OneOf(&[Kind::Word(&FAULT_POLICIES), Kind::Table(&ON_FAULT)]),
            "\"inject\"",
            "\"restart\"",
            "What happens when the partition accesses what it does not own.",
        ),
        maybe(
            "on",
            Kind::Table(&ON),
            "all answers are those of `on_fault`",
            "{ guest_panic = \"restart\" }",
            "What happens on single classes of failures.",
        ),
        optional(
            "may_control",
            Kind::List(&Kind::Text("partition")),
            "[]",
            "[\"linux\"]",
            "Partitions that this one may start, stop, restart, suspend and resume by calls to Bulkhead, and ask how they do.",
        ),
        optional(
            "may_watch",
            Kind::List(&Kind::Text("partition")),
            "[]",
            "[\"linux\"]",
            "Partitions of which this one may ask by a call to Bulkhead how they do.",
        ),
        optional(
            "may_read_console",
            Kind::List(&Kind::Text("partition")),
            "[]",
            "[\"linux\"]",
            "Partitions with a virtual console whose last text this one may read by a call to Bulkhead.",
        ),
        optional(
            "control_page",
            Kind::Boolean,
            "false",
            "true",
            "Whether programs of the partition make Bulkhead's own calls by a page of registers, as `bulkheadctl` does under Linux. It has something to \
             call for: `may_control`, `may_watch`, `may_read_console` or `watchdog`.",
        ),
        optional(
            "notify",
            Kind::List(&Kind::Text("partition")),
            "[]",
            "[\"supervisor\"]",
            "Partitions that are told of each failure of this one, by an interrupt and a call, beside the answer to it. They have this one in \
             `may_control` or `may_watch`.",
        ),
        maybe(
            "watchdog",
            Kind::Time {
                least: 1_000_000,
                most: HOUR,
            },
            "the partition is not watched",
            "\"500ms\"",
            "The partition is treated as faulty when it does not say within this time that it is alive.",
        ),
        optional(
            "pristine",
            Kind::Boolean,
            "false",
            "true",
            "Whether each start finds nothing of the run before: all its memory is cleared, and its image is compared with what was built. A partition \
             whose image is damaged is not started.",
        ),
        maybe(
            "interrupt_limit",
            Kind::Number {
                least: 10,
                most: 10_000_000,
            },
            "interrupts are not limited",
            "20000",
            "More interrupts a second of its own devices, timers and virtual CPUs, and doorbells rung by it, are a failure (`interrupt_storm`). They \
             are counted over 100 ms.",
        ),
        maybe(
            "start",
            Kind::Table(&START),
            "it starts at once",
            "{ after = [\"linux\"], delay = \"100ms\" }",
            "When the partition starts.",
        ),
    ]
};

const CONSOLES: [Word; 2] = [
    word(
        "virtual",
        "a virtual PL011 at the address of the board's console; its lines appear on the hypervisor's console, prefixed with the partition's name",
    ),
    word("none", "no console"),
];

const GIC_VERSIONS: [Word; 2] = [
    word(
        "v2",
        "a GICv2: on a board with a GICv3 for guests that know nothing newer, with each access to the CPU interface trapped, which is slow",
    ),
    word("v3", "a GICv3: only on a board with a GICv3"),
];

const DMA: [Word; 2] = [
    word(
        "protected",
        "each device that can do DMA must be behind an IOMMU, which confines it to the partition",
    ),
    word(
        "trusted",
        "devices behind no IOMMU are allowed; they can reach all memory, and the report shows that in red",
    ),
];

const PSCI_RIGHTS: [Word; 4] = [
    word("cpus", "turn its virtual CPUs on and off (CPU_ON, CPU_OFF)"),
    word("off", "end (SYSTEM_OFF)"),
    word("reset", "start again (SYSTEM_RESET)"),
    word(
        "suspend",
        "sleep until an interrupt (CPU_SUSPEND, SYSTEM_SUSPEND)",
    ),
];

const MEDIATED: [Word; 1] = [word(
    "mediated",
    "calls about clocks, resets and power domains of devices that the partition owns",
)];

pub(crate) const MEMORY: Table = Table {
    name: "memory",
    header: "memory = { … }",
    doc: "A region of RAM.",
    fields: &[
        required(
            "size",
            Kind::Size,
            "\"256MiB\"",
            "How large it is: a multiple of 4KiB.",
        ),
        maybe(
            "at",
            Kind::Address,
            "the board's RAM base for the first region, else after the region before, at a multiple of 2 MiB",
            "\"0x80000000\"",
            "The intermediate physical address (IPA): where the partition sees it.",
        ),
        maybe(
            "address",
            Kind::Address,
            "the compiler chooses it",
            "\"0x60000000\"",
            "The physical address (PA): where it really lies.",
        ),
        optional(
            "align",
            Kind::Size,
            "\"2MiB\"",
            "\"4KiB\"",
            "What the physical address is a multiple of: a power of two, at least 4KiB.",
        ),
        optional(
            "identity",
            Kind::Boolean,
            "false",
            "true",
            "The partition sees the region where it really lies (IPA = PA). Not together with `at`.",
        ),
    ],
};

/// Where an image lies that is a file of its own.
const ADDRESS: Field = maybe(
    "address",
    Kind::Address,
    "it lies in the hypervisor's image",
    "\"0x60000000\"",
    "Where it lies in the board's RAM, as a file of its own that the boot loader puts there (`PARTITION.bin`); a multiple of 4KiB. Nobody else gets that memory, and the partition starts only when the file's SHA-256 is that of the build.",
);

pub(crate) const KERNEL: Table = Table {
    name: "kernel",
    header: "image = { kernel = … }",
    doc: "A Linux kernel with what goes with it.",
    fields: &[
        required(
            "kernel",
            Kind::Text("source"),
            "\"debian:linux-image-cloud-arm64\"",
            "An uncompressed arm64 Linux Image; on a PC an x86 one (`bzImage`).",
        ),
        maybe(
            "initrd",
            Kind::Text("source"),
            "there is none",
            "\"busybox\"",
            "The initial RAM disk.",
        ),
        maybe(
            "cmdline",
            Kind::Text("command line"),
            "it is empty",
            "\"console=ttyAMA0\"",
            "The kernel's command line (`bootargs`).",
        ),
        ADDRESS,
    ],
};

pub(crate) const RAW_FILE: Table = Table {
    name: "raw-file",
    header: "image = { file = … }",
    doc: "A file: an arm64 Linux Image or an ELF file, which says itself where it goes, or raw bytes with an `entry`.",
    fields: &[
        required(
            "file",
            Kind::Text("source"),
            "\"firmware.bin\"",
            "The file.",
        ),
        maybe(
            "entry",
            Kind::Address,
            "the file says it itself",
            "\"0x40000000\"",
            "Where the first virtual CPU starts, as the partition sees it. Only for raw bytes, and required for them.",
        ),
        maybe(
            "load",
            Kind::Address,
            "the board's RAM base",
            "\"0x40000000\"",
            "Where the bytes go, as the partition sees it. Only together with `entry`.",
        ),
        ADDRESS,
    ],
};

pub(crate) const CONSOLE: Table = Table {
    name: "console",
    header: "console = { … }",
    doc: "A serial port that is passed through and becomes the guest's `stdout-path`.",
    fields: &[required(
        "device",
        Kind::Text("device"),
        "\"uart1\"",
        "The serial port.",
    )],
};

const DEVICE_ACCESS: [Word; 2] = [
    word("exclusive", "the partition is the only owner"),
    word(
        "read-only",
        "several partitions may list the device, all of them so; none can write its registers",
    ),
];

pub(crate) const DEVICE: Table = Table {
    name: "device",
    header: "devices = [{ … }]",
    doc: "A device that is passed through in a special way.",
    fields: &[
        required(
            "device",
            Kind::Text("device"),
            "\"uart2\"",
            "The device: its label, alias or path. A function of a PCI host bridge comes behind the bridge: `/pcie@10000000/00:03.0`, with bus, device and \
             function as `lspci` writes them. Bridges to it stand before it: `/pcie@10000000/00:02.0/01:00.0`.",
        ),
        maybe(
            "clocks",
            Kind::List(&Kind::Frequency),
            "the device keeps its clocks as the board's tree has them",
            "[\"100MHz\"]",
            "Fixed clocks that stand for the entries of the node's `clocks`, in order. The hardware must really run at these frequencies.",
        ),
        optional(
            "without",
            Kind::List(&Kind::Text("property")),
            "[]",
            "[\"resets\", \"power-domains\"]",
            "Properties that the partition does not see: those that name other nodes, `pinctrl` for all pin states, `interrupts`, or a property of a subnode (`ethernet-phy@c/reset-gpios`). What they name stays as the firmware left it; the report lists them. The name of a subnode leaves that out.",
        ),
        optional(
            "access",
            Kind::Word(&DEVICE_ACCESS),
            "\"exclusive\"",
            "\"read-only\"",
            "Who else may have the device.",
        ),
        maybe(
            "id",
            Kind::Text("vendor:device"),
            "any function may be there",
            "\"8086:10d3\"",
            "Only for a PCI function: vendor and device that it must have, in hexadecimal. The boot stops when another one is there.",
        ),
        optional(
            "window",
            Kind::Size,
            "\"1MiB\"",
            "\"16MiB\"",
            "Only for a PCI function: how much of the bridge's 32-bit memory its BARs get, a power of two of at least 4KiB. The boot stops when they do not fit.",
        ),
        maybe(
            "high_window",
            Kind::Size,
            "all BARs are in `window`",
            "\"8GiB\"",
            "Only for a PCI function: how much of the bridge's 64-bit memory its BARs of 64 bits get, a power of two of at least 4KiB. Behind another bridge only those that may be prefetched go there. The boot stops when they do not fit.",
        ),
        optional(
            "vectors",
            Kind::Number { least: 1, most: 64 },
            "32",
            "5",
            "Only for a PCI function: how many messages (MSI, MSI-X) it may be told to use.",
        ),
        maybe(
            "pin",
            Kind::Word(&PINS),
            "the function interrupts by messages only",
            "\"A\"",
            "Only for a PCI function: the pin by which it interrupts. `lspci -v` shows it. Its interrupt, by the host bridge's `interrupt-map`, goes to the partition, and to no other one. The boot stops when the function has another pin.",
        ),
        optional(
            "acs",
            Kind::Boolean,
            "false",
            "true",
            "Only for a PCI function behind bridges: each of them is a port of PCI Express with access control services (ACS), so that different partitions may have what is behind it. The boot turns ACS on, and stops when a bridge has none.",
        ),
    ],
};

const PINS: [Word; 4] = [
    word("A", "INTA#"),
    word("B", "INTB#"),
    word("C", "INTC#"),
    word("D", "INTD#"),
];

const TRIGGERS: [Word; 2] = [
    word("level", "asserted until the device is served"),
    word("edge", "one pulse, one interrupt"),
];

pub(crate) const INTERRUPT: Table = Table {
    name: "interrupt",
    header: "interrupts = [{ … }]",
    doc: "A shared peripheral interrupt (SPI) without a device.",
    fields: &[
        required(
            "spi",
            Kind::Number {
                least: 0,
                most: 987,
            },
            "45",
            "Its number as in a device tree: the INTID minus 32.",
        ),
        required(
            "trigger",
            Kind::Word(&TRIGGERS),
            "\"edge\"",
            "How its line signals.",
        ),
    ],
};
