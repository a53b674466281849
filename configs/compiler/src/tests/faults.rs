//! The one-fault corpus: `tests/faults/*.toml`, each wrong in one way and named for it, with the exact text that it must give in
//! `*.expected` beside it. `UPDATE=1` in the environment writes those texts anew; read the difference before you keep it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{corpus, repository};
use crate::testing::FakeResources;
use crate::{Diagnostic, Diagnostics, codes, compile, prove};

/// Codes that no file of the corpus can show, each with the reason.
const NOT_IN_CORPUS: &[(&str, &str)] = &[
    ("BH0613", "needs an overlay; unit tests have it"),
    ("BH0621", "needs a PCI host bridge; unit tests have it"),
    ("BH0622", "needs a PCI host bridge; unit tests have it"),
    ("BH0623", "needs a PCI host bridge; unit tests have it"),
    ("BH0100", "there is no file then"),
    ("BH0233", "needs 65 channels; a unit test has it"),
    ("BH0213", "needs 256 partitions; a unit test has it"),
    ("BH0306", "is a fault of `board.toml`; a unit test has it"),
    ("BH0308", "needs the dump of a PC; unit tests have it"),
    ("BH0416", "needs all SPIs; a unit test has it"),
    ("BH0711", "needs a PC; unit tests have it"),
    ("BH0799", "no input is known that shows it"),
    (
        "BH0610",
        "needs a command line of 64 KiB; a unit test has it",
    ),
];

/// Files whose one fault has several findings, each with the reason.
const SEVERAL: &[(&str, &str)] = &[(
    "device-tree-lacks-everything",
    "each thing that the board lacks is told",
)];

/// Lines of the systems that the corpus is made from.
const SOUND_LINES: &str = r#"[system]
name = "fault"
board = "lab"
[hypervisor]
[pools.main]
cpus = [0]
cpus = [0, 1]
policy = "dedicated"
[[partition]]
name = "one"
name = "two"
pool = "main"
vcpus = 1
memory = "64MiB"
image = "program.elf"
[[channel]]
name = "pipe"
size = "64KiB""#;

/// Files whose finding marks a line that is sound by itself, each with the reason.
const MARKS_A_SOUND_LINE: &[(&str, &str)] = &[
    (
        "cpu-idle-in-pool",
        "the pool is larger than its partitions need",
    ),
    (
        "cpu-idle-in-rtds-pool",
        "the pool is larger than its partitions need",
    ),
    (
        "cpu-in-two-pools",
        "the second place is marked, the first is the same",
    ),
    (
        "partition-twice",
        "the second place is marked, the first is the same",
    ),
    (
        "system-twice",
        "the second place is marked, the first is the same",
    ),
    (
        "syntax-key-twice",
        "the second place is marked, the first is the same",
    ),
    (
        "syntax-table-twice",
        "the second place is marked, the first is the same",
    ),
    (
        "pools-missing",
        "what is missing has no line: its name is marked",
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
        let name = stem(&path);
        // A fault in what the image cannot do yet comes with that limit, which is no fault of the file.
        let limits = all.iter().filter(|one| is_limit(one)).count();
        let all_are_limits = limits == all.iter().count();
        let faults = all.iter().count() - if all_are_limits { 0 } else { limits };
        if !SEVERAL.iter().any(|(several, _)| *several == name) {
            assert_eq!(faults, 1, "{name}:\n{all}");
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

/// The name of a file without its ending.
fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into()
}

/// True for what the image of this version cannot do.
fn is_limit(one: &Diagnostic) -> bool {
    let code = one.code.as_str();
    code.starts_with("BH07")
}

/// A line that valid systems have, too, is not where the fault is; so each finding marks a line that is only in the faulty file.
#[test]
fn each_finding_marks_a_line_that_no_valid_system_has() {
    let resources = FakeResources::new();
    let mut wrong = Vec::new();
    for path in corpus("tests/faults") {
        let name = stem(&path);
        let excused = MARKS_A_SOUND_LINE.iter().any(|(file, _)| *file == name);
        let all = all_findings(&path, &resources);
        let only_limits = all.iter().all(is_limit);
        for one in all.iter().filter(|one| only_limits || !is_limit(one)) {
            let line = one.location.as_ref().map_or("", |at| at.text.as_str());
            // What is missing has no line of its own: its table, or what needs it, is marked.
            let missing = one.message.contains(" has no ");
            if !missing && SOUND_LINES.lines().any(|sound| sound == line) != excused {
                wrong.push(format!("{name}: {one}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "mark the faulty line, or keep MARKS_A_SOUND_LINE as it is true:\n{}",
        wrong.join("\n")
    );
}

/// The table in `README.md` points to files and tests; one that was renamed must not stay there.
#[test]
fn every_file_and_test_that_the_readme_names_exists() {
    let readme = std::fs::read_to_string(repository().join("tests/faults/README.md")).unwrap();
    let faults: BTreeSet<String> = corpus("tests/faults")
        .iter()
        .map(|path| stem(path))
        .collect();
    let tests = test_names();
    let rows = readme.lines().filter(|line| line.starts_with("| "));
    let names: Vec<&str> = rows
        .filter_map(|row| row.rsplit('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert!(names.len() > 30, "the table is gone");
    for name in names {
        assert!(
            faults.contains(name) || tests.contains(name),
            "README.md names {name}"
        );
    }
}

/// Names of all functions in the repository's Rust files.
fn test_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders: Vec<PathBuf> = [
        "configs", "gic", "hv", "qemu", "rtds", "smmu", "tests", "xtask",
    ]
    .map(|folder| repository().join(folder))
    .to_vec();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let functions = text.split("fn ").skip(1);
                let name = |rest: &str| rest.split('(').next().unwrap_or_default().to_owned();
                names.extend(functions.map(name));
            }
        }
    }
    names
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
