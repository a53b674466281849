//! What a start finds, and when it does not happen.

use model::checksum;
use model::partition::FaultPolicy;

use super::*;
use crate::fake::{
    Done, LINUX, NOWHERE, Outcome, RT, World, damage, events, payload_byte, take_done,
};
use model::device::Width;

/// Of `LINUX`'s segment in the payload.
const OFFSET: u64 = 0x5000;
const SIZE: u64 = 0x3000;
/// `LINUX`'s RAM in physical memory.
const RAM: [(u64, u64); 2] = [(0x8000_0000, 0x8_0000), (0xc000_0000, 0x8_0000)];

/// `LINUX` starts pristine, and again when it fails.
fn world() -> World {
    World::with_both(|linux, rt| {
        let image: Vec<u8> = (OFFSET..OFFSET + SIZE).map(payload_byte).collect();
        let sum = checksum::bytes(checksum::START, &image);
        linux.pristine = Some(Vec::leak(vec![sum]));
        linux.vcpus = rt.vcpus;
        linux.on_fault = FaultPolicy::Restart;
    })
}

/// What was zeroed before the first byte of the image came into place.
fn cleared(done: &[Done]) -> Vec<(u64, u64)> {
    let before = done
        .iter()
        .take_while(|done| !matches!(done, Done::Load { .. }));
    let zeroed = before.filter_map(|done| match *done {
        Done::Zero { to, size } => Some((to, size)),
        _ => None,
    });
    zeroed.collect()
}

#[test]
fn all_memory_is_cleared_before_the_image_comes_at_the_first_start_and_at_each_other() {
    let world = world();
    let mut guest = world.guest(LINUX, 0);
    take_done();
    assert_eq!(guest.bring_up(), Outcome::Resumed);
    assert_eq!(cleared(&take_done()), RAM);
    assert_eq!(guest.store(NOWHERE, Width::Word, 1), Outcome::Resumed);
    assert_eq!(cleared(&take_done()), RAM);
}

#[test]
fn pieces_of_a_start_in_turns_are_a_quarter_and_the_sum_is_the_same() {
    let world = world();
    let partition = world.partition(LINUX);
    let sizes = world
        .pieces(LINUX, 2048)
        .into_iter()
        .filter_map(|done| match done {
            Done::Load { size, .. } | Done::Zero { size, .. } => Some(size),
            _ => None,
        });
    assert_eq!(sizes.max(), Some(512));
    assert!(!partition.damage.0.load(Ordering::Relaxed));
}

#[test]
fn partition_whose_image_is_damaged_does_not_start_and_the_reason_is_told() {
    for offset in [OFFSET, OFFSET + 0x1234, OFFSET + SIZE - 1] {
        let world = world();
        let mut guest = world.started(LINUX);
        let mut other = world.started(RT);
        damage(offset);
        assert_eq!(guest.store(NOWHERE, Width::Word, 1), Outcome::Waiting);
        let partition = world.partition(LINUX);
        assert_eq!(partition.power.lock().lifecycle().name(), "stopped");
        assert!(events().contains(&Event::Damaged {
            partition: partition.id
        }));
        assert_eq!(other.pending_interrupt(), Outcome::Resumed);
    }
}

#[test]
fn damage_beside_the_image_does_not_matter() {
    for offset in [OFFSET - 1, OFFSET + SIZE] {
        let world = world();
        let mut guest = world.started(LINUX);
        damage(offset);
        assert_eq!(guest.store(NOWHERE, Width::Word, 1), Outcome::Resumed);
    }
}

#[test]
fn last_partition_that_does_not_start_ends_the_system() {
    let world = world();
    let mut other = world.started(RT);
    let mut guest = world.started(LINUX);
    other.hvc([crate::fake::SYSTEM_OFF, 0, 0, 0]);
    damage(OFFSET);
    let outcome = guest.store(NOWHERE, Width::Word, 1);
    assert_eq!(outcome, Outcome::Ended(model::system::EndState::Halt));
}
