use gic::LrState;
use model::device::Width;
use model::doorbell::{Bell, Doorbell};
use model::{IntId, Ipa, PartitionId};

use crate::fake::{
    DISTRIBUTOR, Done, Guest, LINUX, Outcome, PCPUS, RT, SYSTEM_OFF, SYSTEM_RESET, World,
    list_registers, script, take_done,
};
use crate::partition::request;

/// Where `RT` rings `LINUX`.
const PAGE: u64 = 0x5001_0000;
/// The interrupt of `LINUX`.
const BELL: u32 = 60;

/// `RT` can ring `LINUX`, and `LINUX` nobody.
fn world() -> World {
    World::with_both(|_, rt| {
        let rings = Vec::leak(vec![Bell {
            partition: PartitionId::new(LINUX as u8),
            intid: IntId::new(BELL),
        }]);
        rt.doorbells = Vec::leak(vec![Doorbell {
            page: Ipa::new(PAGE),
            rings,
        }]);
    })
}

/// Has the guest take its doorbell as an edge on its first virtual CPU.
fn listen(linux: &mut Guest) {
    let bit = 1 << (BELL % 32);
    for (offset, value) in [
        (0x0, 0b10),
        (0x80 + u64::from(BELL) / 32 * 4, bit),
        (0xc00 + u64::from(BELL) / 16 * 4, 0b10 << (BELL % 16 * 2)),
        (0x100 + u64::from(BELL) / 32 * 4, bit),
    ] {
        linux.store(DISTRIBUTOR + offset, Width::Word, value);
    }
    take_done();
}

/// Both partitions run, and `LINUX` listens.
fn listening() -> (Guest, Guest) {
    let world = world();
    let (mut linux, rt) = (world.started(LINUX), world.started(RT));
    listen(&mut linux);
    take_done();
    (linux, rt)
}

fn ring(rt: &mut Guest) {
    assert_eq!(rt.store(PAGE, Width::Word, 0), Outcome::Resumed);
}

fn calls() -> usize {
    let done = take_done();
    done.iter()
        .filter(|one| matches!(one, Done::Kick(_)))
        .count()
}

#[test]
fn ring_is_an_interrupt_of_the_peer_and_calls_its_pcpu() {
    let (mut linux, mut rt) = listening();
    ring(&mut rt);
    assert_eq!(take_done(), [Done::Kick(PCPUS[0])]);
    assert_eq!(linux.pending_interrupt(), Outcome::Resumed);
    let held = list_registers(linux.pcpu);
    assert_eq!(held.len(), 1);
    assert_eq!(
        (held[0].virtual_id, held[0].hardware, held[0].state),
        (IntId::new(BELL), None, LrState::Pending)
    );
}

#[test]
fn storm_of_rings_calls_the_peer_once_until_it_has_looked() {
    let (_linux, mut rt) = listening();
    for _ in 0..1_000 {
        ring(&mut rt);
    }
    assert_eq!(calls(), 1);
}

#[test]
fn storm_of_rings_leaves_one_interrupt() {
    let (mut linux, mut rt) = listening();
    for _ in 0..10 {
        ring(&mut rt);
        linux.pending_interrupt();
    }
    assert_eq!(list_registers(linux.pcpu).len(), 1);
}

#[test]
fn peer_that_has_not_enabled_its_doorbell_is_not_called_and_gets_the_ring_when_it_does() {
    let world = world();
    let (mut linux, mut rt) = (world.started(LINUX), world.started(RT));
    take_done();
    ring(&mut rt);
    assert_eq!((calls(), list_registers(linux.pcpu)), (0, vec![]));
    listen(&mut linux);
    assert_eq!(list_registers(linux.pcpu).len(), 1);
}

#[test]
fn value_that_is_stored_does_not_matter() {
    let (_linux, mut rt) = listening();
    rt.store(PAGE, Width::Word, u64::MAX);
    assert_eq!(calls(), 1);
}

#[test]
fn other_offsets_and_widths_ring_nobody_and_all_read_as_zero() {
    let (_linux, mut rt) = listening();
    for (offset, width) in [
        (0, Width::Byte),
        (0, Width::Half),
        (0, Width::Double),
        (4, Width::Word),
        (0xffc, Width::Word),
    ] {
        assert_eq!(rt.store(PAGE + offset, width, 1), Outcome::Resumed);
        assert_eq!(rt.load(PAGE + offset, width), 0);
    }
    assert_eq!(rt.load(PAGE, Width::Word), 0);
    assert_eq!((calls(), rt.vcpu.partition.faults()), (0, 0));
}

#[test]
fn misaligned_access_and_those_beside_the_page_are_faults() {
    let (_linux, mut rt) = listening();
    for (address, faults) in [(PAGE + 2, 1), (PAGE - 4, 2), (PAGE + 0x1000, 3)] {
        rt.store(address, Width::Word, 0);
        assert_eq!(rt.vcpu.partition.faults(), faults, "{address:#x}");
    }
    assert_eq!(calls(), 0);
}

#[test]
fn partition_without_doorbells_cannot_use_its_peers_page() {
    let (mut linux, _rt) = listening();
    linux.store(PAGE, Width::Word, 0);
    assert_eq!(linux.vcpu.partition.faults(), 1);
}

#[test]
fn stopped_peer_is_not_called() {
    let (mut linux, mut rt) = listening();
    assert_eq!(linux.hvc([SYSTEM_OFF, 0, 0, 0]), Outcome::Waiting);
    take_done();
    ring(&mut rt);
    assert_eq!(calls(), 0);
}

#[test]
fn peer_that_starts_again_finds_no_old_ring() {
    let (mut linux, mut rt) = listening();
    ring(&mut rt);
    assert_eq!(linux.hvc([SYSTEM_RESET, 0, 0, 0]), Outcome::Resumed);
    listen(&mut linux);
    assert_eq!(list_registers(linux.pcpu), []);
    ring(&mut rt);
    linux.pending_interrupt();
    assert_eq!(list_registers(linux.pcpu).len(), 1);
}

#[test]
fn peer_that_waits_in_wfi_wakes_with_the_interrupt() {
    let (mut linux, mut rt) = listening();
    script(move || ring(&mut rt));
    assert_eq!(linux.wait(), Outcome::Resumed);
    let requests = &linux.vcpu.shared.requests().word;
    assert_ne!(
        requests.load(core::sync::atomic::Ordering::Relaxed) & request::INTERRUPTS,
        0
    );
    linux.pending_interrupt();
    assert_eq!(list_registers(linux.pcpu).len(), 1);
}

/// The first virtual CPU of a shared pCPU runs, and its partition can ring itself.
#[cfg(feature = "rtds")]
#[test]
fn shared_pcpu_is_called_once_until_the_end_has_had_its_turn() {
    use crate::pool::fixture::{decide, first_turn_with};
    let (_world, mut first) = first_turn_with(|linux| {
        let rings = Vec::leak(vec![Bell {
            partition: PartitionId::new(LINUX as u8),
            intid: IntId::new(BELL),
        }]);
        linux.doorbells = Vec::leak(vec![Doorbell {
            page: Ipa::new(PAGE),
            rings,
        }]);
    });
    listen(&mut first);
    decide(&mut first);
    take_done();
    for _ in 0..1_000 {
        ring(&mut first);
    }
    assert_eq!(calls(), 1);
    decide(&mut first);
    assert_eq!(list_registers(0).len(), 1);
}
