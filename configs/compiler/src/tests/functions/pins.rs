//! Interrupts of pins.

use super::{board, compile};
use crate::devicetree::Tree;

/// The board with a map of pins as QEMU's: device 2 has INTA to INTD at SPI 5, 6, 3, 4, and device 3 one further.
fn with_pins() -> Tree {
    let mut tree = board();
    let gic = tree.find("/intc").unwrap();
    let gic = tree.cell(gic, "phandle").unwrap().unwrap();
    let pcie = tree.find("/pcie@10000000").unwrap();
    let mut map = Vec::new();
    for device in 0..4 {
        for pin in 0..4 {
            let spi = 3 + (device + pin) % 4;
            map.extend([device << 11, 0, 0, pin + 1, gic, 0, 0, 0, spi, 4]);
        }
    }
    tree.set_cells(pcie, "#interrupt-cells", &[1]);
    tree.set_cells(pcie, "interrupt-map", &map);
    tree.set_cells(pcie, "interrupt-map-mask", &[0x1800, 0, 0, 7]);
    tree
}

fn function(path: &str, pin: &str) -> String {
    format!("{{ device = \"/pcie@10000000/{path}\", without = [\"msi\"], pin = \"{pin}\" }}")
}

#[test]
fn pin_ends_in_the_interrupt_that_the_map_and_the_bridges_give_it() {
    for (path, pin, spi) in [
        ("00:02.0", "A", 5),
        ("00:02.0", "C", 3),
        ("00:03.0", "A", 6),
        ("00:02.0/01:00.0", "A", 5),
        ("00:02.0/01:01.0", "A", 6),
        ("00:02.0/01:03.0", "D", 3),
    ] {
        let compiled = compile(&with_pins(), [&function(path, pin), ""]).unwrap();
        let line = format!(
            "PassedInterrupt::new(model::IntId::new({}), model::device::Trigger::Level)",
            spi + 32
        );
        assert!(
            compiled.table.contains(&line),
            "{path} {pin}: {}",
            compiled.table
        );
    }
}

#[test]
fn guest_finds_the_interrupt_at_the_place_where_it_sees_the_function() {
    let compiled = compile(&with_pins(), [&function("00:02.0/01:01.0", "B"), ""]).unwrap();
    assert!(compiled.table.contains("place: 0x0108, address: 0x08,"));
    assert!(compiled.table.contains("messages: 0, pin: 2 }"));
    let tree = Tree::read(&compiled.proof.guest_trees[0].1).unwrap();
    let pcie = tree.find("/pcie@10000000").unwrap();
    let cells = |name: &str| tree.cells(pcie, name).unwrap().unwrap();
    let map = cells("interrupt-map");
    assert_eq!(map[..4], [0x0800, 0, 0, 2]);
    // INTB of device 1 is INTC of the bridge, device 2.
    assert_eq!(map[map.len() - 3..], [0, 3, 4]);
    assert_eq!(cells("interrupt-map-mask"), [0x00ff_ff00, 0, 0, 7]);
    assert!(!tree.has(pcie, "msi-map"));
}

#[test]
fn line_of_two_partitions_is_refused_and_of_one_is_not() {
    // INTA of device 2, and INTD of device 3.
    let devices = [function("00:02.0", "A"), function("00:03.0", "D")];
    let findings = compile(&with_pins(), [&devices[0], &devices[1]]).unwrap_err();
    let findings = findings.to_string();
    for says in [
        "the interrupt of /pcie@10000000/00:03.0 (partition `p1`) belongs to /pcie@10000000/00:02.0 of partition `p0`",
        "SPI 5",
    ] {
        assert!(findings.contains(says), "{findings}");
    }
    assert!(compile(&with_pins(), [&devices.join(", "), ""]).is_ok());
}

#[test]
fn pin_without_a_map_is_refused() {
    let findings = compile(&board(), [&function("00:02.0", "A"), ""]).unwrap_err();
    assert!(
        findings.to_string().contains("`interrupt-map` is missing"),
        "{findings}"
    );
}

#[test]
fn pin_that_is_none_is_refused() {
    let findings = compile(&with_pins(), [&function("00:02.0", "E"), ""]).unwrap_err();
    assert!(findings.to_string().contains("\"E\""), "{findings}");
}
