//! What a device that is given away depends on: found, followed, and at hand in the guest's tree.

use super::prove_with;
use crate::devicetree::{NodeId, Tree};
use proptest::prelude::*;

use crate::testing::{FakeResources, Gic, device, lab, virt};
use crate::{Diagnostics, Proof, Severity};

/// A board with a device at 0x9200000 that `build` connects.
fn board(build: impl FnOnce(&mut Tree, NodeId)) -> Tree {
    let mut tree = virt(Gic::V3);
    let node = device(&mut tree, "timer@9200000", "arm,sp804", 0x920_0000, 40);
    build(&mut tree, node);
    tree
}

/// A provider with registers, a phandle, and the width of its specifiers.
fn provider(tree: &mut Tree, name: &str, base: u32, phandle: u32, cells: (&str, u32)) -> NodeId {
    let node = device(
        tree,
        &format!("{name}@{base:x}"),
        "arm,sp805",
        base,
        base >> 12 & 0xff,
    );
    tree.set_cells(node, "phandle", &[phandle]);
    tree.set_cells(node, cells.0, &[cells.1]);
    node
}

/// Proves a partition `a` with these lines, on such a board.
fn prove(tree: &Tree, lines: &str) -> Result<Proof, Diagnostics> {
    let mut resources = FakeResources::new();
    resources.give(tree.write());
    let text = format!(
        "[system]\nname = \"t\"\nboard = \"given\"\n[pools.p]\ncpus = [0, 1]\npolicy = \"dedicated\"\n\
         [[partition]]\nname = \"a\"\npool = \"p\"\nmemory = {{ size = \"64MiB\", identity = true }}\nimage = \"Image\"\n{lines}\n"
    );
    prove_with(&text, &resources)
}

fn guest(tree: &Tree, lines: &str) -> Tree {
    let proof = prove(tree, lines).unwrap_or_else(|findings| panic!("{findings}"));
    Tree::read(&proof.guest_trees[0].1).unwrap()
}

fn refusal(tree: &Tree, lines: &str) -> (Vec<String>, String) {
    let findings = prove(tree, lines).unwrap_err();
    let errors = findings
        .iter()
        .filter(|one| one.severity == Severity::Error);
    let codes = errors.map(|one| one.code.to_string()).collect();
    (codes, findings.to_string())
}

/// The field case of au-ts/libvmm 143: "deferred probe pending".
#[test]
fn device_without_its_clocks_resets_power_and_efuses_is_refused_with_each_named() {
    let tree = board(|tree, node| {
        provider(tree, "clocks", 0x921_0000, 0x91, ("#clock-cells", 1));
        provider(tree, "resets", 0x922_0000, 0x92, ("#reset-cells", 1));
        provider(tree, "power", 0x923_0000, 0x93, ("#power-domain-cells", 0));
        let efuse = provider(tree, "efuse", 0x924_0000, 0x94, ("#address-cells", 1));
        tree.set_cells(efuse, "#size-cells", &[1]);
        let cell = tree.add(efuse, "calibration@4");
        tree.set_cells(cell, "reg", &[4, 4]);
        tree.set_cells(cell, "phandle", &[0x95]);
        tree.set_cells(node, "clocks", &[0x91, 1, 0x91, 2]);
        tree.set(node, "clock-names", *b"bus\0core\0");
        tree.set_cells(node, "resets", &[0x92, 7]);
        tree.set_cells(node, "power-domains", &[0x93]);
        tree.set_cells(node, "nvmem-cells", &[0x95]);
    });
    let (codes, text) = refusal(&tree, "devices = [\"/timer@9200000\"]");
    assert_eq!(codes, ["BH0609"], "{text}");
    for named in [
        "`clocks` (bus, core) names /clocks@9210000, which belongs to nobody",
        "`resets` (entry 0) names /resets@9220000",
        "`power-domains` (entry 0) names /power@9230000",
        "`nvmem-cells` (entry 0) names /efuse@9240000/calibration@4",
        "add \"/clocks@9210000\", \"/resets@9220000\", \"/power@9230000\", \"/efuse@9240000\" to `devices`",
        "{ device = \"/timer@9200000\", clocks = [\"…MHz\", \"…MHz\"], without = [\"resets\", \"power-domains\", \"nvmem-cells\"] }",
    ] {
        assert!(text.contains(named), "{named} is missing in\n{text}");
    }
    // Each of the ways that the finding offers is one.
    let all = "devices = [\"/timer@9200000\", \"/clocks@9210000\", \"/resets@9220000\", \"/power@9230000\", \"/efuse@9240000\"]";
    assert!(prove(&tree, all).is_ok());
    let none = "devices = [{ device = \"/timer@9200000\", clocks = [\"1MHz\", \"2MHz\"], without = [\"resets\", \"power-domains\", \"nvmem-cells\"] }]";
    assert!(prove(&tree, none).is_ok());
}

