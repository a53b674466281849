//! PCI functions that are given away one by one.

mod groups;
mod pins;
mod placing;

use super::{compile_with, prove_with};
use crate::devicetree::Tree;
use crate::testing::{FakeResources, Gic, device, virt};
use crate::{Compiled, Diagnostics};

const ITS: u32 = 0x800a;
const SMMU: u32 = 0x9100;

/// A bridge with an SMMU and an ITS behind it, as QEMU's.
fn board() -> Tree {
    let mut tree = virt(Gic::V3);
    let smmu = device(&mut tree, "smmuv3@9050000", "arm,smmu-v3", 0x905_0000, 74);
    tree.set_cells(smmu, "reg", &[0, 0x905_0000, 0, 0x2_0000]);
    tree.set_cells(smmu, "#iommu-cells", &[1]);
    tree.set_cells(smmu, "phandle", &[SMMU]);
    with_bridge(tree, SMMU)
}

/// This tree with a bridge and an ITS behind the IOMMU with this phandle.
fn with_bridge(mut tree: Tree, iommu: u32) -> Tree {
    let intc = tree.find("/intc").unwrap();
    tree.set_cells(intc, "#address-cells", &[2]);
    tree.set_cells(intc, "#size-cells", &[2]);
    tree.set(intc, "ranges", []);
    let its = tree.add(intc, "its@8080000");
    tree.set_string(its, "compatible", "arm,gic-v3-its");
    tree.set_cells(its, "reg", &[0, 0x808_0000, 0, 0x2_0000]);
    tree.set_cells(its, "phandle", &[ITS]);
    let pcie = tree.add(Tree::ROOT, "pcie@10000000");
    tree.set_string(pcie, "compatible", "pci-host-ecam-generic");
    tree.set_string(pcie, "device_type", "pci");
    tree.set_cells(pcie, "#address-cells", &[3]);
    tree.set_cells(pcie, "#size-cells", &[2]);
    tree.set_cells(pcie, "reg", &[0x40, 0x1000_0000, 0, 0x1000_0000]);
    tree.set_cells(pcie, "msi-map", &[0, ITS, 0x100, 0x1_0000]);
    tree.set_cells(pcie, "iommu-map", &[0, iommu, 0, 0x1_0000]);
    #[rustfmt::skip]
    tree.set_cells(pcie, "ranges", &[
        0x100_0000, 0, 0, 0, 0x3eff_0000, 0, 0x1_0000,
        0x200_0000, 0, 0x1000_0000, 0, 0x1000_0000, 0, 0x40_0000,
    ]);
    tree
}

/// Two partitions with these devices.
fn text(devices: [&str; 2]) -> String {
    let mut text = "[system]\nname = \"t\"\nboard = \"given\"\n".to_owned();
    for (index, devices) in devices.into_iter().enumerate() {
        text += &format!(
            "[pools.p{index}]\ncpus = [{index}]\npolicy = \"dedicated\"\n[[partition]]\nname = \"p{index}\"\npool = \"p{index}\"\n\
             vcpus = 1\nmemory = \"64MiB\"\nimage = \"program.elf\"\ndevices = [{devices}]\n"
        );
    }
    text
}

fn compile(tree: &Tree, devices: [&str; 2]) -> Result<Compiled, Diagnostics> {
    let mut resources = FakeResources::new();
    resources.give(tree.write());
    compile_with(&text(devices), &resources)
}

fn compiled(devices: [&str; 2]) -> Compiled {
    compile(&board(), devices).unwrap_or_else(|findings| panic!("{findings}"))
}

/// What is said about the board of [`board`] with these devices.
fn refused(devices: [&str; 2]) -> String {
    compile(&board(), devices).unwrap_err().to_string()
}

const ONE: &str = "\"/pcie@10000000/00:03.0\"";
const TWO: &str = "\"/pcie@10000000/00:04.0\"";

