//! The schema as a page for readers: `docs/reference.md`.

use std::fmt::Write as _;

use crate::raw::quantity::human_time;

use super::{
    BOARD, CHANNEL, CONSOLE, DEVICE, END, Field, HYPERVISOR, INTERRUPT, IOMMU, KERNEL, Kind,
    MEMORY, MEMORY_BANK, MSIX, ON, ON_FAULT, PARTITION, PC, PC_BOARD, PC_FUNCTION, POOL, POWER_OFF,
    Presence, QEMU, RAW_FILE, RESERVED, ROOT, START, SYSTEM, TREE, Table, V2M, VCPU, WINDOW,
};

/// The tables in the order of the page, each with the depth of its heading.
const ORDER: [(&Table, usize); 30] = [
    (&ROOT, 2),
    (&SYSTEM, 2),
    (&HYPERVISOR, 2),
    (&POOL, 2),
    (&PARTITION, 2),
    (&VCPU, 3),
    (&WINDOW, 3),
    (&MEMORY, 3),
    (&KERNEL, 3),
    (&RAW_FILE, 3),
    (&CONSOLE, 3),
    (&DEVICE, 3),
    (&INTERRUPT, 3),
    (&ON_FAULT, 3),
    (&ON, 3),
    (&START, 3),
    (&CHANNEL, 2),
    (&END, 3),
    (&BOARD, 2),
    (&MEMORY_BANK, 3),
    (&RESERVED, 3),
    (&IOMMU, 3),
    (&V2M, 3),
    (&TREE, 3),
    (&QEMU, 3),
    (&PC_BOARD, 2),
    (&PC, 3),
    (&POWER_OFF, 3),
    (&PC_FUNCTION, 3),
    (&MSIX, 4),
];

const HEAD: &str = "\
# Reference: every field

<!-- Written from configs/compiler/src/raw/schema by `UPDATE=1 cargo test -p compiler schema`. Change it there. -->

What system files and `board.toml` can say, field by field. [System file](system-file.md) tells how files are read, and how to let an
editor complete and check them. `cargo xtask check` names, for each fault, the line, the reason and the fix.

A field is **required**, or has the default that the table shows. A text in *italics* says what happens when a field without a default
is missing. A field that the image of this version cannot act upon yet gives a finding `BH07xx` that says so.

| kind | form |
|---|---|
| name | a string of 1 to 15 characters of `a-z`, `0-9` and `-` |
| size | a number and a unit of 1024 in a string: `\"64KiB\"`, `\"256MiB\"`, `\"2GiB\"`, `\"1TiB\"`; or bytes in hexadecimal: `\"0x1000\"`. Never zero |
| address | a hexadecimal string: `\"0x40200000\"`, `\"0x4020_0000\"` |
| time | a number and a unit in a string: `\"200us\"`, `\"1.5ms\"`, `\"2s\"`. The units are ns, us, ms, s, min and h |
| frequency | a number and a unit in a string: `\"32768Hz\"`, `\"66.66MHz\"`. The units are Hz, kHz, MHz and GHz |
| number | a TOML integer |
| device | a string: a label, an alias or the full path of a node in the board's device tree |
| source | a string: a path relative to the system file, `debian:<package>`, `busybox` or `guest:<name>` |
";

/// The page, as Markdown.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    for (table, depth) in ORDER {
        let _ = write!(
            page,
            "\n<a id=\"{}\"></a>\n{} `{}`\n\n{}\n\n| field | value | default |\n|---|---|---|\n",
            table.name,
            "#".repeat(depth),
            table.header,
            table.doc
        );
        for field in table.fields {
            let _ = writeln!(
                page,
                "| [`{0}`](#{1}.{0}) | {2} | {3} |",
                field.name,
                table.name,
                kind(&field.kind),
                presence(field)
            );
        }
        page.push('\n');
        for field in table.fields {
            entry(table, field, &mut page);
        }
    }
    page
}

/// A field at length, for each table that has one of that name, as plain text. `None` when no table has it.
pub fn explain_field(name: &str) -> Option<String> {
    let mut text = String::new();
    for (table, _) in ORDER {
        let Some(field) = table.field(name) else {
            continue;
        };
        let presence = match field.presence {
            Presence::Required => "Required.".to_owned(),
            Presence::Default(value) => format!("Default: {value}"),
            Presence::Absent(meaning) => format!("When it is missing: {meaning}."),
        };
        let _ = write!(
            text,
            "{name}, in {}: {}\n  {}\n  {presence}\n  Example: {name} = {}\n",
            table.header,
            field.kind.describe(),
            field.doc,
            field.example
        );
        for word in field.kind.words() {
            let _ = writeln!(text, "  \"{}\": {}", word.text, word.doc);
        }
        text.push('\n');
    }
    (!text.is_empty()).then_some(text)
}

fn entry(table: &Table, field: &Field, page: &mut String) {
    let _ = writeln!(
        page,
        "- <a id=\"{0}.{1}\"></a>**`{1}`** {2} Example: `{1} = {3}`",
        table.name, field.name, field.doc, field.example
    );
    for word in field.kind.words() {
        let _ = writeln!(page, "  - `\"{}\"`: {}", word.text, word.doc);
    }
}

fn presence(field: &Field) -> String {
    match field.presence {
        Presence::Required => "**required**".to_owned(),
        Presence::Default(value) => format!("`{value}`"),
        Presence::Absent(meaning) => format!("*{meaning}*"),
    }
}

/// A kind of value, with links to the tables in it.
fn kind(kind: &Kind) -> String {
    match kind {
        Kind::Word(words) => {
            let words: Vec<String> = words
                .iter()
                .map(|word| format!("`\"{}\"`", word.text))
                .collect();
            words.join(", ")
        }
        Kind::Table(table) => format!("[table](#{})", table.name),
        Kind::Named(table) => format!("[tables](#{}) by name", table.name),
        Kind::List(of) => format!("array of: {}", self::kind(of)),
        Kind::OneOf(kinds) => {
            let kinds: Vec<String> = kinds.iter().map(self::kind).collect();
            kinds.join(", or ")
        }
        Kind::Text(what) => (*what).to_owned(),
        Kind::Name => "name".to_owned(),
        Kind::Boolean => "`true`, `false`".to_owned(),
        Kind::Number {
            least,
            most: u32::MAX,
        } => format!("number from {least}"),
        Kind::Number { least, most } => format!("number, {least} to {most}"),
        Kind::Size => "size".to_owned(),
        Kind::Address => "address".to_owned(),
        Kind::Time { least, most } => {
            format!("time, {} to {}", human_time(*least), human_time(*most))
        }
        Kind::Frequency => "frequency".to_owned(),
    }
}
