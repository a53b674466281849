//! A restart and a long access on a shared pCPU.

use crate::event::Event;
use gic::virt::Width;

use crate::fake::{
    DISTRIBUTOR, Done, FakeMachine, HYPERVISOR_TIMER, LINUX, REDISTRIBUTORS, SYSTEM_RESET, pend,
    run_on, take_done,
};
use crate::partition::request::FIRST_SGI;
use crate::pool::fixture::{decide, first_turn};
use crate::pool::schedule;

/// Sizes of the pieces that were put into place.
fn sizes(done: &[Done]) -> Vec<u64> {
    let sizes = done.iter().filter_map(|done| match *done {
        Done::Load { size, .. } | Done::Zero { size, .. } => Some(size),
        _ => None,
    });
    sizes.collect()
}

#[test]
fn restart_puts_the_image_into_place_in_pieces_and_then_starts() {
    let (world, guest) = first_turn();
    let vcpu = guest.vcpu;
    vcpu.stop_partition(crate::power::Then::Restart);
    assert!(!vcpu.is_on());
    assert_eq!(sizes(&take_done()), []);
    run_on(0, || {
        let vcpu = schedule::<FakeMachine>(vcpu);
        assert!(vcpu.is_on());
    });
    let done = take_done();
    let sizes = sizes(&done);
    assert_eq!(sizes.iter().sum::<u64>(), 0x3800);
    assert!(sizes.iter().all(|size| *size <= super::PIECE));
    let again = Event::Started {
        partition: world.partition(LINUX).id,
        restarts: 1,
    };
    assert!(done.contains(&Done::Record(again)));
}

#[test]
fn interrupt_that_waits_is_answered_before_the_first_piece_of_the_image() {
    let (_, mut guest) = first_turn();
    guest.hvc([SYSTEM_RESET, 0, 0, 0]);
    take_done();
    pend(0, HYPERVISOR_TIMER);
    let vcpu = guest.vcpu;
    run_on(0, || {
        schedule::<FakeMachine>(vcpu);
    });
    let done = take_done();
    let answered = done
        .iter()
        .position(|done| *done == Done::Deactivate(HYPERVISOR_TIMER));
    let answered = answered.expect("the interrupt was answered");
    assert_eq!(sizes(&done[..answered]), []);
    assert_eq!(sizes(&done).iter().sum::<u64>(), 0x3800);
}

/// `GICD_ISENABLER1`.
const SET_ENABLE: u64 = DISTRIBUTOR + 0x104;

#[test]
fn access_to_many_interrupts_is_broken_off_for_an_interrupt_and_done_before_the_guest_goes_on() {
    let (_, mut guest) = first_turn();
    pend(0, HYPERVISOR_TIMER);
    guest.store(SET_ENABLE, Width::Word, u64::MAX);
    assert!(guest.vcpu.has_errand(), "the access was not broken off");
    take_done();
    let vcpu: *mut _ = guest.vcpu;
    // SAFETY: `guest` lends the only reference to it for as long as this one lives.
    let vcpu = unsafe { &mut *vcpu };
    run_on(0, || {
        let vcpu = schedule::<FakeMachine>(vcpu);
        assert!(!vcpu.has_errand());
    });
    assert!(take_done().contains(&Done::Deactivate(HYPERVISOR_TIMER)));
    assert_eq!(guest.load(SET_ENABLE, Width::Word), 0xffff_ffff);
}

#[test]
fn access_is_not_broken_off_when_no_interrupt_waits() {
    let (_, mut guest) = first_turn();
    guest.store(SET_ENABLE, Width::Word, u64::MAX);
    assert!(!guest.vcpu.has_errand());
    assert_eq!(guest.load(SET_ENABLE, Width::Word), 0xffff_ffff);
}

#[test]
fn sgis_that_came_together_are_broken_off_for_an_interrupt_and_pending_before_the_guest_goes_on() {
    let (_, mut guest) = first_turn();
    guest.store(DISTRIBUTOR, Width::Word, 2);
    for sgi in 0..16 {
        guest.vcpu.shared.request(1 << (FIRST_SGI + sgi));
    }
    pend(0, HYPERVISOR_TIMER);
    guest.store(SET_ENABLE, Width::Word, 0);
    assert!(guest.vcpu.is_broken_off() && guest.vcpu.shared.has_requests());

    decide(&mut guest);

    assert!(!guest.vcpu.has_errand() && !guest.vcpu.shared.has_requests());
    let pending = guest.load(REDISTRIBUTORS + 0x1_0200, Width::Word);
    assert_eq!(pending, 0xffff);
}
