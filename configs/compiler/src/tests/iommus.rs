//! What the image is told of the board's IOMMUs.

use super::compile_with;
use crate::devicetree::{NodeId, Tree};
use crate::testing::{FakeResources, Gic, device, virt};
use crate::{Compiled, Diagnostics, codes};

/// `virt` with an SMMUv3 and two devices behind it.
pub(super) fn with_smmu() -> (Tree, NodeId) {
    let mut tree = virt(Gic::V3);
    let smmu = device(&mut tree, "smmuv3@9050000", "arm,smmu-v3", 0x905_0000, 74);
    tree.set_cells(smmu, "reg", &[0, 0x905_0000, 0, 0x2_0000]);
    tree.set_cells(smmu, "#iommu-cells", &[1]);
    tree.set_cells(smmu, "phandle", &[0x9100]);
    let one = device(&mut tree, "dma@9200000", "vendor,dma", 0x920_0000, 20);
    tree.set_cells(one, "iommus", &[0x9100, 5, 0x9100, 9]);
    let two = device(&mut tree, "dma@9210000", "vendor,dma", 0x921_0000, 21);
    tree.set_cells(two, "iommus", &[0x9100, 7]);
    (tree, smmu)
}

/// Two partitions, with these devices.
fn compile(tree: &Tree, devices: [&str; 2]) -> Result<Compiled, Diagnostics> {
    let mut resources = FakeResources::new();
    resources.give(tree.write());
    let mut text = "[system]\nname = \"t\"\nboard = \"given\"\n".to_owned();
    for (index, devices) in devices.into_iter().enumerate() {
        text += &format!(
            "[pools.p{index}]\ncpus = [{index}]\npolicy = \"dedicated\"\n[[partition]]\nname = \"p{index}\"\npool = \"p{index}\"\n\
             vcpus = 1\nmemory = \"64MiB\"\nimage = \"program.elf\"\ndevices = [{devices}]\n"
        );
    }
    compile_with(&text, &resources)
}

#[test]
fn streams_of_given_devices_are_listed_in_order_with_owner_and_path() {
    let (tree, _) = with_smmu();
    let compiled = compile(&tree, ["\"/dma@9200000\"", "\"/dma@9210000\""]).unwrap();
    assert_eq!(compiled.image_features, ["v3", "smmuv3", "pl011"]);
    let owned = compiled.table.split("owned: &[").nth(1).unwrap();
    let lines: Vec<&str> = owned.lines().map(str::trim).take(4).skip(1).collect();
    let line = |first: &str, partition, device| {
        format!(
            "model::iommu::OwnedStreams {{ streams: model::iommu::Streams {{ first: model::StreamId::new({first}), count: 0x1, ignored: 0x0 }}, \
             partition: model::PartitionId::new({partition}), device: \"{device}\" }},"
        )
    };
    let expected = [
        line("0x5", 0, "/dma@9200000"),
        line("0x7", 1, "/dma@9210000"),
        line("0x9", 0, "/dma@9200000"),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn smmu_behind_which_nobody_has_a_device_is_in_the_image_to_deny_everything() {
    let (tree, _) = with_smmu();
    let compiled = compile(&tree, ["", ""]).unwrap();
    assert_eq!(compiled.image_features, ["v3", "smmuv3", "pl011"]);
    assert!(compiled.table.contains("path: \"/smmuv3@9050000\""));
    assert!(compiled.table.contains("owned: &[],"));
}

#[test]
fn iommu_that_the_image_cannot_drive_stops_the_build_of_who_is_behind_it() {
    let (tree, smmu) = with_smmu();
    let mut v1 = tree.clone();
    v1.set_string(smmu, "compatible", "arm,smmu-v1");
    let mut wide = tree;
    let dma = wide.find("/dma@9200000").unwrap();
    wide.set_cells(dma, "iommus", &[0x9100, 0x10_0000]);
    for (tree, says) in [
        (v1, "drive the IOMMU that confines /dma@9200000"),
        (wide, "confine streams as wide as those of /dma@9200000"),
    ] {
        let findings = compile(&tree, ["\"/dma@9200000\"", ""]).unwrap_err();
        let first = findings.iter().next().unwrap();
        assert_eq!(first.code, codes::LIMIT_IOMMU);
        assert!(findings.to_string().contains(says), "{findings}");
    }
}

#[test]
fn smmuv3_of_a_thunderx2_is_driven_without_its_page_1() {
    let (mut tree, smmu) = with_smmu();
    tree.set_cells(smmu, "reg", &[0, 0x905_0000, 0, 0x1_0000]);
    tree.set(smmu, "cavium,cn9900-broken-page1-regspace", []);
    let compiled = compile(&tree, ["\"/dma@9200000\"", ""]).unwrap();
    let kind = "kind: model::iommu::IommuKind::SmmuV3OnePage,";
    assert!(compiled.table.contains(kind), "{}", compiled.table);
    assert_eq!(compiled.image_features, ["v3", "smmuv3", "pl011"]);
}

/// `virt` with an MMU-500 that compares masks, and devices whose streams have these masks.
pub(super) fn with_mmu_500(masks: [u32; 2]) -> Tree {
    let (mut tree, smmu) = with_smmu();
    tree.set_string(smmu, "compatible", "arm,mmu-500");
    // Its registers lie in one block of 2 MiB.
    tree.set_cells(smmu, "reg", &[0, 0x90c_0000, 0, 0x2_0000]);
    tree.set_cells(smmu, "#iommu-cells", &[2]);
    tree.set_cells(smmu, "#global-interrupts", &[1]);
    for ((path, stream), mask) in [("/dma@9200000", 0x870), ("/dma@9210000", 0x877)]
        .into_iter()
        .zip(masks)
    {
        let device = tree.find(path).unwrap();
        tree.set_cells(device, "iommus", &[0x9100, stream, mask]);
    }
    tree
}

#[test]
fn image_of_a_board_with_an_mmu_500_has_its_driver_and_the_masks_of_its_streams() {
    let tree = with_mmu_500([0x7000, 0]);
    let compiled = compile(&tree, ["\"/dma@9200000\"", "\"/dma@9210000\""]).unwrap();
    assert_eq!(compiled.image_features, ["v3", "smmuv2", "pl011"]);
    for line in [
        "kind: model::iommu::IommuKind::Mmu500,",
        "coherent: false,",
        "first: model::StreamId::new(0x870), count: 0x1, ignored: 0x7000 }",
        "first: model::StreamId::new(0x877), count: 0x1, ignored: 0x0 }",
    ] {
        assert!(compiled.table.contains(line), "{line}: {}", compiled.table);
    }
}

#[test]
fn stream_that_a_mask_of_the_same_partition_covers_is_listed_once() {
    let tree = with_mmu_500([0x7007, 0]);
    let both = "\"/dma@9200000\", \"/dma@9210000\"";
    let compiled = compile(&tree, [both, ""]).unwrap();
    assert_eq!(compiled.table.matches("OwnedStreams {").count(), 1);
}

#[test]
fn streams_of_which_none_covers_the_other_stop_the_build() {
    // 0x870 to 0x873; 0x872, 0x873, 0x876 and 0x877.
    let (apart, entangled) = (with_mmu_500([0x3, 0x0]), with_mmu_500([0x3, 0x5]));
    let both = "\"/dma@9200000\", \"/dma@9210000\"";
    assert!(compile(&apart, [both, ""]).is_ok());
    let findings = compile(&entangled, [both, ""]).unwrap_err();
    let says = "tell the streams of /dma@9200000 from those of /dma@9210000";
    assert!(findings.to_string().contains(says), "{findings}");
}
