//! Overlays for partitions of the board `lab`.

use crate::devicetree::{NodeId, Tree};

/// An overlay of one fragment, as `dtc` would compile it.
fn overlay(target: &str, fill: impl FnOnce(&mut Tree, NodeId)) -> Vec<u8> {
    let mut tree = Tree::new();
    let fragment = tree.add(Tree::ROOT, "fragment@0");
    tree.set_string(fragment, "target-path", target);
    let content = tree.add(fragment, "__overlay__");
    fill(&mut tree, content);
    tree.write()
}

/// Each with its file name.
pub(super) fn all() -> Vec<(&'static str, Vec<u8>)> {
    let at_root = |fill: fn(&mut Tree, NodeId)| overlay("/", fill);
    vec![
        (
            "leds.dtbo",
            at_root(|tree, root| {
                let leds = tree.add(root, "leds");
                tree.set_string(leds, "compatible", "vendor,leds");
            }),
        ),
        (
            "memory.dtbo",
            at_root(|tree, root| {
                let memory = tree.add(root, "memory@80000000");
                tree.set_string(memory, "device_type", "memory");
                tree.set_cells(memory, "reg", &[0, 0x8000_0000, 0, 0x1000_0000]);
            }),
        ),
        (
            "cpu.dtbo",
            overlay("/cpus", |tree, cpus| {
                let cpu = tree.add(cpus, "cpu@7");
                tree.set_string(cpu, "device_type", "cpu");
                tree.set_cells(cpu, "reg", &[7]);
            }),
        ),
        (
            "registers.dtbo",
            at_root(|tree, root| {
                let serial = tree.add(root, "serial@9100000");
                tree.set_cells(serial, "reg", &[0, 0x910_0000, 0, 0x800]);
            }),
        ),
        (
            "interrupt.dtbo",
            at_root(|tree, root| {
                let key = tree.add(root, "key");
                tree.set_cells(key, "interrupts", &[0, 10, 4]);
            }),
        ),
        (
            "phandle.dtbo",
            at_root(|tree, root| {
                let key = tree.add(root, "key");
                tree.set_cells(key, "gpios", &[0x7777, 1, 0]);
            }),
        ),
        (
            "elsewhere.dtbo",
            overlay("/ethernet@9120000", |tree, node| {
                tree.set_string(node, "phy-mode", "sgmii");
            }),
        ),
        ("broken.dtbo", b"/dts-v1/; /plugin/;".to_vec()),
    ]
}
