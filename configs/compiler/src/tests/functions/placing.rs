//! Where BARs go, and where partitions see functions behind bridges.

use super::{board, compile, compiled, refused};
use crate::devicetree::Tree;

fn function(path: &str, fields: &str) -> String {
    format!("{{ device = \"/pcie@10000000/{path}\"{fields} }}")
}

/// The board with 512 GiB of memory for BARs of 64 bits.
fn with_high_window() -> Tree {
    let mut tree = board();
    let pcie = tree.find("/pcie@10000000").unwrap();
    #[rustfmt::skip]
    tree.set_cells(pcie, "ranges", &[
        0x200_0000, 0, 0x1000_0000, 0, 0x1000_0000, 0, 0x40_0000,
        0x300_0000, 0x80, 0, 0x80, 0, 0x80, 0,
    ]);
    tree
}

#[test]
fn function_has_a_window_below_and_one_above_4_gib() {
    let one = function("00:03.0", ", high_window = \"8GiB\"");
    let two = function("00:04.0", ", high_window = \"16GiB\"");
    let compiled = compile(&with_high_window(), [&one, &two]).unwrap();
    let table = &compiled.table;
    for line in [
        "window: model::pci::Window { base: 0x10000000, size: 0x100000 }, high: Some(model::pci::Window { base: 0x8400000000, size: 0x200000000 })",
        "window: model::pci::Window { base: 0x10100000, size: 0x100000 }, high: Some(model::pci::Window { base: 0x8000000000, size: 0x400000000 })",
        "ipa: model::Ipa::new(0x8400000000), pa: model::Pa::new(0x8400000000), size: 0x200000000, kind: model::memory::MemoryKind::Device",
    ] {
        assert!(table.contains(line), "{line}\n{table}");
    }
    let tree = Tree::read(&compiled.proof.guest_trees[0].1).unwrap();
    let pcie = tree.find("/pcie@10000000").unwrap();
    assert_eq!(
        tree.cells(pcie, "ranges").unwrap().unwrap()[7..],
        [0x300_0000, 0x84, 0, 0x84, 0, 2, 0]
    );
}

#[test]
fn bridge_without_memory_of_64_bits_has_no_room_above() {
    let findings = refused([&function("00:03.0", ", high_window = \"64KiB\""), ""]);
    assert!(
        findings.contains("BH0622") && findings.contains("`high_window = \"64KiB\"`"),
        "{findings}"
    );
}

#[test]
fn window_larger_than_all_addresses_is_refused() {
    for path in ["00:03.0", "00:02.0/01:00.0"] {
        let huge = function(path, ", high_window = \"8388608TiB\"");
        let findings = compile(&with_high_window(), [&huge, &huge])
            .unwrap_err()
            .to_string();
        assert!(findings.contains("BH0622"), "{findings}");
    }
}

#[test]
fn what_is_behind_a_bridge_lies_together_in_whole_mib() {
    let one = [
        function("00:02.0/01:00.0", ", window = \"64KiB\", acs = true"),
        function("00:03.0", ", window = \"64KiB\""),
    ];
    let two = function("00:02.0/01:01.0", ", window = \"128KiB\", acs = true");
    let table = compiled([&one.join(", "), &two]).table;
    for line in [
        "model::pci::Port { place: 0x0010, path: \"/pcie@10000000/00:02.0\", primary: 0x00, secondary: 0x01, subordinate: 0x01, \
         memory: Some(model::pci::Window { base: 0x10000000, size: 0x100000 }), high: None, separates: true, transparent: true },",
        "path: \"/pcie@10000000/00:02.0/01:01.0\", partition: model::PartitionId::new(1), id: None, window: model::pci::Window { base: 0x10000000, size: 0x20000 }",
        "path: \"/pcie@10000000/00:02.0/01:00.0\", partition: model::PartitionId::new(0), id: None, window: model::pci::Window { base: 0x10020000, size: 0x10000 }",
        "path: \"/pcie@10000000/00:03.0\", partition: model::PartitionId::new(0), id: None, window: model::pci::Window { base: 0x10100000, size: 0x10000 }",
        "model::memory::PhysicalRange { base: model::Pa::new(0x4010000000), size: 0x200000 }",
    ] {
        assert!(table.contains(line), "{line}\n{table}");
    }
}