#[test]
fn each_function_has_owner_window_stream_and_device_id() {
    let second = "{ device = \"/pcie@10000000/00:04.0\", id = \"1af4:1041\", window = \"64KiB\", vectors = 4 }";
    let compiled = compiled([ONE, second]);
    assert_eq!(
        compiled.image_features,
        ["v3", "its", "smmuv3", "pci", "pl011"]
    );
    let table = &compiled.table;
    for line in [
        "configuration: model::memory::PhysicalRange { base: model::Pa::new(0x4010000000), size: 0x100000 },",
        "first_bus: 0x00,",
        "ports: &[],",
        "model::pci::Function { place: 0x0018, address: 0x18, path: \"/pcie@10000000/00:03.0\", partition: model::PartitionId::new(0), id: None, \
         window: model::pci::Window { base: 0x10000000, size: 0x100000 }, high: None, messages: 32, pin: 0 },",
        "model::pci::Function { place: 0x0020, address: 0x20, path: \"/pcie@10000000/00:04.0\", partition: model::PartitionId::new(1), \
         id: Some((0x1af4, 0x1041)), window: model::pci::Window { base: 0x10100000, size: 0x10000 }, high: None, messages: 4, pin: 0 },",
        "devices: &[model::its::DeviceIds { first: 0x118, count: 0x1 }], share: 0",
        "devices: &[model::its::DeviceIds { first: 0x120, count: 0x1 }], share: 1",
    ] {
        assert!(table.contains(line), "{line}\n{table}");
    }
    let stream = |first: &str, partition, device| {
        let partition =
            format!("partition: model::PartitionId::new({partition}), device: \"{device}\"");
        let mut lines = table.lines().filter(|line| line.contains("OwnedStreams"));
        assert!(
            lines.any(|line| line.contains(&format!("StreamId::new({first})"))
                && line.contains(&partition))
        );
    };
    stream("0x18", 0, "/pcie@10000000/00:03.0");
    stream("0x20", 1, "/pcie@10000000/00:04.0");
}

#[test]
fn report_has_identity_messages_bars_and_isolation_group_of_each_function() {
    let second = "{ device = \"/pcie@10000000/00:05.0/01:00.0\", id = \"1af4:1041\", window = \"64KiB\", vectors = 4, acs = true }";
    let mut resources = FakeResources::new();
    resources.give(board().write());
    let proof = prove_with(&text([ONE, second]), &resources);
    let report = proof.unwrap_or_else(|findings| panic!("{findings}")).report;
    let devices = report.partitions.iter().flat_map(|one| &one.devices);
    let functions = devices.filter_map(|device| device.function.as_ref());
    let found: Vec<_> = functions
        .map(|one| {
            let bars = one.bars.iter().map(|bars| (bars.base, bars.size));
            let bars: Vec<(u64, u64)> = bars.collect();
            (
                one.id.as_str(),
                one.messages,
                bars,
                one.group.as_str(),
                one.access_control,
            )
        })
        .collect();
    let expected = [
        ("", 32, vec![(0x1000_0000, 0x10_0000)], "00:03", false),
        ("1af4:1041", 4, vec![(0x1010_0000, 0x1_0000)], "01:00", true),
    ];
    assert_eq!(found, expected);
}

#[test]
fn devices_reach_memory_and_the_doorbell_and_cpus_the_window_only() {
    let table = compiled([ONE, ""]).table;
    let (_, rest) = table.split_once("memory: &[").unwrap();
    let (memory, rest) = rest.split_once("dma: &[").unwrap();
    let (dma, _) = rest.split_once("segments:").unwrap();
    assert!(
        memory.contains("0x10000000")
            && !memory.contains("0x8090000")
            && !memory.contains("0x4010000000")
    );
    assert!(
        dma.contains(
            "ipa: model::Ipa::new(0x8090000), pa: model::Pa::new(0x8090000), size: 0x1000"
        )
    );
    assert!(dma.contains("MemoryKind::Ram") && !dma.contains("0x10000000"));
}

