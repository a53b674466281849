//! The one-fault corpus: `tests/faults/*.toml`, each wrong in one way and named for it, with the exact text that it must give in
//! `*.expected` beside it. `UPDATE=1` in the environment writes those texts anew; read the difference before you keep it.

use std::collections::BTreeSet;
use std::path::Path;

use super::corpus;
use crate::testing::FakeResources;
use crate::{Diagnostic, Diagnostics, codes, compile, prove};

/// Codes that no file of the corpus can show, each with the reason.
const NOT_IN_CORPUS: &[(&str, &str)] = &[
    ("BH0613", "needs an overlay; unit tests have it"),
    ("BH0100", "there is no file then"),
    ("BH0213", "needs 256 partitions; a unit test has it"),
    ("BH0306", "is a fault of `board.toml`; a unit test has it"),
    ("BH0799", "no input is known that shows it"),
    ("BH0702", "is hidden while channels have no effect"),
    (
        "BH0610",
        "needs a command line of 64 KiB; a unit test has it",
    ),
];

/// Errors or warnings of a file.
fn all_findings(path: &Path, resources: &FakeResources) -> Diagnostics {
    prove(path, resources).map_or_else(|findings| findings, |proof| proof.warnings)
}

/// What a file gives, without the folder that it lies in.
fn findings(path: &Path, resources: &FakeResources) -> String {
    let folder = format!("{}/", path.parent().unwrap().display());
    all_findings(path, resources)
        .to_string()
        .replace(&folder, "")
}

#[test]
fn each_fault_gives_exactly_its_expected_text() {
    let resources = FakeResources::new();
    let mut wrong = Vec::new();
    for path in corpus("tests/faults") {
        let found = findings(&path, &resources);
        let expected_path = path.with_extension("expected");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&expected_path, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&expected_path).unwrap_or_default();
        if found != expected {
            wrong.push(format!(
                "{}:\n--- expected\n{expected}--- found\n{found}",
                path.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_fault_gives_one_finding_with_a_place_and_a_fix() {
    let resources = FakeResources::new();
    for path in corpus("tests/faults") {
        let all = all_findings(&path, &resources);
        let name = path.file_stem().unwrap().to_string_lossy();
        // A fault in what the image cannot do yet comes with that limit, which is no fault of the file.
        let limit = |one: &&Diagnostic| {
            ["BH07", "BH0199"]
                .iter()
                .any(|code| one.code.as_str().starts_with(code))
        };
        let faults = all.iter().filter(|one| !limit(one)).count();
        let only_limits = usize::from(faults == 0) * all.iter().count();
        // A tree that lacks everything is one fault with several findings.
        if name != "device-tree-lacks-everything" {
            assert_eq!(faults + only_limits, 1, "{name}:\n{all}");
        }
        for one in all.iter() {
            assert!(one.location.is_some(), "{name} has no place:\n{all}");
            assert!(
                one.help.is_some() || one.expected.is_some(),
                "{name} has no fix:\n{all}"
            );
        }
    }
}

/// What the image cannot do is a warning to the one and an error to the other.
#[test]
fn prove_and_compile_find_the_same_in_each_fault() {
    let resources = FakeResources::new();
    let codes = |findings: Diagnostics| -> Vec<codes::Code> {
        findings.iter().map(|one| one.code).collect()
    };
    for path in corpus("tests/faults") {
        let compiled = compile(&path, &resources)
            .map_or_else(|findings| findings, |compiled| compiled.proof.warnings);
        let proved = all_findings(&path, &resources);
        assert_eq!(codes(compiled), codes(proved), "{}", path.display());
    }
}

#[test]
fn every_code_is_shown_by_the_corpus() {
    let resources = FakeResources::new();
    let mut shown: BTreeSet<String> = NOT_IN_CORPUS
        .iter()
        .map(|(code, _)| (*code).to_owned())
        .collect();
    for path in corpus("tests/faults") {
        let all = all_findings(&path, &resources);
        shown.extend(all.iter().map(|one| one.code.to_string()));
    }
    let missing: Vec<&str> = codes::codes()
        .map(|(code, _)| code)
        .filter(|code| !shown.contains(*code))
        .collect();
    assert!(missing.is_empty(), "no file shows {missing:?}");
}