#[test]
fn fixed_clocks_stand_for_the_devices_own_in_order() {
    let tree = board(|tree, node| {
        provider(tree, "clocks", 0x921_0000, 0x91, ("#clock-cells", 1));
        tree.set_cells(node, "clocks", &[0x91, 1, 0x91, 2, 0x91, 3]);
        tree.set(node, "clock-names", *b"a\0b\0c\0");
        tree.set_cells(node, "assigned-clocks", &[0x91, 1]);
        tree.set_cells(node, "assigned-clock-rates", &[5]);
    });
    let guest = guest(
        &tree,
        "devices = [{ device = \"/timer@9200000\", clocks = [\"1MHz\", \"2MHz\", \"1MHz\"] }]",
    );
    let timer = guest.find("/timer@9200000").unwrap();
    let clocks = guest.cells(timer, "clocks").unwrap().unwrap();
    let rate = |phandle: &u32| {
        let clock = guest.by_phandle(*phandle).unwrap();
        guest.cell(clock, "clock-frequency").unwrap().unwrap()
    };
    let rates: Vec<u32> = clocks.iter().map(rate).collect();
    assert_eq!(rates, [1_000_000, 2_000_000, 1_000_000]);
    assert_eq!(clocks[0], clocks[2], "one clock for one frequency");
    assert_eq!(guest.strings(timer, "clock-names"), ["a", "b", "c"]);
    assert!(!guest.has(timer, "assigned-clocks") && !guest.has(timer, "assigned-clock-rates"));
}

#[test]
fn property_left_out_takes_its_names_along() {
    let tree = board(|tree, node| {
        provider(tree, "resets", 0x922_0000, 0x92, ("#reset-cells", 1));
        provider(tree, "pins", 0x925_0000, 0x96, ("#x", 0));
        tree.set_cells(node, "resets", &[0x92, 7]);
        tree.set_string(node, "reset-names", "core");
        tree.set_cells(node, "pinctrl-0", &[0x96]);
        tree.set_cells(node, "pinctrl-1", &[0x96]);
        tree.set(node, "pinctrl-names", *b"default\0sleep\0");
    });
    let guest = guest(
        &tree,
        "devices = [{ device = \"/timer@9200000\", without = [\"resets\", \"pinctrl\"] }]",
    );
    let timer = guest.find("/timer@9200000").unwrap();
    for gone in [
        "resets",
        "reset-names",
        "pinctrl-0",
        "pinctrl-1",
        "pinctrl-names",
    ] {
        assert!(!guest.has(timer, gone), "{gone} is there");
    }
}

#[test]
fn fixed_regulator_is_copied_and_needs_the_gpio_that_switches_it() {
    let tree = board(|tree, node| {
        provider(tree, "gpio", 0x926_0000, 0x97, ("#gpio-cells", 2));
        let supply = tree.add(Tree::ROOT, "regulator-3v3");
        tree.set_string(supply, "compatible", "regulator-fixed");
        tree.set_cells(supply, "phandle", &[0x98]);
        tree.set_cells(supply, "gpio", &[0x97, 3, 0]);
        tree.set_cells(node, "vmmc-supply", &[0x98]);
    });
    let (codes, text) = refusal(&tree, "devices = [\"/timer@9200000\"]");
    assert_eq!(codes, ["BH0609"]);
    assert!(
        text.contains("`gpio` of /regulator-3v3 (entry 0) names /gpio@9260000"),
        "{text}"
    );
    let guest = guest(&tree, "devices = [\"/timer@9200000\", \"/gpio@9260000\"]");
    assert!(guest.find("/regulator-3v3").is_some());
}

#[test]
fn clocks_that_name_each_other_are_copied_once() {
    let tree = board(|tree, node| {
        for (name, phandle, parent) in [("one", 0x91, 0x92), ("two", 0x92, 0x91)] {
            let clock = tree.add(Tree::ROOT, name);
            tree.set_string(clock, "compatible", "fixed-factor-clock");
            tree.set_cells(clock, "#clock-cells", &[0]);
            tree.set_cells(clock, "phandle", &[phandle]);
            tree.set_cells(clock, "clocks", &[parent]);
        }
        tree.set_cells(node, "clocks", &[0x91]);
    });
    let guest = guest(&tree, "devices = [\"/timer@9200000\"]");
    assert!(guest.find("/one").is_some() && guest.find("/two").is_some());
}

