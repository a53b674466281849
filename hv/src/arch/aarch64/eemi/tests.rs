//! The filter of calls to a Zynq UltraScale+'s firmware. No machine of QEMU has that firmware: a fake one takes what passes.

use std::collections::BTreeSet;

use super::*;
use crate::fake::{Done, Guest, LINUX, World, take_done};

/// Ethernet and an SD card, whose clock of registers is that of everybody.
const OWNED: Eemi = Eemi {
    nodes: &[32, 39],
    clocks: &[48, 52, 54],
    resets: &[1032],
    pins: &[46, 47],
    shared_nodes: &[42],
    shared_clocks: &[31],
};
const CALLS: u32 = 0xc200_0000;

fn guest() -> Guest {
    World::with(|linux| linux.eemi = Some(&OWNED)).started(LINUX)
}

/// Whether the firmware gets a call with these first two arguments.
fn reaches(number: u32, first: u32, second: u32) -> bool {
    is_allowed(
        CALLS | number,
        u64::from(second) << 32 | u64::from(first),
        &OWNED,
    )
}

#[test]
fn each_call_that_changes_something_reaches_the_firmware_for_what_is_owned_alone() {
    // The call, and what of 0 to 1200 it may name.
    let cases: [(u32, &[u32]); 14] = [
        (13, &[32, 39, 42]),
        (14, &[32, 39]),
        (15, &[32, 39]),
        (17, &[1032]),
        (28, &[46, 47]),
        (29, &[46, 47]),
        (31, &[46, 47]),
        (33, &[46, 47]),
        (36, &[31, 48, 52, 54]),
        (37, &[48, 52, 54]),
        (39, &[48, 52, 54]),
        (41, &[48, 52, 54]),
        (43, &[48, 52, 54]),
        (0xa02, &[]),
    ];
    for (number, expected) in cases {
        let found: Vec<u32> = (0..1200).filter(|one| reaches(number, *one, 0)).collect();
        assert_eq!(found, expected, "call {number}");
    }
}

#[test]
fn all_other_calls_are_refused_but_for_those_that_read() {
    let changes = BTreeSet::from([13, 14, 15, 17, 28, 29, 31, 33, 34, 36, 37, 39, 41, 43]);
    let rest = (0..0x1_0000).filter(|number| !changes.contains(number));
    // 5000 is nothing that anybody owns.
    let found: Vec<u32> = rest.filter(|number| reaches(*number, 5000, 0)).collect();
    assert_eq!(
        found,
        [0, 1, 3, 18, 24, 30, 32, 35, 38, 40, 42, 44, 63, 0xa03]
    );
}

#[test]
fn control_of_a_device_is_for_its_owner_and_reading_for_all() {
    let of = |node: u32| -> Vec<u32> { (0..64).filter(|one| reaches(34, node, *one)).collect() };
    assert_eq!(of(39), [6, 7, 9, 11, 30, 31]);
    assert_eq!(of(40), [9, 11]);
}

#[test]
fn calls_with_32_bit_arguments_reach_the_firmware_for_versions_alone() {
    let all = 0x8200_0000..=0x8200_ffff_u32;
    let found: Vec<u32> = all.filter(|one| is_allowed(*one, 39, &OWNED)).collect();
    assert_eq!(found, [0x8200_ff00, 0x8200_ff01, 0x8200_ff03]);
}

#[test]
fn call_for_an_own_clock_reaches_the_firmware_and_one_for_anothers_is_refused() {
    let mut guest = guest();
    guest.smc([0xc200_0025, 48, 0, 0]);
    assert_eq!(take_done(), [Done::FirmwareCall(0xc200_0025)]);
    assert_eq!(guest.x0(), 0xf1);
    guest.smc([0xc200_0025, 49, 0, 0]);
    assert_eq!((take_done(), guest.x0()), (vec![], NO_ACCESS as i64));
}

#[test]
fn dirty_upper_half_of_the_function_changes_nothing() {
    let mut guest = guest();
    // SYSTEM_SHUTDOWN.
    guest.smc([0xff_c200_000c, 1, 0, 0]);
    assert_eq!((take_done(), guest.x0()), (vec![], NO_ACCESS as i64));
}

#[test]
fn hypercalls_and_calls_of_other_services_never_reach_the_firmware() {
    let mut guest = guest();
    guest.hvc([0xc200_0001, 0, 0, 0]);
    // A trusted operating system's, and the vendor's of the chip.
    for function in [0xb200_0000, 0xc300_0001] {
        guest.smc([function, 0, 0, 0]);
    }
    assert_eq!((take_done(), guest.x0()), (vec![], -1));
}
