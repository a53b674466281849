//! Every valid system with one field changed in every way that people change fields: left out, doubled, misspelt, of another type,
//! another value, swapped with its neighbour. Each gives errors, or a system of which every promise still holds; never a crash.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::smoke::{assert_sane, valid_systems};
use crate::prove;
use crate::testing::watchdog::Watchdog;
use crate::testing::{FakeResources, unique_path};

/// One step from a table or an array to what it holds.
#[derive(Clone, Debug)]
enum Step {
    Key(String),
    Index(usize),
}

/// A way to change the field at a path; a number picks one of several alternatives.
#[derive(Clone, Copy, Debug)]
enum Change {
    LeaveOut,
    /// In an array: the element twice.
    Double,
    /// The key without its last letter, or with another one.
    Misspell(usize),
    /// Another kind of value.
    Retype(usize),
    /// Another value of the same kind.
    Revalue(usize),
    /// The value and that of the next field of the same table, or element of the same array.
    Swap,
}

/// Every change; not each means something at each field.
fn changes() -> impl Iterator<Item = Change> {
    [Change::LeaveOut, Change::Double, Change::Swap]
        .into_iter()
        .chain((0..2).map(Change::Misspell))
        .chain((0..6).map(Change::Retype))
        .chain((0..TEXTS.len()).map(Change::Revalue))
}

/// Texts that are values somewhere in the schema, and some that are none.
const TEXTS: [&str; 18] = [
    "",
    "0",
    "none",
    "0MiB",
    "4KiB",
    "1GiB",
    "16383TiB",
    "0x0",
    "0x40000000",
    "0xfffffffffffff000",
    "1us",
    "10ms",
    "1h",
    "rtds",
    "cyclic",
    "trusted",
    "/pl011@9000000",
    "a text that is far longer than any name may be",
];
const NUMBERS: [i64; 9] = [0, 1, 2, 7, 8, 255, 4_294_967_296, i64::MAX, -1];

/// Paths to everything in a document, parents first.
fn paths(value: &Value, here: &[Step], all: &mut Vec<Vec<Step>>) {
    let mut visit = |step: Step, value: &Value| {
        let path = [here, &[step]].concat();
        all.push(path.clone());
        paths(value, &path, all);
    };
    match value {
        Value::Table(table) => table
            .iter()
            .for_each(|(key, value)| visit(Step::Key(key.clone()), value)),
        Value::Array(array) => array
            .iter()
            .enumerate()
            .for_each(|(index, value)| visit(Step::Index(index), value)),
        _ => {}
    }
}

fn at<'a>(value: &'a mut Value, path: &[Step]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(index),
    })
}

/// The document with one thing changed; `None` where the change means nothing.
fn changed(document: &Value, path: &[Step], change: Change) -> Option<Value> {
    let mut document = document.clone();
    let (last, above) = path.split_last()?;
    let parent = at(&mut document, above)?;
    match (last, parent) {
        (Step::Key(key), Value::Table(table)) => change_in_table(table, key, change)?,
        (Step::Index(index), Value::Array(array)) => change_in_array(array, *index, change)?,
        _ => return None,
    }
    Some(document)
}

fn change_in_table(table: &mut Table, key: &str, change: Change) -> Option<()> {
    match change {
        Change::LeaveOut => drop(table.remove(key)),
        Change::Double => return None,
        Change::Misspell(how) => {
            let value = table.remove(key)?;
            let misspelt = match how {
                0 => key[..key.len().checked_sub(1)?].to_owned(),
                _ => format!("{key}x"),
            };
            table.insert(misspelt, value);
        }
        Change::Swap => {
            let keys: Vec<String> = table.keys().cloned().collect();
            let next = keys
                .iter()
                .position(|one| one == key)
                .and_then(|at| keys.get(at + 1))?;
            let (one, two) = (table.get(key)?.clone(), table.get(next)?.clone());
            table.insert(key.to_owned(), two);
            table.insert(next.clone(), one);
        }
        Change::Retype(how) => *table.get_mut(key)? = retyped(table.get(key)?, how)?,
        Change::Revalue(how) => *table.get_mut(key)? = revalued(table.get(key)?, how)?,
    }
    Some(())
}