/// A copy of such a clock would leave the device's `clocks` one cell short in the guest tree.
#[test]
fn fixed_clock_whose_cells_do_not_suit_its_user_is_refused() {
    for cells in [None, Some(1)] {
        let tree = board(|tree, node| {
            let clock = tree.add(Tree::ROOT, "clock");
            tree.set_string(clock, "compatible", "fixed-clock");
            tree.set_cells(clock, "phandle", &[0x95]);
            if let Some(cells) = cells {
                tree.set_cells(clock, "#clock-cells", &[cells]);
            }
            tree.set_cells(node, "clocks", &[0x95]);
        });
        let (codes, text) = refusal(&tree, "devices = [\"/timer@9200000\"]");
        assert_eq!(codes, ["BH0608"], "{text}");
    }
}

#[test]
fn clock_of_firmware_comes_with_its_interface_and_nothing_else_of_it() {
    let tree = board(|tree, node| {
        let folder = tree.add(Tree::ROOT, "firmware");
        let interface = tree.add(folder, "vendor-firmware");
        tree.set_string(interface, "method", "smc");
        tree.set_cells(interface, "#power-domain-cells", &[1]);
        tree.set_cells(interface, "phandle", &[0x91]);
        let clocks = tree.add(interface, "clock-controller");
        tree.set_cells(clocks, "#clock-cells", &[1]);
        tree.set_cells(clocks, "phandle", &[0x92]);
        tree.add(interface, "power-management");
        let pins = tree.add(interface, "pinctrl");
        tree.add(pins, "uart-default");
        let state = tree.add(pins, "timer-default");
        tree.set_cells(state, "phandle", &[0x93]);
        let mux = tree.add(state, "mux");
        tree.set_string(mux, "function", "timer0");
        tree.set_cells(node, "pinctrl-0", &[0x93]);
        tree.set_cells(node, "clocks", &[0x92, 5]);
        tree.set_cells(node, "power-domains", &[0x91, 6]);
    });
    let (codes, text) = refusal(&tree, "devices = [\"/timer@9200000\"]");
    assert_eq!(codes, ["BH0612"], "{text}");
    let lines = "devices = [\"/timer@9200000\"]\nfirmware_calls = \"mediated\"";
    let guest = guest(&tree, lines);
    let interface = guest.find("/firmware/vendor-firmware").unwrap();
    assert_eq!(guest.string(interface, "method"), Some("smc"));
    let children: Vec<&str> = guest
        .children(interface)
        .iter()
        .map(|child| guest.name(*child))
        .collect();
    assert_eq!(children, ["clock-controller", "pinctrl"]);
    let pins = guest.find("/firmware/vendor-firmware/pinctrl").unwrap();
    assert_eq!(guest.children(pins).len(), 1, "pins of others");
    let mux = guest.child(guest.children(pins)[0], "mux").unwrap();
    assert_eq!(guest.string(mux, "function"), Some("timer0"));
}

#[test]
fn fuses_are_shared_by_partitions_that_only_read_them() {
    let tree = board(|tree, node| {
        let efuse = provider(tree, "efuse", 0x924_0000, 0x94, ("#address-cells", 1));
        tree.set_cells(efuse, "#size-cells", &[1]);
        let cell = tree.add(efuse, "calibration@4");
        tree.set_cells(cell, "reg", &[4, 4]);
        tree.set_cells(cell, "phandle", &[0x95]);
        tree.set_cells(node, "nvmem-cells", &[0x95]);
    });
    let efuse = "{ device = \"/efuse@9240000\", access = \"read-only\" }";
    let proof = prove(
        &tree,
        &format!(
            "devices = [\"/timer@9200000\", {efuse}]\n\
             [[partition]]\nname = \"b\"\npool = \"p\"\nmemory = \"64MiB\"\nimage = \"program.elf\"\ndevices = [{efuse}]"
        ),
    )
    .unwrap_or_else(|findings| panic!("{findings}"));
    for (name, bytes) in &proof.guest_trees {
        let guest = Tree::read(bytes).unwrap();
        let efuse = guest.find("/efuse@9240000");
        assert!(
            efuse.is_some_and(|efuse| !guest.has(efuse, "interrupts")),
            "{name}"
        );
    }
    assert!(proof.report.partitions[1].interrupts.is_empty());
}

