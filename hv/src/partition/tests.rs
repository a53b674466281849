//! What a partition answers without a virtual CPU.

use super::*;
use crate::fake::{ENTRY, LINUX, OWNED_SPI, RAM, RT, World};

#[test]
fn entry_is_an_aligned_address_in_any_piece_of_ram() {
    let partition = World::new().partition(LINUX);
    for good in [RAM, RAM + 0x7_fffc, ENTRY, RAM + 0xf_fffc] {
        assert!(partition.is_entry(good), "{good:#x}");
    }
    for bad in [0, RAM - 4, RAM + 2, RAM + 0x10_0000, u64::MAX, u64::MAX - 3] {
        assert!(!partition.is_entry(bad), "{bad:#x}");
    }
}

#[test]
fn memory_that_is_not_ram_is_no_entry() {
    let world = World::with(|linux| {
        linux.memory = Vec::leak(
            linux
                .memory
                .iter()
                .map(|mapping| Mapping {
                    kind: MemoryKind::Shared,
                    ..*mapping
                })
                .collect(),
        );
    });
    assert!(!world.partition(LINUX).is_entry(ENTRY));
}

#[test]
fn interrupt_belongs_to_the_partition_that_lists_it_and_to_no_other() {
    let world = World::new();
    let owned = IntId::new(OWNED_SPI);
    assert!(world.partition(LINUX).owns(owned));
    assert!(!world.partition(RT).owns(owned));
    assert!(!world.partition(LINUX).owns(IntId::new(OWNED_SPI + 1)));
}

#[test]
fn everyone_is_each_virtual_cpu_and_no_more() {
    let everyone = World::new().partition(LINUX).everyone();
    let is_in = |cpu| everyone.contains(VcpuId::new(cpu));
    assert_eq!([is_in(0), is_in(1), is_in(2)], [true, true, false]);
}

#[test]
fn requests_are_taken_once_and_all_together() {
    let vcpu = VcpuShared::new(Mpidr::new(0), false);
    vcpu.request(request::POWER);
    vcpu.request(request::INTERRUPTS);
    assert_eq!(vcpu.take_requests(), request::POWER | request::INTERRUPTS);
    assert!(!vcpu.has_requests());
}

#[test]
fn faults_are_counted_from_one() {
    let partition = World::new().partition(LINUX);
    assert_eq!([partition.count_fault(), partition.count_fault()], [1, 2]);
    assert_eq!(partition.faults(), 2);
}
