//! A virtual CPU, and what a partition says for all of its virtual CPUs.

use super::{Field, HOUR, Kind, SHORTEST, Table, maybe, optional, required};

/// Fields that a partition and each of its virtual CPUs have in common.
pub(super) const COMMON: [Field; 7] = [
    maybe(
        "pool",
        Kind::Text("pool"),
        "each virtual CPU must name its own",
        "\"main\"",
        "The pool that the virtual CPUs run in.",
    ),
    maybe(
        "affinity",
        Kind::List(&Kind::Number {
            least: 0,
            most: u32::MAX,
        }),
        "all CPUs of the pool",
        "[0, 1]",
        "The CPUs of the pool on which each virtual CPU may run, in board numbers. In a dedicated pool each virtual CPU gets one of \
         them to itself.",
    ),
    maybe(
        "period",
        Kind::Time {
            least: SHORTEST,
            most: HOUR,
        },
        "not allowed outside rtds pools, required in them",
        "\"10ms\"",
        "The time in which each virtual CPU gets its budget once. Its deadline is the end of the period.",
    ),
    maybe(
        "budget",
        Kind::Time {
            least: SHORTEST,
            most: HOUR,
        },
        "not allowed outside rtds pools, required in them",
        "\"4ms\"",
        "The time that each virtual CPU may run in each period: at most the period.",
    ),
    optional(
        "extra_time",
        Kind::Boolean,
        "false",
        "true",
        "Lets the virtual CPUs run beyond their budget while nobody else wants the CPU. Only in rtds pools.",
    ),
    optional(
        "priority",
        Kind::Number { least: 0, most: 7 },
        "0",
        "1",
        "The level at which the virtual CPUs run: 0 is the most urgent. Within a level the earliest deadline runs first. Only in rtds pools.",
    ),
    maybe(
        "windows",
        Kind::List(&Kind::Table(&WINDOW)),
        "not allowed outside cyclic pools, required in them",
        "[{ start = \"0ms\", length = \"2ms\" }]",
        "When each virtual CPU runs in the pool's major frame. Windows on one physical CPU do not overlap.",
    ),
];

pub(crate) const VCPU: Table = Table {
    name: "vcpu",
    header: "vcpus = [{ … }]",
    doc: "One virtual CPU of a partition. What it does not say, the partition says for all.",
    fields: &COMMON,
};

pub(crate) const WINDOW: Table = Table {
    name: "window",
    header: "windows = [{ … }]",
    doc: "A part of the major frame.",
    fields: &[
        required(
            "start",
            Kind::Time {
                least: 0,
                most: HOUR,
            },
            "\"0ms\"",
            "When the window begins, counted from the start of the frame.",
        ),
        required(
            "length",
            Kind::Time {
                least: SHORTEST,
                most: HOUR,
            },
            "\"2ms\"",
            "How long it is. It ends within the frame.",
        ),
    ],
};
