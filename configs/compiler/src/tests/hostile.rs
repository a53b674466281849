//! Inputs that were changed at random, and inputs of absurd size: a result or a finding, never a panic.

use proptest::prelude::*;

use super::{compile_text, compile_with, prove_text};
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
fn thousands_of_channels_are_too_many_and_take_no_time() {
    let partition = |name: &str| {
        format!(
            "[[partition]]\nname = \"{name}\"\npool = \"p\"\nmemory = \"1MiB\"\nimage = \"program.elf\"\n"
        )
    };
    let channel = |index: u32| {
        format!(
            "[[channel]]\nname = \"c{index}\"\nsize = \"4KiB\"\nends = [{{ partition = \"a\" }}, {{ partition = \"b\" }}]\n"
        )
    };
    let text = |count: u32| {
        let channels: String = (0..count).map(channel).collect();
        format!(
            "[system]\nname = \"many\"\nboard = \"lab\"\n[pools.p]\ncpus = [0, 1]\npolicy = \"dedicated\"\n{}{}{channels}",
            partition("a"),
            partition("b")
        )
    };
    prove_text(&text(64)).unwrap_or_else(|findings| panic!("{findings}"));
    let findings = prove_text(&text(5000)).unwrap_err();
    let codes: Vec<&str> = findings.iter().map(|one| one.code.as_str()).collect();
    assert_eq!(codes, ["BH0233"], "{findings}");
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
    assert_eq!(lines, [2, 3, 4, 5, 9, 10, 11, 12], "{findings}");
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