#[test]
fn disabled_provider_and_interrupt_controller_are_named_as_such() {
    let tree = board(|tree, node| {
        let dma = provider(tree, "dma", 0x927_0000, 0x99, ("#dma-cells", 1));
        tree.set_string(dma, "status", "disabled");
        let gic = tree.find("/intc").unwrap();
        let its = tree.add(gic, "its@8080000");
        tree.set_cells(its, "phandle", &[0x9a]);
        tree.set_cells(node, "dmas", &[0x99, 1]);
        tree.set_cells(node, "msi-parent", &[0x9a]);
    });
    let (_, text) = refusal(&tree, "devices = [\"/timer@9200000\"]");
    assert!(
        text.contains("/dma@9270000, which is disabled on this board"),
        "{text}"
    );
    assert!(
        text.contains("/its@8080000, which is never given away"),
        "{text}"
    );
    let lines = "devices = [{ device = \"/timer@9200000\", without = [\"dmas\", \"msi-parent\"] }]";
    assert!(prove(&tree, lines).is_ok());
}

/// An Ethernet controller with a PHY below it, whose interrupt goes to a GPIO controller, and a port to a switch.
fn ethernet() -> Tree {
    board(|tree, node| {
        let gpio = provider(tree, "gpio", 0x926_0000, 0x97, ("#gpio-cells", 2));
        tree.set(gpio, "interrupt-controller", []);
        tree.set_cells(gpio, "#interrupt-cells", &[2]);
        tree.set_cells(node, "phy-handle", &[0x9b]);
        let mdio = tree.add(node, "mdio");
        tree.set_cells(mdio, "#address-cells", &[1]);
        tree.set_cells(mdio, "#size-cells", &[0]);
        let phy = tree.add(mdio, "ethernet-phy@c");
        tree.set_cells(phy, "reg", &[0xc]);
        tree.set_cells(phy, "phandle", &[0x9b]);
        tree.set_cells(phy, "interrupt-parent", &[0x97]);
        tree.set_cells(phy, "interrupts", &[11, 8]);
        tree.set_cells(phy, "reset-gpios", &[0x97, 6, 1]);
        let off = tree.add(mdio, "ethernet-phy@d");
        tree.set_string(off, "status", "disabled");
        let port = tree.add(node, "port");
        let endpoint = tree.add(port, "endpoint");
        tree.set_cells(endpoint, "phandle", &[0x9c]);
        tree.set_cells(endpoint, "remote-endpoint", &[0x9d]);
        let switch = tree.add(Tree::ROOT, "switch");
        let remote = tree.add(switch, "endpoint");
        tree.set_cells(remote, "phandle", &[0x9d]);
        tree.set_cells(remote, "remote-endpoint", &[0x9c]);
    })
}

#[test]
fn nodes_below_a_device_come_along_with_what_they_need() {
    let tree = ethernet();
    let (_, text) = refusal(&tree, "devices = [\"/timer@9200000\"]");
    for need in ["`interrupts` of", "`reset-gpios` of"] {
        let named =
            format!("{need} /timer@9200000/mdio/ethernet-phy@c (entry 0) names /gpio@9260000");
        assert!(text.contains(&named), "{text}");
    }
    let guest = guest(&tree, "devices = [\"/timer@9200000\", \"/gpio@9260000\"]");
    let phy = guest.find("/timer@9200000/mdio/ethernet-phy@c").unwrap();
    assert_eq!(guest.cells(phy, "interrupts").unwrap(), Some(vec![11, 8]));
    assert_eq!(guest.cell(phy, "interrupt-parent").unwrap(), Some(0x97));
    assert_eq!(guest.find("/timer@9200000/mdio/ethernet-phy@d"), None);
    let endpoint = guest.find("/timer@9200000/port/endpoint").unwrap();
    assert!(
        !guest.has(endpoint, "remote-endpoint"),
        "the switch is not given"
    );
}

#[test]
fn subnode_and_property_of_a_subnode_can_be_left_out() {
    let without = |what: &str| {
        guest(
            &ethernet(),
            &format!("devices = [{{ device = \"/timer@9200000\", without = [{what}] }}]"),
        )
    };
    let polled = without("\"ethernet-phy/interrupts\", \"ethernet-phy@c/reset-gpios\"");
    let phy = polled.find("/timer@9200000/mdio/ethernet-phy@c").unwrap();
    assert!(!polled.has(phy, "interrupts") && !polled.has(phy, "reset-gpios"));
    let timer = polled.find("/timer@9200000").unwrap();
    assert!(polled.has(timer, "interrupts"), "the device keeps its own");
    let bare = without("\"mdio\", \"phy-handle\"");
    assert_eq!(bare.find("/timer@9200000/mdio"), None);
}

