//! What is done about a file that is right, and about one that is not.

use model::Pa;
use model::memory::PhysicalRange;
use model::partition::FaultPolicy;
use sha2::Digest;

use super::*;
use crate::fake::{
    Done, LINUX, NOWHERE, Outcome, RT, World, damage, events, payload_byte, take_done,
};
use model::device::Width;

/// Of the file.
const BASE: u64 = 0x6000_0000;
const SIZE: u64 = 0x3000;

fn bytes() -> Vec<u8> {
    (BASE..BASE + SIZE).map(payload_byte).collect()
}

/// `LINUX` has a file, and starts again when it fails.
fn world() -> World {
    World::with_both(|linux, rt| {
        linux.file = Some(Box::leak(Box::new(File {
            place: PhysicalRange {
                base: Pa::new(BASE),
                size: SIZE,
            },
            sha256: sha2::Sha256::digest(bytes()).into(),
        })));
        linux.vcpus = rt.vcpus;
        linux.on_fault = FaultPolicy::Restart;
    })
}

/// Bytes of the file that were looked at, and whether something of the image has come into place.
fn looked(done: &[Done]) -> (u64, bool) {
    let hashed = done.iter().map(|done| match *done {
        Done::Hash { size, .. } => size,
        _ => 0,
    });
    let loaded = done.iter().any(|done| matches!(done, Done::Load { .. }));
    (hashed.sum(), loaded)
}

#[test]
fn hash_in_pieces_is_that_of_the_whole_whatever_its_length() {
    for (blocks, piece) in [(0, 1), (1, 1), (2, 1), (48, 5), (1000, 999)] {
        let bytes: Vec<u8> = (0..blocks * BLOCK as u64).map(payload_byte).collect();
        let mut sum = START;
        bytes.chunks(piece * BLOCK).for_each(|bytes| sum.add(bytes));
        let whole: [u8; 32] = sha2::Sha256::digest(&bytes).into();
        assert_eq!(sum.end(bytes.len() as u64), whole, "{blocks} blocks");
    }
}

#[test]
fn file_is_looked_at_before_the_first_start_and_not_again() {
    let world = world();
    let mut guest = world.guest(LINUX, 0);
    take_done();
    assert_eq!(guest.bring_up(), Outcome::Resumed);
    assert_eq!(looked(&take_done()), (SIZE, true));
    assert_eq!(guest.store(NOWHERE, Width::Word, 1), Outcome::Resumed);
    assert_eq!(looked(&take_done()), (0, true));
}

#[test]
fn partition_whose_file_differs_gets_nothing_of_it_and_the_others_run() {
    for offset in [0, 0x1234, SIZE - 1] {
        let world = world();
        let mut other = world.started(RT);
        damage(BASE + offset);
        let mut guest = world.guest(LINUX, 0);
        take_done();
        assert_eq!(guest.bring_up(), Outcome::Waiting);
        let partition = world.partition(LINUX);
        assert!(events().contains(&Event::WrongFile {
            partition: partition.id,
            address: BASE,
        }));
        assert_eq!(looked(&take_done()), (SIZE, false));
        assert_eq!(partition.power.lock().lifecycle().name(), "stopped");
        assert_eq!(other.pending_interrupt(), Outcome::Resumed);
    }
}

#[test]
fn bytes_beside_the_file_do_not_matter() {
    for address in [BASE - 1, BASE + SIZE] {
        let world = world();
        damage(address);
        assert_eq!(world.guest(LINUX, 0).bring_up(), Outcome::Resumed);
    }
}

#[test]
fn pieces_of_a_start_in_turns_are_short_and_the_hash_is_the_same() {
    let world = world();
    let partition = world.partition(LINUX);
    let done = world.pieces(LINUX, 2048);
    let longest = done.iter().filter_map(|done| match *done {
        Done::Hash { size, .. } => Some(size),
        _ => None,
    });
    assert_eq!(longest.max(), Some(64));
    assert_eq!(looked(&done), (SIZE, true));
    assert!(partition.unproven().is_none());
}
