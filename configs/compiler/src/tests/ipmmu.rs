//! What the image is told of a board's IPMMU.

use super::compile_with;
use crate::devicetree::Tree;
use crate::iommus::ipmmu::tests::tree;
use crate::testing::{FakeResources, device};
use crate::{Compiled, Diagnostics, codes};

/// The board of this chip, with devices behind its caches: two behind the first one, one behind the second.
fn with_devices(chip: &str) -> Tree {
    let mut tree = tree(chip);
    for (index, iommus) in [[0x9211, 5], [0x9211, 32], [0x9212, 5]].iter().enumerate() {
        let base = 0x920_0000 + index as u32 * 0x1_0000;
        let name = format!("dma@{base:x}");
        let node = device(&mut tree, &name, "vendor,dma", base, 20 + index as u32);
        tree.set_cells(node, "iommus", iommus);
    }
    tree
}

const DEVICES: [&str; 3] = ["/dma@9200000", "/dma@9210000", "/dma@9220000"];

/// A partition for each list of devices.
fn compile(tree: &Tree, memory: &str, devices: &[&[&str]]) -> Result<Compiled, Diagnostics> {
    let mut resources = FakeResources::new();
    resources.give(tree.write());
    let mut text = "[system]\nname = \"t\"\nboard = \"given\"\n".to_owned();
    for (index, devices) in devices.iter().enumerate() {
        text += &format!(
            "[pools.p{index}]\ncpus = [{index}]\npolicy = \"dedicated\"\n[[partition]]\nname = \"p{index}\"\npool = \"p{index}\"\n\
             vcpus = 1\nmemory = {memory}\nimage = \"program.elf\"\ndevices = {devices:?}\n"
        );
    }
    compile_with(&text, &resources)
}

#[test]
fn instances_and_streams_of_all_caches_are_one_iommu() {
    let devices: [&[&str]; 2] = [&[DEVICES[0], DEVICES[2]], &[DEVICES[1]]];
    let compiled = compile(&with_devices("r8a7795"), "\"64MiB\"", &devices).unwrap();
    assert_eq!(compiled.image_features, ["v3", "ipmmu", "pl011"]);
    let iommus = compiled.table.split("iommus: &[").nth(1).unwrap();
    let range = |base: u32| {
        format!("model::memory::PhysicalRange {{ base: model::Pa::new({base:#x}), size: 0x1000 }}")
    };
    let owned = |stream: &str, partition, device| {
        format!(
            "model::StreamId::new({stream}), count: 0x1, ignored: 0x0 }}, partition: model::PartitionId::new({partition}), \
             device: \"{device}\" }}"
        )
    };
    for expected in [
        "kind: model::iommu::IommuKind::Ipmmu(model::ipmmu::Ipmmu { generation: model::ipmmu::Generation::Gen3, tables: \
         model::ipmmu::Tables::Stage2, revision: Some(model::ipmmu::Revision { register: model::Pa::new(0xfff00044), least: 0x20 }) })"
            .to_owned(),
        format!("registers: {}", range(0xa00_0000)),
        range(0xa10_0000),
        range(0xa20_0000),
        "coherent: false".to_owned(),
        "model::IntId::new(94)".to_owned(),
        owned("0x5", 0, DEVICES[0]),
        owned("0x20", 1, DEVICES[1]),
        owned("0x105", 0, DEVICES[2]),
    ] {
        assert!(iommus.contains(&expected), "{expected}\n{iommus}");
    }
    // The cache that may be turned off, and the second interrupt.
    assert!(!iommus.contains("0xa300000"));
    assert!(!iommus.contains("model::IntId::new(95)"));
}

#[test]
fn ipmmu_behind_which_nobody_has_a_device_is_in_the_image_to_deny_everything() {
    let compiled = compile(&with_devices("r8a779f0"), "\"64MiB\"", &[&[]]).unwrap();
    assert_eq!(compiled.image_features, ["v3", "ipmmu", "pl011"]);
    assert!(compiled.table.contains("Generation::Gen4"));
    assert!(compiled.table.contains("owned: &[],"));
}

/// Pages for tables in the image of a system with one partition.
fn pages(chip: &str, devices: &[&str]) -> usize {
    let compiled = compile(&with_devices(chip), "\"64MiB\"", &[devices]).unwrap();
    let pages = compiled.table.split("stage2_pages: ").nth(1).unwrap();
    pages.split(',').next().unwrap().parse().unwrap()
}

#[test]
fn tables_apart_have_pages_where_the_chip_needs_them_and_a_device_uses_them() {
    // The same mappings with 32 bits: as many pages again.
    let shared = pages("r8a77965", &DEVICES[..1]);
    assert_eq!(pages("r8a77990", &DEVICES[..1]), 2 * shared);
    assert_eq!(pages("r8a77990", &[]), pages("r8a77965", &[]));
}

#[test]
fn micro_tlb_that_two_partitions_would_share_is_refused() {
    let mut tree = with_devices("r8a7795");
    let second = tree.find(DEVICES[1]).unwrap();
    tree.set_cells(second, "iommus", &[0x9211, 5]);
    let findings = compile(&tree, "\"64MiB\"", &[&DEVICES[..1], &DEVICES[1..2]]).unwrap_err();
    let found = findings.iter().next().unwrap();
    assert_eq!(found.code, codes::STREAM_OWNED_TWICE);
    assert!(compile(&tree, "\"64MiB\"", &[&DEVICES[..2]]).is_ok());
}

#[test]
fn more_partitions_than_contexts_are_refused_and_as_many_are_not() {
    let mut tree = with_devices("r8a7795");
    for index in 0..4 {
        let base = 0x930_0000 + index * 0x1_0000;
        let name = format!("dma@{base:x}");
        let node = device(&mut tree, &name, "vendor,dma", base, 40 + index);
        tree.set_cells(node, "iommus", &[0x9212, 10 + index]);
    }
    let more = [
        "/dma@9300000",
        "/dma@9310000",
        "/dma@9320000",
        "/dma@9330000",
    ];
    let all = [&DEVICES[..], &more].concat();
    let each: Vec<&[&str]> = all.chunks(1).collect();
    assert!(compile(&tree, "\"64MiB\"", &each[..6]).is_ok());
    let findings = compile(&tree, "\"64MiB\"", &each).unwrap_err();
    assert_eq!(findings.iter().next().unwrap().code, codes::IOMMU_FULL);
    let text = findings.to_string();
    assert!(
        text.contains("7 with /dma@9330000") && text.contains("at most 6"),
        "{text}"
    );
}

#[test]
fn memory_that_the_devices_of_a_chip_do_not_reach_is_refused() {
    let high =
        "[{ size = \"64MiB\", at = \"0x40000000\" }, { size = \"64MiB\", at = \"0x100000000\" }]";
    let with = |chip| compile(&with_devices(chip), high, &[&DEVICES[..1]]);
    with("r8a77965").unwrap_or_else(|findings| panic!("{findings}"));
    let findings = with("r8a77990").unwrap_err();
    assert_eq!(findings.iter().next().unwrap().code, codes::LIMIT_IOMMU);
    assert!(
        findings.to_string().contains("reach memory above 4GiB"),
        "{findings}"
    );
}

#[test]
fn device_behind_a_disabled_cache_is_confined_by_nothing() {
    let mut tree = with_devices("r8a7795");
    let cache = tree.find("/iommu@a100000").unwrap();
    tree.set_string(cache, "status", "disabled");
    let findings = compile(&tree, "\"64MiB\"", &[&DEVICES[..1]]).unwrap_err();
    let text = findings.to_string();
    assert!(text.contains("/iommu@a100000"), "{text}");
}
