//! What is a partition's of the firmware, on `virt` with the firmware of a Zynq UltraScale+ in its tree.

use super::*;
use crate::board::Handover;
use crate::supply::supply;
use crate::testing::{Gic, board, device, virt};

const POWER: u32 = 0x9300;
const CLOCKS: u32 = 0x9301;
const RESETS: u32 = 0x9302;
const PINS_OF_ONE: u32 = 0x9303;
const PINS_IN_GROUPS: u32 = 0x9304;
const ONE: &str = "/ethernet@9200000";

/// Two devices: the first one has a node, two clocks, a reset and two pins, and shares its last clock and a second node with the other one.
fn tree(firmware: &str) -> Tree {
    let mut tree = virt(Gic::V2);
    let root = tree.find("/").unwrap();
    let parent = tree.add(root, "firmware");
    let interface = tree.add(parent, "zynqmp-firmware");
    tree.set_string(interface, "compatible", firmware);
    tree.set_string(interface, "method", "smc");
    tree.set_cells(interface, "#power-domain-cells", &[1]);
    tree.set_cells(interface, "phandle", &[POWER]);
    for (name, cells, phandle) in [
        ("clock-controller", "#clock-cells", CLOCKS),
        ("reset-controller", "#reset-cells", RESETS),
    ] {
        let node = tree.add(interface, name);
        tree.set_cells(node, cells, &[1]);
        tree.set_cells(node, "phandle", &[phandle]);
    }
    let pinctrl = tree.add(interface, "pinctrl");
    for (name, phandle, property, value) in [
        ("one", PINS_OF_ONE, "pins", "MIO46\0MIO47"),
        ("groups", PINS_IN_GROUPS, "groups", "ethernet3_0_grp"),
    ] {
        let state = tree.add(pinctrl, name);
        tree.set_cells(state, "phandle", &[phandle]);
        let conf = tree.add(state, "conf");
        tree.set_string(conf, property, value);
    }
    let one = device(&mut tree, "ethernet@9200000", "vendor,eth", 0x920_0000, 40);
    tree.set_cells(one, "clocks", &[CLOCKS, 48, CLOCKS, 52, CLOCKS, 31]);
    tree.set_cells(one, "power-domains", &[POWER, 32, POWER, 42]);
    tree.set_cells(one, "resets", &[RESETS, 32]);
    tree.set_cells(one, "pinctrl-0", &[PINS_OF_ONE]);
    let two = device(&mut tree, "serial@9210000", "vendor,uart", 0x921_0000, 41);
    tree.set_cells(two, "clocks", &[CLOCKS, 56, CLOCKS, 31]);
    tree.set_cells(two, "power-domains", &[POWER, 42]);
    tree
}

/// What a partition with the first device has.
fn owned_in(tree: Tree) -> Result<Owned, String> {
    owned_with(tree, &Handover::default())
}

fn owned_with(tree: Tree, handover: &Handover) -> Result<Owned, String> {
    let board = board(tree);
    let node = board.device_node(ONE).unwrap();
    let device = board.device(node, handover).unwrap();
    let supply = supply(&board, &[&device], true);
    owned(&board.tree, [&device].into_iter(), &supply.needs)
}

fn numbers(numbers: &[u32]) -> BTreeSet<u32> {
    numbers.iter().copied().collect()
}

#[test]
fn what_others_name_too_may_only_be_turned_on() {
    let expected = Owned {
        nodes: numbers(&[32]),
        clocks: numbers(&[48, 52]),
        resets: numbers(&[1032]),
        pins: numbers(&[46, 47]),
        shared_nodes: numbers(&[42]),
        shared_clocks: numbers(&[31]),
    };
    assert_eq!(owned_in(tree(FIRMWARE)), Ok(expected));
}

#[test]
fn what_a_disabled_node_names_is_not_in_use() {
    let mut tree = tree(FIRMWARE);
    let two = tree.find("/serial@9210000").unwrap();
    tree.set_string(two, "status", "disabled");
    let found = owned_in(tree).unwrap();
    assert_eq!(found.clocks, numbers(&[31, 48, 52]));
    assert_eq!(found.shared_clocks, numbers(&[]));
}

#[test]
fn reset_that_others_name_too_is_nobodys() {
    let mut tree = tree(FIRMWARE);
    let two = tree.find("/serial@9210000").unwrap();
    tree.set_cells(two, "resets", &[RESETS, 32]);
    assert_eq!(owned_in(tree).unwrap().resets, numbers(&[]));
}

#[test]
fn groups_of_pins_and_other_firmware_cannot_be_filtered() {
    let mut groups = tree(FIRMWARE);
    let one = groups.find(ONE).unwrap();
    groups.set_cells(one, "pinctrl-0", &[PINS_IN_GROUPS]);
    let mut odd = tree(FIRMWARE);
    let conf = odd
        .find("/firmware/zynqmp-firmware/pinctrl/one/conf")
        .unwrap();
    odd.set_string(conf, "pins", "EMIO3");
    for (tree, says) in [
        (groups, "groups of /firmware/zynqmp-firmware/pinctrl/groups"),
        (odd, "unknown pin EMIO3"),
        (tree("vendor,firmware"), "not that of a Zynq UltraScale+"),
    ] {
        let why = owned_in(tree).unwrap_err();
        assert!(why.contains(says), "{why}");
    }
}

#[test]
fn what_is_of_a_device_that_others_may_read_too_may_only_be_turned_on() {
    let handover = Handover {
        read_only: true,
        ..Handover::default()
    };
    let found = owned_with(tree(FIRMWARE), &handover).unwrap();
    assert_eq!(found.clocks, numbers(&[]));
    assert_eq!(found.shared_clocks, numbers(&[31, 48, 52]));
    assert_eq!(found.resets, numbers(&[]));
}
