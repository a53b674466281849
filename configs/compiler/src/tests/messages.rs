//! PCI host bridges that are given away as a whole, and where the messages of their functions go.

use super::{compile_with, prove_with};
use crate::devicetree::{NodeId, Tree};
use crate::testing::{FakeResources, Gic, virt};
use crate::{Compiled, Diagnostics, Proof};

const BRIDGE: &str = "/pcie@10000000";
const LARGEST: u32 = 0x80;

/// QEMU's bridge on its `virt`, and behind the GIC what its messages go to.
fn board(gic: Gic) -> Tree {
    let mut tree = virt(gic);
    let intc = tree.find("/intc").unwrap();
    tree.set_cells(intc, "#address-cells", &[2]);
    tree.set_cells(intc, "#size-cells", &[2]);
    tree.set(intc, "ranges", []);
    let target = match gic {
        Gic::V3 => {
            let its = tree.add(intc, "its@8080000");
            tree.set_string(its, "compatible", "arm,gic-v3-its");
            tree.set_cells(its, "reg", &[0, 0x808_0000, 0, 0x2_0000]);
            its
        }
        Gic::V2 => {
            let frame = tree.add(intc, "v2m@8020000");
            tree.set_string(frame, "compatible", "arm,gic-v2m-frame");
            tree.set_cells(frame, "reg", &[0, 0x802_0000, 0, 0x1000]);
            tree.set_cells(frame, "arm,msi-base-spi", &[80]);
            tree.set_cells(frame, "arm,msi-num-spis", &[4]);
            frame
        }
    };
    tree.set_cells(target, "phandle", &[0x800a]);
    bridge(&mut tree, "pcie@10000000", 0x1000_0000, 0);
    tree
}

/// A bridge whose functions have 64 Ki DeviceIDs from `first`.
fn bridge(tree: &mut Tree, name: &str, base: u32, first: u32) -> NodeId {
    let pcie = tree.add(Tree::ROOT, name);
    tree.set_string(pcie, "compatible", "pci-host-ecam-generic");
    tree.set_string(pcie, "device_type", "pci");
    tree.set_cells(pcie, "#address-cells", &[3]);
    tree.set_cells(pcie, "#size-cells", &[2]);
    tree.set_cells(pcie, "#interrupt-cells", &[1]);
    tree.set_cells(pcie, "reg", &[0x40, base, 0, 0x1000_0000]);
    tree.set_cells(pcie, "msi-map", &[0, 0x800a, first, 0x1_0000]);
    #[rustfmt::skip]
    tree.set_cells(pcie, "ranges", &[
        0x200_0000, 0, base, 0, base, 0, 0x100_0000,
        0x300_0000, LARGEST, 0, LARGEST, 0, LARGEST, 0,
    ]);
    #[rustfmt::skip]
    tree.set_cells(pcie, "interrupt-map", &[
        0, 0, 0, 1, 0x8009, 0, 0, 0, 3, 4,
        0, 0, 0, 2, 0x8009, 0, 0, 0, 4, 4,
    ]);
    tree.set_cells(pcie, "interrupt-map-mask", &[0, 0, 0, 7]);
    pcie
}

fn text(lines: &str, more: &str) -> String {
    let partition = |name: &str, cpu: u32, lines: &str| {
        format!(
            "[pools.{name}]\ncpus = [{cpu}]\npolicy = \"dedicated\"\n[[partition]]\nname = \"{name}\"\npool = \"{name}\"\n\
             memory = {{ size = \"64MiB\", identity = true }}\nimage = \"Image\"\ndma = \"trusted\"\n{lines}\n"
        )
    };
    let second = match more {
        "" => String::new(),
        more => partition("b", 1, more),
    };
    let first = partition("a", 0, lines);
    format!("[system]\nname = \"t\"\nboard = \"given\"\n{first}{second}")
}

fn resources(tree: &Tree) -> FakeResources {
    let mut resources = FakeResources::new();
    resources.give(tree.write());
    resources
}

fn prove(tree: &Tree, lines: &str, more: &str) -> Result<Proof, Diagnostics> {
    prove_with(&text(lines, more), &resources(tree))
}

fn guest(tree: &Tree, lines: &str) -> Tree {
    let proof = prove(tree, lines, "").unwrap_or_else(|findings| panic!("{findings}"));
    Tree::read(&proof.guest_trees[0].1).unwrap()
}

fn compiled(tree: &Tree, lines: &str) -> Compiled {
    compile_with(&text(lines, ""), &resources(tree)).unwrap_or_else(|findings| panic!("{findings}"))
}

fn devices(list: &str) -> String {
    format!("devices = [{list}]")
}

fn whole() -> String {
    devices(&format!("\"{BRIDGE}\""))
}

fn without_messages(path: &str) -> String {
    devices(&format!("{{ device = \"{path}\", without = [\"msi\"] }}"))
}

