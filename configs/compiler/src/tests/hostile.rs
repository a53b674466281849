//! Inputs that were changed at random, and inputs of absurd size: a result or a finding, never a panic.

use proptest::prelude::*;

use super::{compile_text, compile_with};
use crate::testing::{FakeResources, Gic, lab, unique_path, virt};

#[test]
fn partition_256_is_one_too_many() {
    let one = |index: u32| {
        format!(
            "[[partition]]\nname = \"p{index}\"\npool = \"p\"\nmemory = \"1MiB\"\nimage = \"program.elf\"\n"
        )
    };
    let partitions: String = (0..256).map(one).collect();
    let text = format!(
        "[system]\nname = \"many\"\nboard = \"lab\"\n[pools.p]\ncpus = [0]\npolicy = \"dedicated\"\n{partitions}"
    );
    let findings = compile_text(&text).unwrap_err();
    assert!(
        findings.iter().any(|one| one.code.as_str() == "BH0213"),
        "{findings}"
    );
}

#[test]
fn several_faults_are_reported_in_one_run_from_top_to_bottom() {
    let text = "[system]\nname = \"Bad Name\"\nboard = \"labb\"\n[pools.p]\ncpus = []\npolicy = \"rtds\"\n\
        [[partition]]\nname = \"a\"\npool = \"other\"\nmemory = \"0MiB\"\nimage = \"nowhere\"\ncolor = 1\n";
    let findings = compile_text(text).unwrap_err();
    let lines: Vec<usize> = findings
        .iter()
        .filter_map(|one| one.location.as_ref().map(|at| at.line))
        .collect();
    assert_eq!(lines, [2, 3, 4, 5, 6, 9, 10, 11, 12], "{findings}");
}

#[test]
fn text_that_is_not_utf8_is_a_finding() {
    let path = unique_path("latin1");
    std::fs::write(&path, b"[system]\nname = \"\xff\"\n").unwrap();
    let findings = crate::compile(&path, &FakeResources::new()).unwrap_err();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(
        findings
            .iter()
            .map(|one| one.code.as_str())
            .collect::<Vec<_>>(),
        ["BH0100"]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn mutated_system_file_never_panics(changes in prop::collection::vec((any::<prop::sample::Index>(), 0u8..128), 1..6)) {
        let mut bytes = include_bytes!("golden/demo.toml").to_vec();
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        let text = String::from_utf8_lossy(&bytes).replace("BOARD", "qemu-virt-gicv3");
        if let Err(findings) = compile_text(&text) {
            prop_assert!(findings.has_errors());
        }
    }

    #[test]
    fn mutated_board_tree_never_panics(
        v2: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut bytes = if v2 { virt(Gic::V2).write() } else { lab().write() };
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        let mut resources = FakeResources::new();
        resources.give(bytes);
        let mut text = include_str!("golden/demo.toml").replace("BOARD", "given");
        text.push_str("devices = [\"/pl031@9010000\"]\n");
        if let Err(findings) = compile_with(&text, &resources) {
            prop_assert!(findings.has_errors());
        }
    }
}