#[test]
fn device_keeps_its_bus_with_windows_and_cells() {
    let mut tree = virt(Gic::V3);
    let soc = tree.add(Tree::ROOT, "soc");
    tree.set_string(soc, "compatible", "simple-bus");
    tree.set_cells(soc, "#address-cells", &[1]);
    tree.set_cells(soc, "#size-cells", &[1]);
    tree.set_cells(soc, "ranges", &[0x1000, 0, 0x920_0000, 0x2000]);
    tree.set_cells(soc, "dma-ranges", &[0, 0, 0x4000_0000, 0x1000_0000]);
    for (name, base) in [("serial@1000", 0x1000), ("serial@2000", 0x2000)] {
        let node = tree.add(soc, name);
        tree.set_string(node, "compatible", "arm,pl011");
        tree.set_cells(node, "reg", &[base, 0x800]);
    }
    let guest = guest(&tree, "devices = [\"/soc/serial@1000\"]");
    let bus = guest.find("/soc").unwrap();
    assert!(guest.has(bus, "dma-ranges"));
    assert_eq!(
        guest.children(bus).len(),
        1,
        "the other serial port is not there"
    );
    let serial = guest.find("/soc/serial@1000").unwrap();
    let registers = crate::devicetree::addresses::registers(&guest, serial).unwrap();
    assert_eq!((registers[0].base, registers[0].size), (0x920_0000, 0x800));
}

#[test]
fn aliases_and_labels_of_devices_that_are_here_stay() {
    let mut tree = board(|_, _| {});
    let aliases = tree.find("/aliases").unwrap();
    tree.set_string(aliases, "timer7", "/timer@9200000");
    tree.set_string(aliases, "rtc0", "/pl031@9010000");
    let guest = guest(&tree, "devices = [\"timer7\"]");
    let aliases = guest.find("/aliases").unwrap();
    assert_eq!(guest.string(aliases, "timer7"), Some("/timer@9200000"));
    assert!(!guest.has(aliases, "rtc0") && !guest.has(aliases, "serial0"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever devices a partition asks for: the answer is a finding about them, or a tree that is proved.
    #[test]
    fn any_devices_give_a_proved_tree_or_a_finding_about_them(
        picked in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        calls: bool,
        without: bool,
    ) {
        let lab = lab();
        let nodes: Vec<NodeId> = lab.nodes().filter(|node| lab.has(*node, "compatible")).collect();
        let without = match without {
            true => "[\"clocks\", \"resets\"]",
            false => "[]",
        };
        let names: Vec<String> = picked
            .iter()
            .map(|index| format!("{{ device = \"{}\", without = {without} }}", lab.path(*index.get(&nodes))))
            .collect();
        let lines = format!("devices = [{}]\ndma = \"trusted\"\nfirmware_calls = {calls}", names.join(", "));
        if let Err(findings) = prove(&lab, &lines) {
            let mut errors = findings.iter().filter(|one| one.severity == Severity::Error);
            prop_assert!(errors.all(|one| !["BH0613", "BH0799"].contains(&one.code.as_str())), "{}", findings);
        }
    }
}

#[test]
fn clock_that_another_partition_can_stop_is_a_risk_in_the_report() {
    let tree = board(|tree, node| {
        provider(tree, "clocks", 0x921_0000, 0x91, ("#clock-cells", 1));
        tree.set_cells(node, "clocks", &[0x91, 1]);
    });
    let lines = "devices = [{ device = \"/timer@9200000\", clocks = [\"1MHz\"] }]\n\
         [[partition]]\nname = \"b\"\npool = \"p\"\nmemory = \"64MiB\"\nimage = \"program.elf\"\ndevices = [\"/clocks@9210000\"]";
    let proof = prove(&tree, lines).unwrap_or_else(|findings| panic!("{findings}"));
    let foreign = |one: &&crate::Risk| one.kind == "foreign-provider";
    let risk = proof.report.risks.iter().find(foreign).unwrap();
    assert!(
        risk.what.contains("belongs to partition `b`"),
        "{}",
        risk.what
    );
}