#[test]
fn guest_finds_the_bridge_with_its_small_windows_its_pins_and_a_virtual_its() {
    let tree = guest(&board(Gic::V3), &whole());
    let pcie = tree.find(BRIDGE).unwrap();
    let windows = vec![0x200_0000, 0, 0x1000_0000, 0, 0x1000_0000, 0, 0x100_0000];
    assert_eq!(tree.cells(pcie, "ranges").unwrap(), Some(windows));
    #[rustfmt::skip]
    let pins = vec![
        0, 0, 0, 1, 0x8009, 0, 0, 0, 3, 4,
        0, 0, 0, 2, 0x8009, 0, 0, 0, 4, 4,
    ];
    assert_eq!(tree.cells(pcie, "interrupt-map").unwrap(), Some(pins));
    let map = Some(vec![0, 0x800a, 0, 0x1_0000]);
    assert_eq!(tree.cells(pcie, "msi-map").unwrap(), map);
    let its = tree.by_phandle(0x800a).unwrap();
    assert_eq!(tree.path(its), "/intc@8000000/its@8080000");
    let frames = Some(vec![0, 0x808_0000, 0, 0x2_0000]);
    assert_eq!(tree.cells(its, "reg").unwrap(), frames);
}

#[test]
fn image_has_the_its_and_the_partition_its_device_ids() {
    let compiled = compiled(&board(Gic::V3), &whole());
    assert_eq!(compiled.image_features, ["v3", "its", "pl011"]);
    let table = &compiled.table;
    let its = "its: Some(model::its::VirtualIts { base: model::Ipa::new(0x8080000), \
               devices: &[model::its::DeviceIds { first: 0x0, count: 0x10000 }], share: 0 }),";
    assert!(table.contains(its), "{table}");
    assert!(table.contains("its: Some(model::Pa::new(0x8080000)),"));
}

#[test]
fn guest_of_a_gicv2_gets_the_frame_and_exactly_its_spis_as_pulses() {
    let tree = board(Gic::V2);
    let guest = guest(&tree, &whole());
    let frame = guest.by_phandle(0x800a).unwrap();
    assert_eq!(guest.path(frame), "/intc@8000000/v2m@8020000");
    let number = |name| guest.cell(frame, name).unwrap();
    assert_eq!(number("arm,msi-base-spi"), Some(80));
    assert_eq!(number("arm,msi-num-spis"), Some(4));

    let table = compiled(&tree, &whole()).table;
    for intid in 80..84 {
        let line = format!(
            "PassedInterrupt::new(model::IntId::new({intid}), model::device::Trigger::Edge)"
        );
        assert!(table.contains(&line), "{intid}");
    }
    assert!(table.contains("pa: model::Pa::new(0x8020000), size: 0x1000"));
}

#[test]
fn bridge_without_messages_leaves_the_its_alone() {
    let tree = board(Gic::V3);
    let lines = without_messages(BRIDGE);
    let guest = guest(&tree, &lines);
    assert!(guest.by_phandle(0x800a).is_none());
    assert!(!guest.has(guest.find(BRIDGE).unwrap(), "msi-map"));
    assert_eq!(compiled(&tree, &lines).image_features, ["v3", "pl011"]);
}

#[test]
fn one_frame_for_two_partitions_is_refused() {
    let mut tree = board(Gic::V2);
    let second = bridge(&mut tree, "pcie@20000000", 0x2000_0000, 0);
    tree.remove(second, "interrupt-map");
    let more = devices("\"/pcie@20000000\"");
    let findings = prove(&tree, &whole(), &more).unwrap_err().to_string();
    assert!(findings.contains("share a page of registers"), "{findings}");
    assert!(prove(&tree, &whole(), &without_messages("/pcie@20000000")).is_ok());
}

#[test]
fn two_partitions_whose_functions_have_one_device_id_are_refused() {
    let mut tree = board(Gic::V3);
    for (first, sound) in [(0xffff, false), (0x1_0000, true)] {
        if let Some(old) = tree.find("/pcie@20000000") {
            tree.remove(old, "msi-map");
            tree.set_cells(old, "msi-map", &[0, 0x800a, first, 0x1_0000]);
        } else {
            let second = bridge(&mut tree, "pcie@20000000", 0x2000_0000, first);
            tree.remove(second, "interrupt-map");
        }
        let result = prove(&tree, &whole(), &devices("\"/pcie@20000000\""));
        match result {
            Ok(_) => assert!(sound),
            Err(findings) => {
                let text = findings.to_string();
                assert!(!sound && text.contains("BH0621"), "{text}");
            }
        }
    }
}

#[test]
fn its_for_a_gicv2_guest_is_refused() {
    let lines = format!("{}\ngic = \"v2\"", whole());
    let findings = prove(&board(Gic::V3), &lines, "").unwrap_err().to_string();
    assert!(findings.contains("BH0621"), "{findings}");
}

#[test]
fn frame_whose_interrupts_nobody_knows_is_refused() {
    let mut tree = board(Gic::V2);
    let frame = tree.find("/intc/v2m").unwrap();
    tree.remove(frame, "arm,msi-base-spi");
    let findings = prove(&tree, &whole(), "").unwrap_err().to_string();
    assert!(findings.contains("`[[v2m]]`"), "{findings}");
}

#[test]
fn bridge_of_a_kind_of_its_own_is_refused() {
    let mut tree = board(Gic::V3);
    let pcie = tree.find(BRIDGE).unwrap();
    tree.set_string(pcie, "compatible", "vendor,pcie");
    let findings = prove(&tree, &whole(), "").unwrap_err().to_string();
    assert!(findings.contains("BH0608"), "{findings}");
}

#[test]
fn its_without_a_user_is_not_in_the_table() {
    let table = compiled(&board(Gic::V3), "").table;
    assert!(!table.contains("its: Some"));
}
