//! The schema, the readers, the documents and the system files say the same.

mod validator;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Field, Kind, Presence, ROOT, Table, json_schema, reference};
use crate::diagnostics::{Diagnostics, SourceText};
use crate::raw::system;

const MAXIMAL: &str = include_str!("maximal.toml");

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A TOML text as JSON.
fn json(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap()
}

fn faults(text: &str) -> Vec<String> {
    let schema = json_schema();
    validator::faults(&schema, &schema, &json(text), "file")
}

/// Compares a committed file with what it is written from; with `UPDATE=1` writes it anew.
fn assert_fresh(name: &str, text: &str) {
    let path = repository().join("docs").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "docs/{name} is stale: run `UPDATE=1 cargo test -p compiler schema`"
    );
}

#[test]
fn reference_page_is_what_the_schema_says() {
    assert_fresh("reference.md", &reference());
}

#[test]
fn json_schema_file_is_what_the_schema_says() {
    let text = serde_json::to_string_pretty(&json_schema()).unwrap();
    assert_fresh("system.schema.json", &format!("{text}\n"));
}

#[test]
fn every_system_of_the_repository_suits_the_json_schema() {
    let configs = repository().join("configs");
    let mut systems = 0;
    for board in std::fs::read_dir(configs).unwrap() {
        let board = board.unwrap().path();
        let files = std::fs::read_dir(&board).into_iter().flatten();
        for file in files.map(|file| file.unwrap().path()) {
            let is_system = file.extension().is_some_and(|kind| kind == "toml")
                && file.file_name() != Some("Cargo.toml".as_ref());
            if is_system {
                let text = std::fs::read_to_string(&file).unwrap();
                assert_eq!(faults(&text), [""; 0], "{}", file.display());
                systems += 1;
            }
        }
    }
    assert!(systems >= 2, "only {systems} systems were found");
}

#[test]
fn maximal_file_suits_the_json_schema_and_the_readers() {
    let source = SourceText::new(Path::new("maximal.toml"), MAXIMAL);
    let mut findings = Diagnostics::default();
    let read = system::read(&source, &mut findings);
    assert!(findings.is_empty(), "{findings}");
    assert_eq!(read.partitions[1].vcpus.len(), 2);
    assert_eq!(faults(MAXIMAL), [""; 0]);
}

#[test]
fn file_with_a_fault_of_form_does_not_suit_the_json_schema() {
    let changes = [
        ("name = \"maximal\"", "name = \"Maximal\""),
        ("board = \"lab\"", "colour = \"red\""),
        ("log = \"debug\"", "log = \"loud\""),
        ("watchdog = \"500ms\"", "watchdog = 500"),
        ("spi = 45", "spi = 988"),
        ("guest_panic = \"stop-system\"", "guest_panic = \"inject\""),
        ("trigger = \"edge\"", "trigger = \"both\""),
        ("clocks = [\"100MHz\"]", "clocks = [\"fast\"]"),
        ("vcpus = 2", "vcpus = 9"),
        ("size = \"64KiB\"", "size = \"64KB\""),
        ("[pools.own]", "[pools.OWN]"),
    ];
    for (good, bad) in changes {
        let text = MAXIMAL.replacen(good, bad, 1);
        assert_ne!(text, MAXIMAL, "{good} is not in the file");
        assert_ne!(faults(&text), [""; 0], "{bad}");
    }
}

/// Notes each field of the schema that a value uses.
fn used(kind: &Kind, value: &Value, fields: &mut BTreeSet<(&'static str, &'static str)>) {
    match kind {
        Kind::Table(table) => {
            for field in table.fields {
                if let Some(value) = value.get(field.name) {
                    fields.insert((table.name, field.name));
                    used(&field.kind, value, fields);
                }
            }
        }
        Kind::Named(table) => {
            for value in value
                .as_object()
                .into_iter()
                .flatten()
                .map(|(_, value)| value)
            {
                used(&Kind::Table(table), value, fields);
            }
        }
        Kind::List(of) => {
            for element in value.as_array().into_iter().flatten() {
                used(of, element, fields);
            }
        }
        Kind::OneOf(kinds) => kinds.iter().for_each(|kind| used(kind, value, fields)),
        _ => {}
    }
}

fn tables() -> Vec<&'static Table> {
    fn visit(kind: &'static Kind, tables: &mut Vec<&'static Table>) {
        match kind {
            Kind::Table(table) | Kind::Named(table)
                if !tables.iter().any(|known| known.name == table.name) =>
            {
                tables.push(table);
                let fields = table.fields.iter();
                fields.for_each(|field| visit(&field.kind, tables));
            }
            Kind::List(of) => visit(of, tables),
            Kind::OneOf(kinds) => kinds.iter().for_each(|kind| visit(kind, tables)),
            _ => {}
        }
    }
    let mut tables = Vec::new();
    visit(&Kind::Table(&ROOT), &mut tables);
    tables
}

fn fields() -> impl Iterator<Item = (&'static Table, &'static Field)> {
    tables()
        .into_iter()
        .flat_map(|table| table.fields.iter().map(move |field| (table, field)))
}

#[test]
fn maximal_file_has_every_field_of_the_schema() {
    let mut found = BTreeSet::new();
    used(&Kind::Table(&ROOT), &json(MAXIMAL), &mut found);
    let all: BTreeSet<_> = fields()
        .map(|(table, field)| (table.name, field.name))
        .collect();
    let missing: Vec<_> = all.difference(&found).collect();
    assert!(missing.is_empty(), "not in maximal.toml: {missing:?}");
}

#[test]
fn every_example_and_default_suits_its_field() {
    let schema = json_schema();
    for (table, field) in fields() {
        let rule = match table.name {
            "file" => &schema["properties"][field.name],
            name => &schema["$defs"][name]["properties"][field.name],
        };
        let default = match field.presence {
            Presence::Default(value) => Some(value),
            _ => None,
        };
        for text in default.into_iter().chain([field.example]) {
            let value = &json(&format!("value = {text}"))["value"];
            let path = format!("{}.{}", table.name, field.name);
            assert_eq!(validator::faults(&schema, rule, value, &path), [""; 0]);
        }
    }
}

#[test]
fn every_doc_is_a_sentence() {
    for (table, field) in fields() {
        let doc = field.doc;
        let sentence = doc.starts_with(char::is_uppercase) && doc.ends_with('.');
        assert!(sentence, "{}.{}: {doc}", table.name, field.name);
    }
}

#[test]
fn field_is_explained_in_each_table_that_has_it_and_unknown_ones_are_not() {
    let text = super::explain_field("address").unwrap();
    for header in ["memory = { … }", "[[channel]]"] {
        assert!(
            text.contains(&format!("address, in {header}: an address")),
            "{text}"
        );
    }
    assert_eq!(super::explain_field("adress"), None);
}
