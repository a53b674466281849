//! The report of whole systems.

use std::collections::BTreeSet;

use serde_json::Value;

use super::prove_text;
use crate::report::sample;
use crate::{MapKind, Owner, Report};

/// Two partitions with a channel, and with everything that a file can say of their lives.
const SYSTEM: &str = r#"
[system]
name = "pair"
board = "lab"
description = "two of them"
[pools.p]
cpus = [0, 1]
policy = "dedicated"
[[partition]]
name = "a"
pool = "p"
memory = "64MiB"
image = "program.elf"
psci = ["off"]
watchdog = "500ms"
firmware_calls = "mediated"
on_fault = { policy = "restart", limit = 3, back_off = "100ms" }
[[partition]]
name = "b"
pool = "p"
memory = "64MiB"
image = "program.elf"
start = { after = ["a"], delay = "2s" }
[[channel]]
name = "c"
size = "64KiB"
ends = [ { partition = "a" }, { partition = "b", access = "read-only", doorbell = true } ]
"#;

fn report() -> Report {
    prove_text(SYSTEM)
        .unwrap_or_else(|findings| panic!("{findings}"))
        .report
}

/// Every key of a value with the type of what it holds: `partitions[].name string`.
fn shape(value: &Value, path: &str, lines: &mut BTreeSet<String>) {
    let kind = match value {
        Value::Null => return,
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(items) => {
            for item in items {
                shape(item, &format!("{path}[]"), lines);
            }
            return;
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                shape(field, &format!("{path}.{key}"), lines);
            }
            return;
        }
    };
    lines.insert(format!("{path} {kind}"));
}

#[test]
fn json_has_the_shape_that_its_version_promises() {
    let value = serde_json::to_value(sample::report()).unwrap();
    let mut lines = BTreeSet::new();
    shape(&value, "", &mut lines);
    let text = lines.into_iter().collect::<Vec<_>>().join("\n") + "\n";
    let path = format!(
        "{}/src/tests/golden/report-shape.txt",
        env!("CARGO_MANIFEST_DIR")
    );
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(path).unwrap());
}

#[test]
fn channel_is_told_with_its_ends_and_its_place() {
    let report = report();
    let [channel] = report.channels.as_slice() else {
        panic!("{:?}", report.channels);
    };
    let ends: Vec<_> = channel
        .ends
        .iter()
        .map(|end| (end.partition.as_str(), end.access.as_str(), end.doorbell))
        .collect();
    assert_eq!(ends, [("a", "read-write", false), ("b", "read-only", true)]);
    let owner = Owner::Channel("c".to_owned());
    let mut map = report.memory_map.iter();
    assert!(map.any(|one| one.owner == owner && (one.base, one.size) == (channel.base, 64 << 10)));
    assert_eq!(report.verdict.shared, ["channel c between a, b"]);
}

#[test]
fn rights_and_lives_are_told_as_the_file_says() {
    let report = report();
    let [a, b] = report.partitions.as_slice() else {
        panic!("{:?}", report.partitions);
    };
    assert_eq!(report.description.as_deref(), Some("two of them"));
    assert_eq!(
        (a.psci.as_slice(), b.psci.len()),
        (&["off".to_owned()][..], 4)
    );
    assert_eq!(a.watchdog_ns, Some(500_000_000));
    assert_eq!(
        (a.firmware_calls.as_str(), b.firmware_calls.as_str()),
        ("mediated", "none")
    );
    assert_eq!(a.on_fault, "restart, at most 3 times, 100 ms later");
    assert_eq!(
        (a.start.as_str(), b.start.as_str()),
        ("", "after a, 2 s later")
    );
}

#[test]
fn map_holds_every_byte_of_ram_once() {
    let report = report();
    let ram = report
        .memory_map
        .iter()
        .filter(|one| one.kind == MapKind::Ram);
    let mapped: u64 = ram.map(|one| one.size).sum();
    let banks: u64 = report.memory.iter().map(|bank| bank.size).sum();
    assert_eq!(mapped, banks);
    assert!(
        report
            .memory_map
            .windows(2)
            .all(|pair| pair[0].end() <= pair[1].base)
    );
}

#[test]
fn limits_of_the_image_are_risks() {
    let report = report();
    assert!(report.risks.iter().any(|risk| risk.kind == "image-limit"));
}
