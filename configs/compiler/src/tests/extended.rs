//! Extended SPIs: a partition knows each by an SPI of its own.

use super::compile_with;
use crate::devicetree::Tree;
use crate::testing::{FakeResources, device, lab};
use crate::{Compiled, Diagnostics, codes};

/// Two watchdogs on a GICv3: their interrupts are the extended SPIs 5 and 6, and of the first one also SPI 30.
fn board() -> Tree {
    let mut tree = lab();
    let first = device(&mut tree, "watchdog@9300000", "arm,sp805", 0x930_0000, 30);
    tree.set_cells(first, "interrupts", &[0, 30, 4, 2, 5, 1]);
    let second = device(&mut tree, "watchdog@9310000", "arm,sp805", 0x931_0000, 31);
    tree.set_cells(second, "interrupts", &[2, 6, 4]);
    tree
}

const FIRST: &str = "/watchdog@9300000";
const SECOND: &str = "/watchdog@9310000";

/// Two partitions of this board.
fn compile(tree: &Tree, [one, two]: [&str; 2]) -> Result<Compiled, Diagnostics> {
    let mut resources = FakeResources::new();
    resources.give(tree.write());
    let partition = |name, text| {
        format!(
            "[[partition]]\nname = \"{name}\"\npool = \"p\"\nmemory = \"64MiB\"\nimage = \"program.elf\"\n{text}\n"
        )
    };
    let text = format!(
        "[system]\nname = \"t\"\nboard = \"given\"\n[pools.p]\ncpus = [0, 1]\npolicy = \"dedicated\"\n{}{}",
        partition("a", one),
        partition("b", two),
    );
    compile_with(&text, &resources)
}

fn devices(paths: &[&str]) -> String {
    format!("devices = {paths:?}")
}

/// The `interrupts` of a device in the tree of the first partition.
fn interrupts(compiled: &Compiled, path: &str) -> Vec<u32> {
    let tree = Tree::read(&compiled.proof.guest_trees[0].1).unwrap();
    let node = tree.find(path).unwrap();
    tree.cells(node, "interrupts").unwrap().unwrap()
}

#[test]
fn guest_finds_an_extended_spi_under_the_highest_free_ordinary_number_with_its_trigger() {
    let both = devices(&[FIRST, SECOND]);
    let compiled = compile(&board(), [&both, ""]).unwrap();
    // A virtual distributor has 64 SPIs here.
    assert_eq!(interrupts(&compiled, FIRST), [0, 30, 4, 0, 63, 1]);
    assert_eq!(interrupts(&compiled, SECOND), [0, 62, 4]);
}

#[test]
fn table_has_both_numbers_and_is_sorted_by_the_physical_one() {
    let both = devices(&[SECOND, FIRST]);
    let compiled = compile(&board(), [&both, ""]).unwrap();
    let entry = |seen, intid, trigger| {
        format!(
            "model::device::PassedInterrupt {{ seen: model::IntId::new({seen}), \
             ..model::device::PassedInterrupt::new(model::IntId::new({intid}), model::device::Trigger::{trigger}) }}"
        )
    };
    let places = [entry(95, 4101, "Edge"), entry(94, 4102, "Level")];
    let places = places.map(|entry| compiled.table.find(&entry).unwrap());
    assert!(places.is_sorted(), "{}", compiled.table);
}

#[test]
fn image_has_the_feature_only_where_a_partition_has_an_extended_spi() {
    let features = |lines: String| compile(&board(), [&lines, ""]).unwrap().image_features;
    assert_eq!(features(devices(&[SECOND])), ["v3", "espi", "pl011"]);
    assert_eq!(features(devices(&["/watchdog@d0000000"])), ["v3", "pl011"]);
}

#[test]
fn number_inside_is_none_that_the_partition_lists_and_its_doorbell_gets_another() {
    let lines = format!(
        "{}\ninterrupts = [{{ spi = 63, trigger = \"edge\" }}]",
        devices(&[SECOND])
    );
    let channel = "[[channel]]\nname = \"c\"\nsize = \"4KiB\"\n\
                   ends = [{ partition = \"a\", doorbell = true }, { partition = \"b\" }]";
    let compiled = compile(&board(), [&lines, channel]).unwrap();
    assert_eq!(interrupts(&compiled, SECOND), [0, 62, 4]);
    let end = &compiled.proof.report.channels[0].ends[0];
    assert_eq!(end.doorbell_intid, Some(93));
}

#[test]
fn report_shows_both_numbers() {
    let compiled = compile(&board(), [&devices(&[SECOND]), ""]).unwrap();
    let report = &compiled.proof.report;
    let entry = report.interrupts.iter().find(|one| one.intid == 4102);
    let entry = entry.unwrap();
    assert_eq!((entry.class.as_str(), entry.number), ("extended SPI", 6));
    assert_eq!(entry.seen, Some(95));
    assert!(report.to_html().contains("extended SPI 6; inside INTID 95"));
}

#[test]
fn extended_spi_of_two_partitions_is_told_by_its_name() {
    let mut tree = board();
    let second = tree.find(SECOND).unwrap();
    tree.set_cells(second, "interrupts", &[2, 5, 4]);
    let findings = compile(&tree, [&devices(&[FIRST]), &devices(&[SECOND])]).unwrap_err();
    let found = findings.iter().map(|one| one.code);
    assert_eq!(found.collect::<Vec<_>>(), [codes::INTERRUPT_OWNED_TWICE]);
    let text = findings.to_string();
    assert!(text.contains("INTID 4101 (extended SPI 5)"), "{text}");
}

#[test]
fn extended_spi_for_which_the_partition_has_no_number_left_is_refused() {
    let mut tree = board();
    let first = tree.find(FIRST).unwrap();
    let many: Vec<u32> = (0..961).flat_map(|number| [2, number, 4]).collect();
    tree.set_cells(first, "interrupts", &many);
    let lines = format!("{}\nconsole = \"none\"", devices(&[FIRST]));
    let findings = compile(&tree, [&lines, ""]).unwrap_err();
    let found = findings.iter().map(|one| one.code);
    assert_eq!(found.collect::<Vec<_>>(), [codes::NO_SPI_LEFT]);

    tree.set_cells(first, "interrupts", &many[3..]);
    assert!(compile(&tree, [&lines, ""]).is_ok());
}
