//! A short fuzz run in every test run: the corpus, changed at random but always the same way. No panic, no hang, bounded memory.
//!
//! `BULKHEAD_FUZZ_CASES` in the environment asks for another number of cases, `BULKHEAD_FUZZ_SEED` for others.
//! `tests/fuzz` has the same as targets for a coverage-guided fuzzer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::{corpus, repository};
use crate::testing::allocation::peak_of;
use crate::testing::random::Random;
use crate::testing::watchdog::Watchdog;
use crate::testing::{FakeResources, Gic, lab, mutate, unique_path, virt};
use crate::{Severity, audit, compile, prove};

/// What one run of the compiler may hold at most beyond its input. The largest valid system of the corpus takes a tenth.
const CEILING: usize = 64 << 20;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Runs `case` once a number, with randomness of its own, and names the number when one fails.
fn run(what: &str, cases: u64, mut case: impl FnMut(&mut Random)) {
    let watchdog = Watchdog::new();
    let first = setting("BULKHEAD_FUZZ_SEED", 1);
    for number in first..first + setting("BULKHEAD_FUZZ_CASES", cases) {
        watchdog.begins(&format!("{what}, case {number}"));
        let mut random = Random::new(number);
        let ((), peak) = peak_of(|| {
            let result = catch_unwind(AssertUnwindSafe(|| case(&mut random)));
            if result.is_err() {
                panic!("{what}: BULKHEAD_FUZZ_SEED={number} BULKHEAD_FUZZ_CASES=1 shows it again");
            }
        });
        assert!(peak < CEILING, "{what}, case {number}: {peak} bytes");
    }
}

/// Every system file of the repository, right or wrong.
fn systems() -> Vec<Vec<u8>> {
    let mut files = corpus("tests/faults");
    files.extend(valid_systems());
    files
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

/// Every system file that is meant to be right.
pub(super) fn valid_systems() -> Vec<PathBuf> {
    let mut files = corpus("tests/valid");
    for board in std::fs::read_dir(repository().join("configs")).unwrap() {
        let folder = board.unwrap().path();
        if folder.is_dir() && !folder.join("Cargo.toml").exists() {
            files.extend(corpus(&folder.display().to_string()));
        }
    }
    assert!(files.len() >= 4, "no valid systems found");
    files
}

/// Proves bytes as a system file, and compiles them when they are accepted: what must hold for every answer. True when accepted.
pub(super) fn assert_sane(path: &Path, text: &[u8], resources: &FakeResources) -> bool {
    std::fs::write(path, text).unwrap();
    let proved = prove(path, resources);
    let compiled = proved.is_ok().then(|| compile(path, resources));
    std::fs::remove_file(path).unwrap();
    match &proved {
        Ok(proof) => {
            let broken = audit(proof);
            assert!(broken.is_empty(), "{}", broken.join("\n"));
            assert!(!proof.warnings.has_errors());
        }
        Err(findings) => {
            assert!(findings.has_errors());
            assert!(!findings.render(true).is_empty());
        }
    }
    // Only what the image cannot do yet tells the two apart.
    if let Some(Err(findings)) = compiled {
        let mut errors = findings
            .iter()
            .filter(|one| one.severity == Severity::Error);
        assert!(
            errors.all(|one| one.code.as_str().starts_with("BH07")),
            "{findings}"
        );
    }
    proved.is_ok()
}

#[test]
fn changed_system_files_neither_panic_nor_hang_nor_eat_memory() {
    let (resources, path, systems) = (FakeResources::new(), unique_path("smoke.toml"), systems());
    run("system files", 1500, |random| {
        let [one, other] = [(); 2].map(|()| random.pick(&systems).unwrap());
        let text = mutate::bytes(random, one, other);
        assert_sane(&path, &text, &resources);
    });
}

#[test]
fn changed_board_trees_neither_panic_nor_hang_nor_eat_memory() {
    let mut resources = FakeResources::new();
    let path = unique_path("smoke-tree.toml");
    let trees = [virt(Gic::V2), virt(Gic::V3), lab()];
    let system = include_str!("golden/demo.toml").replace("BOARD", "given")
        + "devices = [\"/pl031@9010000\"]\n";
    run("board trees", 800, |random| {
        let tree = random.pick(&trees).unwrap();
        let tree = mutate::tree(random, tree).write();
        let tree = match random.once_in(4) {
            true => mutate::bytes(random, &tree, &tree),
            false => tree,
        };
        resources.give(tree);
        assert_sane(&path, system.as_bytes(), &resources);
    });
}
