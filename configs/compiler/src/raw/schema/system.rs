//! The file as a whole, `[system]`, `[hypervisor]` and `[pools.NAME]`.

use super::{
    CHANNEL, HOUR, Kind, PARTITION, SHORTEST, Table, Word, maybe, optional, required, word,
};

pub(crate) const ROOT: Table = Table {
    name: "file",
    header: "SYSTEM.toml",
    doc: "A system file is one TOML file. It describes one system: its board, its pools of CPUs, its partitions and their channels.",
    fields: &[
        required(
            "system",
            Kind::Table(&SYSTEM),
            "{ name = \"demo\", board = \"qemu-virt-gicv3\" }",
            "What the system is and which board it is for.",
        ),
        maybe(
            "hypervisor",
            Kind::Table(&HYPERVISOR),
            "all defaults",
            "{ end = \"reset\" }",
            "What the hypervisor itself does.",
        ),
        required(
            "pools",
            Kind::Named(&POOL),
            "{ main = { policy = \"dedicated\", cpus = [0] } }",
            "The pools of physical CPUs, one table each: `[pools.main]`.",
        ),
        maybe(
            "cpu_policies",
            Kind::Named(&CPU_POLICY),
            "only those that are built in",
            "{ plain = { hide = [\"avx\", \"rdrand\"] } }",
            "On a PC, what partitions can be shown of their CPUs, one table each: `[cpu_policies.plain]`. `full` and `baseline` are built in.",
        ),
        required(
            "partition",
            Kind::List(&Kind::Table(&PARTITION)),
            "[{ name = \"linux\", pool = \"main\", memory = \"256MiB\", image = \"Image\" }]",
            "The partitions, one `[[partition]]` each: at least one, at most 255.",
        ),
        optional(
            "channel",
            Kind::List(&Kind::Table(&CHANNEL)),
            "[]",
            "[{ name = \"data\", size = \"64KiB\", ends = [{ partition = \"linux\" }, { partition = \"rt\" }] }]",
            "Memory that partitions share, one `[[channel]]` each: at most 64.",
        ),
    ],
};

pub(crate) const CPU_POLICY: Table = Table {
    name: "cpu-policy",
    header: "[cpu_policies.NAME]",
    doc: "What a partition is shown of a PC's CPUs ([CPU policies](x86.md#cpu-policies)).",
    fields: &[required(
        "hide",
        Kind::List(&Kind::Text("feature")),
        "[\"avx\", \"rdrand\"]",
        "The features that CPUID does not show, as Linux's `/proc/cpuinfo` calls them. Those that cannot be without one of them are hidden, too.",
    )],
};

pub(crate) const SYSTEM: Table = Table {
    name: "system",
    header: "[system]",
    doc: "What the system is and which board it is for.",
    fields: &[
        required(
            "name",
            Kind::Name,
            "\"demo\"",
            "The system's name. The build goes to `target/bulkhead/<board>/<name>/`.",
        ),
        required(
            "board",
            Kind::Text("board"),
            "\"qemu-virt-gicv3\"",
            "The board that the image is for: the name of a folder of `platforms/boards`.",
        ),
        maybe(
            "description",
            Kind::Text("one line"),
            "the report shows none",
            "\"Linux beside a motor controller\"",
            "One line about the system, shown at the head of the report.",
        ),
        optional(
            "overlays",
            Kind::List(&Kind::Text("path")),
            "[]",
            "[\"carrier.dtso\"]",
            "Device-tree overlays (`.dtbo`, or `.dtso` source) that are applied to the board's tree, in this order, before anything is read from \
             it. Paths are relative to the system file.",
        ),
    ],
};

const END_STATES: [Word; 3] = [
    word(
        "power-off",
        "the firmware turns the machine off (PSCI SYSTEM_OFF)",
    ),
    word(
        "reset",
        "the firmware resets the machine (PSCI SYSTEM_RESET)",
    ),
    word("halt", "all CPUs wait for ever; the console stays readable"),
];

const LOG_LEVELS: [Word; 6] = [
    word("off", "nothing"),
    word("error", "what went wrong in the hypervisor or on the board"),
    word("warn", "also what a partition did wrong"),
    word("info", "also starts and ends"),
    word("debug", "also what helps to bring up a board"),
    word("trace", "everything"),
];

