//! What a partition answers without a virtual CPU.

use model::memory::Mapping;

use super::*;
use crate::fake::{
    Done, ENTRY, EXTENDED_SEEN, EXTENDED_SPI, Guest, LINUX, OWNED_SPI, Outcome, RAM, RT, World,
    take_done,
};

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
    assert_eq!(world.partition(LINUX).owned(owned), Some(owned));
    assert_eq!(world.partition(RT).owned(owned), None);
    let next = IntId::new(OWNED_SPI + 1);
    assert_eq!(world.partition(LINUX).owned(next), None);
}

#[test]
fn extended_spi_is_known_by_another_number_and_that_number_is_not_owned() {
    let world = World::new();
    let (outside, inside) = (IntId::new(EXTENDED_SPI), IntId::new(EXTENDED_SEEN));
    assert_eq!(world.partition(LINUX).owned(outside), Some(inside));
    assert_eq!(world.partition(LINUX).owned(inside), None);
    assert_eq!(world.partition(RT).owned(outside), None);
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

/// The pieces of `LINUX`'s image, at most `most` bytes each: what is put where.
fn pieces(most: u64) -> Vec<Done> {
    let world = World::new();
    let partition = world.partition(LINUX);
    let hardware = world.guest(LINUX, 0).vcpu.physical();
    let mut at = Some(partition.begin_load(&hardware));
    take_done();
    while let Some(loading) = at {
        at = partition.load_piece(&world.hypervisor.machine, loading, most);
    }
    take_done()
}

/// Where each byte of physical memory comes from: an offset of the payload, or `None` for a zero.
fn bytes(pieces: &[Done]) -> Vec<(u64, Option<u64>)> {
    let bytes = pieces.iter().flat_map(|piece| match *piece {
        Done::Load { offset, to, size } => (0..size)
            .map(|byte| (to + byte, Some(offset + byte)))
            .collect::<Vec<_>>(),
        Done::Zero { to, size } => (0..size).map(|byte| (to + byte, None)).collect(),
        other => panic!("{other:?} is no piece"),
    });
    bytes.collect()
}

#[test]
fn image_in_small_pieces_is_the_same_as_in_one() {
    let whole = bytes(&pieces(u64::MAX));
    assert_eq!(whole.len(), 0x3800);
    for most in [1, 100, 2048, 0x2fff, 0x3000, 0x3001] {
        let pieces = pieces(most);
        let sizes = pieces.iter().map(|piece| match *piece {
            Done::Load { size, .. } | Done::Zero { size, .. } => size,
            _ => 0,
        });
        assert!(sizes.max().is_some_and(|size| size <= most));
        assert_eq!(bytes(&pieces), whole, "{most}");
    }
}

#[test]
fn image_without_segments_is_in_place_at_once() {
    let world = World::new();
    let partition = world.partition(RT);
    let hardware = world.guest(RT, 0).vcpu.physical();
    let begin = partition.begin_load(&hardware);
    let machine = &world.hypervisor.machine;
    assert_eq!(partition.load_piece(machine, begin, 1), None);
}

/// Whatever starts it again: no device that the run before had programmed writes into the new image.
#[test]
fn restart_takes_memory_from_the_devices_before_the_image_is_put_there_and_gives_it_back_after() {
    use crate::fake::{NOWHERE, SYSTEM_RESET};
    use model::device::Width;
    use model::partition::FaultPolicy;
    let resets: [fn(&mut Guest) -> Outcome; 2] = [
        |guest| guest.hvc([SYSTEM_RESET, 0, 0, 0]),
        |guest| guest.store(NOWHERE, Width::Word, 1),
    ];
    for reset in resets {
        let world = World::with_both(|linux, rt| {
            linux.vcpus = rt.vcpus;
            linux.on_fault = FaultPolicy::Restart;
        });
        let mut guest = world.started(LINUX);
        take_done();
        assert_eq!(reset(&mut guest), Outcome::Resumed);
        let done = take_done();
        let linux = PartitionId::new(LINUX as u8);
        let place = |is_it: &dyn Fn(&Done) -> bool| {
            let places = done.iter().enumerate().filter(|(_, one)| is_it(one));
            let places: Vec<usize> = places.map(|(place, _)| place).collect();
            (places.first().copied(), places.last().copied())
        };
        let (_, denied) = place(&|one| *one == Done::Deny(linux));
        let loads = place(&|one| matches!(one, Done::Load { .. } | Done::Zero { .. }));
        let admits = place(&|one| *one == Done::Admit(linux));
        assert!(
            denied.is_some() && denied < loads.0 && loads.1 < admits.0,
            "{done:?}"
        );
        assert_eq!(admits.0, admits.1);
    }
}
