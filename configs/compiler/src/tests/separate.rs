//! Images that are files of their own.

use model::file::address;
use sha2::{Digest, Sha256};

use super::compile_text;
use crate::Compiled;
use crate::report::{MapKind, Owner};

/// Where the file lies.
const PLACE: u64 = 0x6000_0000;

/// The demo, with one partition's image in a file of its own or not; `more` is said of that partition.
fn demo(separate: bool, more: &str) -> Compiled {
    let text = include_str!("golden/demo.toml").replace("BOARD", "qemu-virt-gicv3");
    let image = match separate {
        true => "image = { file = \"guest:rt\", address = \"0x60000000\" }",
        false => "image = \"guest:rt\"",
    };
    let text = text.replace("image = \"guest:rt\"", &format!("{image}\n{more}"));
    compile_text(&text).unwrap_or_else(|findings| panic!("{findings}"))
}

#[test]
fn file_has_what_the_payload_has_not_and_the_table_has_its_hash() {
    let (with, without) = (demo(true, ""), demo(false, ""));
    assert!(without.files.is_empty());
    assert!(with.payload.len() < without.payload.len());
    let [file] = with.files.as_slice() else {
        panic!("{} files", with.files.len());
    };
    assert_eq!((file.partition.as_str(), file.address), ("rt", PLACE));
    let hash: [u8; 32] = Sha256::digest(&file.bytes).into();
    let size = file.bytes.len();
    let said = format!(
        "file: Some(&model::file::File {{ place: model::memory::PhysicalRange {{ base: model::Pa::new(0x60000000), size: {size:#x} }}, sha256: {hash:?} }}),"
    );
    assert!(with.table.contains(&said), "{}", with.table);
    assert!(with.image_features.contains(&"files"));
    assert!(!without.image_features.contains(&"files"));
}

/// Offsets of segments in a table.
fn offsets(table: &str) -> Vec<u64> {
    let numbers = table.split("offset: 0x").skip(1);
    let number = |text: &str| u64::from_str_radix(text.split(',').next()?, 16).ok();
    numbers.filter_map(number).collect()
}

#[test]
fn segments_lie_in_the_file_and_the_device_tree_in_the_payload() {
    let compiled = demo(true, "");
    let end = PLACE + compiled.files[0].bytes.len() as u64;
    let separate: Vec<u64> = offsets(&compiled.table)
        .into_iter()
        .filter_map(address)
        .collect();
    assert!(!separate.is_empty());
    assert!(separate.iter().all(|at| (PLACE..end).contains(at)));
    let tree = compiled.proof.guest_trees.iter();
    let tree = &tree.clone().find(|(name, _)| name == "rt").unwrap().1;
    let mut payload = compiled.payload.windows(tree.len());
    assert!(payload.any(|bytes| bytes == tree));
}

#[test]
fn checksums_of_a_pristine_start_are_those_of_the_payload() {
    let sums = |separate| {
        let table = demo(separate, "pristine = true").table;
        let line = table.lines().find(|line| line.contains("pristine: Some"));
        line.unwrap().to_owned()
    };
    assert_eq!(sums(true), sums(false));
}

#[test]
fn place_of_the_file_is_the_hypervisors_and_nobody_else_is_put_there() {
    let report = demo(true, "").proof.report;
    let entry = report.memory_map.iter().find(|one| one.base == PLACE);
    let entry = entry.unwrap();
    assert_eq!(
        (entry.kind, &entry.owner),
        (MapKind::Ram, &Owner::Hypervisor)
    );
    assert_eq!(entry.what, "file of rt");
    // Where the compiler would otherwise have put the largest memory.
    let first = demo(false, "").proof.report;
    let linux = Owner::Partition("linux".to_owned());
    let taken = first.memory_map.iter().find(|one| one.owner == linux);
    let text = include_str!("golden/demo.toml").replace("BOARD", "qemu-virt-gicv3");
    let image = format!(
        "image = {{ file = \"guest:rt\", address = \"{:#x}\" }}",
        taken.unwrap().base
    );
    let moved = compile_text(&text.replace("image = \"guest:rt\"", &image)).unwrap();
    let entries = moved.proof.report.memory_map.iter();
    let now = entries.clone().find(|one| one.owner == linux).unwrap();
    assert!(now.base > taken.unwrap().base);
}