fn change_in_array(array: &mut Vec<Value>, index: usize, change: Change) -> Option<()> {
    match change {
        Change::LeaveOut => drop(array.remove(index)),
        Change::Double => array.insert(index, array.get(index)?.clone()),
        Change::Misspell(_) => return None,
        Change::Swap if index + 1 < array.len() => array.swap(index, index + 1),
        Change::Swap => return None,
        Change::Retype(how) => *array.get_mut(index)? = retyped(array.get(index)?, how)?,
        Change::Revalue(how) => *array.get_mut(index)? = revalued(array.get(index)?, how)?,
    }
    Some(())
}

fn retyped(value: &Value, how: usize) -> Option<Value> {
    let other = match how {
        0 => Value::String("text".to_owned()),
        1 => Value::Integer(1),
        2 => Value::Boolean(true),
        3 => Value::Array(vec![value.clone()]),
        4 => Value::Table(Table::from_iter([("value".to_owned(), value.clone())])),
        _ => Value::Float(0.5),
    };
    (!other.same_type(value)).then_some(other)
}

fn revalued(value: &Value, how: usize) -> Option<Value> {
    match value {
        Value::String(_) => TEXTS.get(how).map(|text| Value::String((*text).to_owned())),
        Value::Integer(_) => NUMBERS.get(how).map(|number| Value::Integer(*number)),
        Value::Boolean(was) => (how == 0).then_some(Value::Boolean(!was)),
        Value::Array(_) => (how == 0).then_some(Value::Array(Vec::new())),
        Value::Table(_) => (how == 0).then_some(Value::Table(Table::new())),
        Value::Float(_) | Value::Datetime(_) => None,
    }
}

#[test]
fn one_field_changed_gives_errors_or_a_system_that_keeps_its_promises() {
    let (resources, path) = (FakeResources::new(), unique_path("one-field.toml"));
    let watchdog = Watchdog::new();
    let mut seen = BTreeSet::new();
    let (mut accepted, mut refused) = (0, 0);
    for file in valid_systems() {
        // Systems of boards and images that these resources do not have would be refused whatever changes.
        if prove(&file, &resources).is_err() {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let document = Value::Table(text.parse().unwrap());
        let mut fields = Vec::new();
        paths(&document, &[], &mut fields);
        for (field, change) in fields
            .iter()
            .flat_map(|field| changes().map(move |change| (field, change)))
        {
            let Some(mutant) = changed(&document, field, change) else {
                continue;
            };
            let text = toml::to_string(&mutant).unwrap();
            if !seen.insert(text.clone()) {
                continue;
            }
            let case = format!("{}: {field:?} {change:?}", file.display());
            watchdog.begins(&case);
            let sane = || assert_sane(&path, text.as_bytes(), &resources);
            match std::panic::catch_unwind(std::panic::AssertUnwindSafe(sane)) {
                Ok(true) => accepted += 1,
                Ok(false) => refused += 1,
                Err(_) => panic!("{case}\n{text}"),
            }
        }
    }
    // Both answers are tested, or the test says nothing.
    assert!(
        accepted > 100 && refused > 1000,
        "{accepted} accepted, {refused} refused"
    );
}

/// TOML has no way to write a key twice that its own writer would produce, so the line is doubled.
#[test]
fn each_line_of_a_valid_system_doubled_or_left_out_never_panics() {
    let (resources, path) = (FakeResources::new(), unique_path("one-line.toml"));
    for file in valid_systems() {
        let text = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for index in 0..lines.len() {
            let doubled = [&lines[..=index], &lines[index..]].concat().join("\n");
            let without = [&lines[..index], &lines[index + 1..]].concat().join("\n");
            assert_sane(&path, doubled.as_bytes(), &resources);
            assert_sane(&path, without.as_bytes(), &resources);
        }
    }
}
