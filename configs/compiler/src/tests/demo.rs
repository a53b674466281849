//! A whole system on both boards, with stand-ins for its images; and the systems that the repository ships.

use model::system::System;

use super::{compile_text, corpus};
use crate::testing::FakeResources;
use crate::{Compiled, compile};

/// The tables as they were emitted when they were last looked at: compiled here, so that they are known to be Rust.
mod golden {
    pub mod gicv2 {
        include!("golden/demo-gicv2.rs");
    }
    pub mod gicv3 {
        include!("golden/demo-gicv3.rs");
    }
}

fn demo(gic: &str) -> Compiled {
    let text = include_str!("golden/demo.toml").replace("BOARD", &format!("qemu-virt-{gic}"));
    compile_text(&text).unwrap_or_else(|findings| panic!("{findings}"))
}

fn golden(gic: &str, table: &str) -> String {
    let path = format!(
        "{}/src/tests/golden/demo-{gic}.rs",
        env!("CARGO_MANIFEST_DIR")
    );
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, table).unwrap();
    }
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn table_of_the_gicv2_demo_is_the_golden_one() {
    let table = demo("gicv2").table;
    assert_eq!(table, golden("gicv2", &table));
}

#[test]
fn table_of_the_gicv3_demo_is_the_golden_one() {
    let table = demo("gicv3").table;
    assert_eq!(table, golden("gicv3", &table));
}

/// What must hold for every table, checked on the compiled golden ones.
fn assert_sound(system: &System) {
    let ram = |partition: &model::partition::Partition| {
        partition
            .memory
            .iter()
            .find(|one| one.kind == model::memory::MemoryKind::Ram)
            .copied()
    };
    let memories: Vec<_> = system.partitions.iter().filter_map(ram).collect();
    for (index, one) in memories.iter().enumerate() {
        let range = model::memory::PhysicalRange {
            base: one.pa,
            size: one.size,
        };
        assert!(
            !range.overlaps(&system.board.image),
            "a partition lies in the hypervisor's image"
        );
        for other in &memories[index + 1..] {
            assert!(!range.overlaps(&model::memory::PhysicalRange {
                base: other.pa,
                size: other.size
            }));
        }
        assert_eq!(one.ipa.get(), 0x4000_0000);
    }
    for (partition, memory) in system.partitions.iter().zip(&memories) {
        for segment in partition.segments {
            assert!(
                segment.offset.is_multiple_of(4096)
                    && segment.offset + segment.size <= system.payload_size
            );
            assert!(
                segment.ipa.get() + segment.size + segment.zeros <= memory.ipa.get() + memory.size
            );
        }
        assert!(
            partition
                .segments
                .iter()
                .any(|segment| segment.ipa == partition.device_tree)
        );
        assert!(partition.memory.is_sorted_by_key(|mapping| mapping.ipa));
    }
}

#[test]
fn golden_tables_are_sound() {
    assert_sound(&golden::gicv2::SYSTEM);
    assert_sound(&golden::gicv3::SYSTEM);
}

#[test]
fn gicv2_partition_has_the_virtual_cpu_interface_where_the_board_has_its_own() {
    let linux = &golden::gicv2::SYSTEM.partitions[0];
    let device = linux
        .memory
        .iter()
        .find(|one| one.kind == model::memory::MemoryKind::Device)
        .unwrap();
    assert_eq!(
        (device.ipa.get(), device.pa.get(), device.size),
        (0x801_0000, 0x804_0000, 0x1000),
        "GICC_DIR, in the second page, is emulated"
    );
}

#[test]
fn gicv3_partition_maps_nothing_but_memory() {
    let linux = &golden::gicv3::SYSTEM.partitions[0];
    assert_eq!(linux.memory.len(), 1);
}

#[test]
fn vcpus_take_cpus_in_order_and_show_the_first_cpus_of_the_board() {
    let system = golden::gicv3::SYSTEM;
    let rt = &system.partitions[1];
    assert_eq!(system.pcpus.len(), 4);
    assert_eq!((rt.vcpus[0].pcpu.get(), rt.vcpus[0].mpidr.get()), (2, 0));
}

#[test]
fn same_input_gives_the_same_bytes() {
    let (one, two) = (demo("gicv3"), demo("gicv3"));
    assert_eq!(one.payload, two.payload);
    assert_eq!(one.proof.guest_trees, two.proof.guest_trees);
    assert_eq!(one.proof.report.to_html(), two.proof.report.to_html());
}

#[test]
fn payload_holds_each_partitions_tree_where_its_table_says() {
    let compiled = demo("gicv3");
    let segments = &compiled.proof.report.partitions[0].segments;
    let tree = &compiled.proof.guest_trees[0].1;
    assert_eq!(
        segments.last().map(|segment| segment.size),
        Some(tree.len() as u64)
    );
    assert!(
        compiled
            .payload
            .windows(tree.len())
            .any(|window| window == tree)
    );
    assert_eq!(
        compiled.payload[8..16],
        (compiled.payload.len() as u64).to_le_bytes()
    );
}

#[test]
fn runner_learns_cpus_consoles_and_machine() {
    let compiled = demo("gicv3");
    assert_eq!(compiled.pcpus, [0, 1, 2, 3]);
    assert_eq!(compiled.partitions[0].name, "linux");
    assert!(
        compiled
            .partitions
            .iter()
            .all(|partition| partition.console)
    );
    assert_eq!(compiled.qemu.map(|machine| machine.cpus), Some(Some(8)));
}

#[test]
fn report_is_json_and_html_with_every_partition() {
    let report = demo("gicv3").proof.report;
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["partitions"][2]["name"], "vandal");
    let html = report.to_html();
    assert!(html.contains("Partition linux") && html.contains("parked"));
}

/// Images of shipped systems are fetched and built by the command line, so only findings about them are left out here. The trees of
/// real boards come from there too: the command line's own tests have their systems.
#[test]
fn every_shipped_system_of_a_qemu_board_passes_every_rule() {
    let resources = FakeResources::new();
    let files = ["gicv2", "gicv3"].map(|gic| corpus(&format!("configs/qemu-virt-{gic}")));
    assert!(files.iter().all(|files| !files.is_empty()));
    for path in files.into_iter().flatten() {
        let findings = compile(&path, &resources)
            .map_or_else(|findings| findings, |compiled| compiled.proof.warnings);
        let others = findings
            .iter()
            .filter(|one| !one.code.as_str().starts_with("BH05"));
        assert_eq!(others.count(), 0, "{}:\n{findings}", path.display());
    }
}