#[test]
fn ports_of_a_switch_have_their_parts_of_what_is_above_them() {
    let one = function(
        "00:02.0/01:00.0/02:00.0/03:00.0",
        ", window = \"2MiB\", acs = true",
    );
    let two = function(
        "00:02.0/01:00.0/02:01.0/04:00.0",
        ", window = \"4KiB\", acs = true",
    );
    let table = compiled([&one, &two]).table;
    let port = |place: &str, buses: [u8; 3], base: u64, size: u64| {
        let [primary, secondary, subordinate] = buses;
        let buses = format!(
            "primary: {primary:#04x}, secondary: {secondary:#04x}, subordinate: {subordinate:#04x}"
        );
        let window =
            format!("memory: Some(model::pci::Window {{ base: {base:#x}, size: {size:#x} }})");
        let found = table.lines().any(|line| {
            line.contains(&format!("place: {place},"))
                && line.contains(&buses)
                && line.contains(&window)
        });
        assert!(found, "{place}\n{table}");
    };
    port("0x0010", [0, 1, 4], 0x1000_0000, 0x30_0000);
    port("0x0100", [1, 2, 4], 0x1000_0000, 0x30_0000);
    port("0x0200", [2, 3, 3], 0x1000_0000, 0x20_0000);
    port("0x0208", [2, 4, 4], 0x1020_0000, 0x10_0000);
}

#[test]
fn partitions_see_functions_behind_bridges_at_numbers_that_are_free() {
    let one = [
        "00:01.0",
        "00:02.0/01:00.0",
        "00:02.0/01:00.1",
        "00:03.0/02:05.0",
    ]
    .map(|path| function(path, ", window = \"4KiB\""));
    let compiled = compiled([&one.join(", "), &function("00:04.0", "")]);
    for (place, address) in [
        ("0x0008", "0x08"),
        ("0x0100", "0x10"),
        ("0x0101", "0x11"),
        ("0x0228", "0x18"),
        ("0x0020", "0x20"),
    ] {
        let text = format!("place: {place}, address: {address},");
        assert!(compiled.table.contains(&text), "{text}\n{}", compiled.table);
    }
    // The ITS knows them by their own numbers.
    let tree = Tree::read(&compiled.proof.guest_trees[0].1).unwrap();
    let pcie = tree.find("/pcie@10000000").unwrap();
    let map = tree.cells(pcie, "msi-map").unwrap().unwrap();
    let known: Vec<[u32; 2]> = map.chunks(4).map(|entry| [entry[0], entry[2]]).collect();
    assert_eq!(
        known,
        [[0x08, 0x108], [0x10, 0x200], [0x11, 0x201], [0x18, 0x328]]
    );
}

#[test]
fn thirty_third_device_of_a_host_bridge_is_refused() {
    let path = |device: u8| match device {
        32 => "00:1f.0/01:00.0".to_owned(),
        device => format!("00:{device:02x}.0"),
    };
    let all = |count: u8| {
        let all = (0..count).filter(|device| *device != 31 || count < 33);
        let all =
            all.map(|device| function(&path(device), ", window = \"4KiB\", without = [\"msi\"]"));
        all.chain((count == 33).then(|| {
            function(
                "00:1f.0/01:01.0",
                ", window = \"4KiB\", without = [\"msi\"]",
            )
        }))
        .collect::<Vec<_>>()
        .join(", ")
    };
    assert!(compile(&board(), [&all(32), ""]).is_ok());
    let findings = refused([&all(33), ""]);
    assert!(
        findings.contains("no device number is left for /pcie@10000000/00:1f.0/01:01.0"),
        "{findings}"
    );
}