pub(crate) const HYPERVISOR: Table = Table {
    name: "hypervisor",
    header: "[hypervisor]",
    doc: "What the hypervisor itself does. The table may be left out.",
    fields: &[
        maybe(
            "console",
            Kind::Text("device, or \"none\""),
            "the serial port that the board's tree names in `/chosen/stdout-path`",
            "\"uart0\"",
            "The serial port of the hypervisor's own lines and of the virtual consoles. `\"none\"` keeps the hypervisor silent.",
        ),
        optional(
            "log",
            Kind::Word(&LOG_LEVELS),
            "\"info\"",
            "\"warn\"",
            "The least urgent lines that the hypervisor still prints.",
        ),
        maybe(
            "trace",
            Kind::Size,
            "nothing is recorded",
            "\"64KiB\"",
            "Memory in which the hypervisor records events. The oldest events are overwritten.",
        ),
        optional(
            "end",
            Kind::Word(&END_STATES),
            "\"power-off\"",
            "\"reset\"",
            "What the hypervisor does when every partition has stopped, when a partition with `on_fault = \"stop-system\"` faults, and after a \
             defect of its own.",
        ),
        optional(
            "efi",
            Kind::Boolean,
            "false",
            "true",
            "Whether UEFI firmware can start the image, too: as an EFI application. Boot loaders start the same file as before.",
        ),
        optional(
            "self_check",
            Kind::Boolean,
            "false",
            "true",
            "Whether the image compares the board with its device tree line by line before it starts a guest, and tries its timers and its virtual \
             interrupts on each CPU.",
        ),
        optional(
            "registers",
            Kind::Boolean,
            "false",
            "true",
            "Whether the console prints the registers of a guest's virtual CPUs on request, while the guest runs.",
        ),
    ],
};

const PLACEMENTS: [Word; 2] = [
    word(
        "partitioned",
        "each virtual CPU runs on one CPU, which is chosen when the system is built",
    ),
    word(
        "global",
        "each virtual CPU runs on any CPU of its `affinity`, or of the pool",
    ),
];

const POLICIES: [Word; 3] = [
    word(
        "dedicated",
        "each virtual CPU owns a physical CPU and no scheduler runs",
    ),
    word(
        "rtds",
        "each virtual CPU gets its `budget` of time in each `period`; the earliest deadline runs first",
    ),
    word(
        "cyclic",
        "each virtual CPU runs in its `windows` of a `major_frame` that repeats for ever",
    ),
];

pub(crate) const POOL: Table = Table {
    name: "pool",
    header: "[pools.NAME]",
    doc: "A pool is a set of physical CPUs with one scheduling policy. NAME has 1 to 15 characters of `a-z`, `0-9` and `-`. A partition \
          names the pool that its virtual CPUs run in.",
    fields: &[
        required(
            "policy",
            Kind::Word(&POLICIES),
            "\"dedicated\"",
            "How the CPUs are shared.",
        ),
        required(
            "cpus",
            Kind::List(&Kind::Number {
                least: 0,
                most: u32::MAX,
            }),
            "[0, 1]",
            "The CPUs of the pool, counted from 0 in the order of the enabled CPU nodes under `/cpus` of the board's tree. A CPU is in one pool, \
             once.",
        ),
        maybe(
            "major_frame",
            Kind::Time {
                least: SHORTEST,
                most: HOUR,
            },
            "not allowed outside cyclic pools, required in them",
            "\"10ms\"",
            "The time after which the windows of a cyclic pool come again.",
        ),
        maybe(
            "switch_cost",
            Kind::Time {
                least: 100,
                most: 10_000_000,
            },
            "5us, 10us with `placement = \"global\"`; not allowed outside rtds pools",
            "\"5us\"",
            "What a physical CPU loses in each period beyond a budget: from the instant at which a timer should fire until the next virtual \
             CPU runs. Measure it on the board. Admission adds it to each budget on a CPU with several virtual CPUs.",
        ),
        maybe(
            "placement",
            Kind::Word(&PLACEMENTS),
            "\"partitioned\"; not allowed outside rtds pools",
            "\"global\"",
            "Whether virtual CPUs move between the CPUs of the pool.",
        ),
        maybe(
            "mixed_cpus",
            Kind::Boolean,
            "`false`; not allowed outside rtds pools",
            "true",
            "Whether virtual CPUs may move between CPUs of different types. A guest keeps the identification and the features of the CPU that it \
             started on.",
        ),
    ],
};
