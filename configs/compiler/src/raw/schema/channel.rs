//! `[[channel]]` and its ends.

use super::{Kind, Table, Word, maybe, optional, required, word};

pub(crate) const CHANNEL: Table = Table {
    name: "channel",
    header: "[[channel]]",
    doc: "Memory that two or more partitions see, and doorbells between them. Nothing else is shared.",
    fields: &[
        required(
            "name",
            Kind::Name,
            "\"sensor-data\"",
            "The channel's name, unique among channels.",
        ),
        required(
            "size",
            Kind::Size,
            "\"64KiB\"",
            "How much memory is shared: a multiple of 4KiB.",
        ),
        maybe(
            "address",
            Kind::Address,
            "the compiler chooses it",
            "\"0x60000000\"",
            "The physical address of the memory: a multiple of 4KiB.",
        ),
        optional(
            "uncached",
            Kind::Boolean,
            "false",
            "true",
            "Every end sees Device memory, whatever its guest asks for: needed where one end maps the memory so, as Linux' generic UIO does.",
        ),
        required(
            "ends",
            Kind::List(&Kind::Table(&END)),
            "[{ partition = \"linux\" }, { partition = \"rt\", access = \"read-only\" }]",
            "The partitions that see the memory: two or more, each once. At least one may write.",
        ),
    ],
};

const ACCESS: [Word; 2] = [
    word("read-write", "the partition reads and writes"),
    word("read-only", "a write is a fault of the partition"),
];

pub(crate) const END: Table = Table {
    name: "end",
    header: "ends = [{ … }]",
    doc: "One partition's end of a channel.",
    fields: &[
        required(
            "partition",
            Kind::Text("partition"),
            "\"linux\"",
            "The partition.",
        ),
        optional(
            "access",
            Kind::Word(&ACCESS),
            "\"read-write\"",
            "\"read-only\"",
            "What it may do with the memory.",
        ),
        maybe(
            "at",
            Kind::Address,
            "the compiler chooses it",
            "\"0x70000000\"",
            "Where the partition sees the memory: a multiple of 4KiB.",
        ),
        optional(
            "doorbell",
            Kind::Boolean,
            "false",
            "true",
            "Gives the partition an interrupt that the other ends can raise.",
        ),
    ],
};