#[test]
fn function_without_messages_shares_the_cpus_table_and_has_no_its() {
    let device = "{ device = \"/pcie@10000000/00:03.0\", without = [\"msi\"] }";
    let compiled = compiled([device, ""]);
    assert_eq!(compiled.image_features, ["v3", "smmuv3", "pci", "pl011"]);
    assert!(compiled.table.contains("dma: &[],"));
    assert!(compiled.table.contains("messages: 0, pin: 0 },"));
}

#[test]
fn tables_apart_have_pages_for_the_doorbell_and_none_for_the_window() {
    let mut resources = FakeResources::new();
    let tree = with_bridge(crate::iommus::ipmmu::tests::tree("r8a77990"), 0x9211);
    resources.give(tree.write());
    let device = "{ device = \"/pcie@10000000/00:03.0\", window = \"2MiB\" }";
    let table = compile_with(&text([device, ""]), &resources).unwrap().table;
    // The CPUs': a root and two tables of level 2; the second partition's: a root and one of level 2. The devices': a root, two tables of level 2, and one of
    // level 3 for the doorbell, once in either format.
    assert!(table.contains("stage2_pages: 13,"), "{table}");
}

#[test]
fn guest_finds_the_first_bus_and_the_windows_of_its_functions() {
    let compiled = compiled([ONE, TWO]);
    let tree = Tree::read(&compiled.proof.guest_trees[1].1).unwrap();
    let pcie = tree.find("/pcie@10000000").unwrap();
    let cells = |name: &str| tree.cells(pcie, name).unwrap().unwrap();
    assert_eq!(cells("reg"), [0x40, 0x1000_0000, 0, 0x10_0000]);
    assert_eq!(cells("bus-range"), [0, 0]);
    assert_eq!(
        cells("ranges"),
        [0x200_0000, 0, 0x1010_0000, 0, 0x1010_0000, 0, 0x10_0000]
    );
    assert_eq!(cells("linux,pci-probe-only"), [1]);
    assert_eq!(cells("msi-map"), [0x20, ITS, 0x120, 1]);
    assert!(!tree.has(pcie, "iommu-map") && !tree.has(pcie, "interrupt-map"));
}

#[test]
fn function_of_two_partitions_is_refused() {
    let findings = refused([ONE, ONE]);
    assert!(
        findings.contains("/pcie@10000000/00:03.0 belongs to partition `p0` and to partition `p1`"),
        "{findings}"
    );
}

#[test]
fn bridge_as_a_whole_beside_one_of_its_functions_is_refused() {
    let findings = refused([ONE, "{ device = \"/pcie@10000000\", without = [\"msi\"] }"]);
    assert!(findings.contains("have functions in common"), "{findings}");
}

#[test]
fn functions_of_one_device_go_together_and_not_without_the_first() {
    let other = "\"/pcie@10000000/00:03.1\"";
    let findings = refused([ONE, other]);
    assert!(
        findings.contains("BH0623") && findings.contains("functions of one device"),
        "{findings}"
    );
    let findings = refused([other, ""]);
    assert!(
        findings.contains("BH0623") && findings.contains("without function 0"),
        "{findings}"
    );
    assert!(compile(&board(), [&format!("{ONE}, {other}"), ""]).is_ok());
}

#[test]
fn functions_of_one_stream_or_device_id_in_two_partitions_are_refused() {
    for (property, code) in [("iommu-map-mask", "BH0617"), ("msi-map-mask", "BH0621")] {
        let mut tree = board();
        let pcie = tree.find("/pcie@10000000").unwrap();
        tree.set_cells(pcie, property, &[0]);
        let findings = compile(&tree, [ONE, TWO]).unwrap_err().to_string();
        assert!(findings.contains(code), "{property}: {findings}");
        assert!(
            compile(&tree, [&format!("{ONE}, {TWO}"), ""]).is_ok(),
            "{property}"
        );
    }
}

