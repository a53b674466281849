//! The schema of system files and board files as data: the one home of every table, field, unit, range, default and word.
//!
//! [`TableReader`](super::reader::TableReader) takes its fields from here, `docs/reference.md` and `docs/system.schema.json` are
//! written from it, and tests fail when the readers, the schema and those files disagree.

mod board;
mod channel;
mod describe;
mod json;
mod lifecycle;
mod partition;
mod pc;
mod reference;
mod system;
#[cfg(test)]
mod tests;
mod vcpu;

pub(crate) use board::{BOARD, IOMMU, MEMORY_BANK, QEMU, RESERVED, TREE, V2M};
pub(crate) use channel::{CHANNEL, END};
pub use json::json_schema;
pub(crate) use lifecycle::{ON, ON_CLASSES, ON_FAULT, START};
pub(crate) use partition::{CONSOLE, DEVICE, INTERRUPT, KERNEL, MEMORY, PARTITION, RAW_FILE};
pub(crate) use pc::{MSIX, PC, PC_BOARD, PC_FUNCTION, POWER_OFF};
pub use reference::{explain_field, reference};
pub(crate) use system::{CPU_POLICY, HYPERVISOR, POOL, ROOT, SYSTEM};
pub(crate) use vcpu::{VCPU, WINDOW};

/// A table: fields that belong together.
#[derive(Debug)]
pub(crate) struct Table {
    /// Its name among all tables, for links and definitions.
    pub name: &'static str,
    /// How it is written.
    pub header: &'static str,
    /// What it stands for.
    pub doc: &'static str,
    pub fields: &'static [Field],
}

impl Table {
    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// A field of a table.
#[derive(Debug)]
pub(crate) struct Field {
    pub name: &'static str,
    pub kind: Kind,
    pub presence: Presence,
    /// What it means, in sentences.
    pub doc: &'static str,
    /// A value that it can have, as TOML.
    pub example: &'static str,
}

/// Whether a field must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Required,
    /// This value is meant when it is missing, as TOML.
    Default(&'static str),
    /// What is meant when it is missing is no value: in words.
    Absent(&'static str),
}

/// What values a field takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Any string; the word says what it holds.
    Text(&'static str),
    /// A name: 1 to 15 characters of `a-z`, `0-9` and `-`.
    Name,
    Boolean,
    /// An integer in this range, both ends included.
    Number {
        least: u32,
        most: u32,
    },
    /// A number of bytes with its unit, not zero.
    Size,
    /// A hexadecimal string.
    Address,
    /// A time with its unit, in nanoseconds, both ends included.
    Time {
        least: u64,
        most: u64,
    },
    /// A frequency with its unit, not zero.
    Frequency,
    /// One of these strings.
    Word(&'static [Word]),
    Table(&'static Table),
    /// Tables under names that the file chooses.
    Named(&'static Table),
    /// An array of values of one kind.
    List(&'static Kind),
    /// A value of one of these kinds.
    OneOf(&'static [Kind]),
}

/// A string with a meaning.
#[derive(Debug)]
pub(crate) struct Word {
    pub text: &'static str,
    pub doc: &'static str,
}

/// Shortest time that a schedule is built of, in nanoseconds: below it, switching costs more than it gives.
const SHORTEST: u64 = 10_000;
/// One hour in nanoseconds.
const HOUR: u64 = 3_600_000_000_000;

const fn word(text: &'static str, doc: &'static str) -> Word {
    Word { text, doc }
}

const fn required(
    name: &'static str,
    kind: Kind,
    example: &'static str,
    doc: &'static str,
) -> Field {
    Field {
        name,
        kind,
        presence: Presence::Required,
        doc,
        example,
    }
}

/// A field that means `default`, a TOML value, when it is missing.
const fn optional(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    example: &'static str,
    doc: &'static str,
) -> Field {
    Field {
        name,
        kind,
        presence: Presence::Default(default),
        doc,
        example,
    }
}

/// A field that stands for no value when it is missing; `absent` says what happens then.
const fn maybe(
    name: &'static str,
    kind: Kind,
    absent: &'static str,
    example: &'static str,
    doc: &'static str,
) -> Field {
    Field {
        name,
        kind,
        presence: Presence::Absent(absent),
        doc,
        example,
    }
}