#[test]
fn function_that_no_iommu_sees_needs_trust() {
    let mut tree = board();
    let pcie = tree.find("/pcie@10000000").unwrap();
    tree.set_cells(pcie, "iommu-map", &[0, SMMU, 0, 0x18]);
    let findings = compile(&tree, [ONE, ""]).unwrap_err().to_string();
    assert!(findings.contains("DMA that nothing confines"), "{findings}");
}

#[test]
fn function_on_no_bridge_or_with_foreign_fields_is_refused() {
    for (device, says) in [
        (
            "\"/pcie@10000000/01:00.0\"",
            "is not on the bridge's first bus",
        ),
        (
            "\"/pcie@10000000/00:02.0/00:00.0\"",
            "numbers grow on the way down",
        ),
        (
            "{ device = \"/pcie@10000000/00:03.0\", acs = true }",
            "`acs` is for functions behind bridges",
        ),
        (
            "{ device = \"/pcie@10000000/00:03.0\", high_window = \"24KiB\" }",
            "write `high_window = \"32KiB\"`",
        ),
        (
            "{ device = \"/pcie@10000000\", pin = \"A\" }",
            "`pin` is for PCI functions",
        ),
        ("\"/pl011@9000000/00:03.0\"", "is no PCI host bridge"),
        (
            "{ device = \"/pcie@10000000/00:03.0\", access = \"read-only\" }",
            "cannot be shared",
        ),
        (
            "{ device = \"/pcie@10000000\", vectors = 3 }",
            "`vectors` is for PCI functions",
        ),
        (
            "{ device = \"/pcie@10000000/00:03.0\", without = [\"clocks\"] }",
            "no `clocks` to be left out",
        ),
        (
            "{ device = \"/pcie@10000000/00:03.0\", window = \"24KiB\" }",
            "write `window = \"32KiB\"`",
        ),
        (
            "{ device = \"/pcie@10000000/00:03.0\", id = \"1af4\" }",
            "is not vendor and device",
        ),
        ("\"/pcie@10000000/00:3.0\"", "has no device"),
    ] {
        let findings = refused([device, ""]);
        assert!(findings.contains(says), "{device}: {findings}");
    }
}

#[test]
fn windows_fill_the_bridge_and_one_more_has_no_room() {
    let window = |device: u8, size: &str| {
        format!("{{ device = \"/pcie@10000000/00:{device:02x}.0\", window = \"{size}\" }}")
    };
    let full = [
        window(3, "64KiB"),
        window(4, "2MiB"),
        window(5, "1MiB"),
        window(6, "512KiB"),
        window(7, "256KiB"),
        window(8, "128KiB"),
    ];
    assert!(compile(&board(), [&full.join(", "), &window(9, "64KiB")]).is_ok());
    let findings = refused([&full.join(", "), &window(9, "128KiB")]);
    assert!(findings.contains("BH0622"), "{findings}");
}

#[test]
fn window_is_beyond_no_32_bit_address() {
    let mut tree = board();
    let pcie = tree.find("/pcie@10000000").unwrap();
    tree.set_cells(
        pcie,
        "ranges",
        &[0x200_0000, 1, 0, 0, 0x1000_0000, 0, 0x40_0000],
    );
    let findings = compile(&tree, [ONE, ""]).unwrap_err().to_string();
    assert!(findings.contains("BH0622"), "{findings}");
}

#[test]
fn proof_of_two_functions_names_each_by_its_path() {
    let mut resources = FakeResources::new();
    resources.give(board().write());
    let proof = prove_with(&text([ONE, TWO]), &resources).unwrap();
    let paths: Vec<&str> = proof
        .report
        .partitions
        .iter()
        .flat_map(|one| &one.devices)
        .map(|one| one.path.as_str())
        .collect();
    assert_eq!(paths, ["/pcie@10000000/00:03.0", "/pcie@10000000/00:04.0"]);
}
