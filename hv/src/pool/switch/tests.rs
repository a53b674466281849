//! Whether a guest that waits is woken.

use gic::LrState;
use model::device::Width;

use crate::fake::{
    DISTRIBUTOR, Done, FakeMachine, Guest, Outcome, REDISTRIBUTORS, VIRTUAL_TIMER, list_registers,
    program_timer, run_on, take_done, use_interface,
};
use crate::pool::fixture::first_turn;
use crate::pool::schedule;

/// `CNTV_CTL_EL0`: `ENABLE`, and with `IMASK`.
const ON: u64 = 1;
const MASKED: u64 = 3;

/// A guest whose virtual timer has interrupted, and which has not looked yet.
fn interrupted() -> Guest {
    let (_, mut guest) = first_turn();
    program_timer(0, ON, 10);
    // GICD_CTLR.EnableGrp1 and GICR_ISENABLER0.
    guest.store(DISTRIBUTOR, Width::Word, 1 << 1);
    guest.store(REDISTRIBUTORS + 0x1_0100, Width::Word, 1 << VIRTUAL_TIMER);
    guest.interrupt(VIRTUAL_TIMER);
    let [register] = list_registers(0)[..] else {
        panic!("{:?}", list_registers(0));
    };
    assert_eq!(register.state, LrState::Pending);
    take_done();
    guest
}

/// What becomes of a WFI.
fn wait(guest: Guest) -> Outcome {
    let vcpu = guest.vcpu;
    vcpu.wait_its_turn();
    run_on(0, || {
        schedule::<FakeMachine>(vcpu);
    })
}

#[test]
fn pending_interrupt_of_a_timer_ends_a_wait_while_the_timer_asks() {
    assert_eq!(wait(interrupted()), Outcome::Resumed);
    assert_eq!(list_registers(0).len(), 1);
}

#[test]
fn timer_that_was_masked_meanwhile_is_withdrawn_and_ends_no_wait() {
    let guest = interrupted();
    program_timer(0, MASKED, 10);
    assert_eq!(wait(guest), Outcome::Waiting);
    assert_eq!(list_registers(0), []);
    assert!(take_done().contains(&Done::DeactivatePhysical(VIRTUAL_TIMER)));
}

#[test]
fn timer_that_the_guest_has_acknowledged_is_left_to_the_guest() {
    let guest = interrupted();
    use_interface(0, |registers| {
        let register = registers
            .iter_mut()
            .find(|one| one.state == LrState::Pending);
        register.expect("the timer's").state = LrState::Active;
    });
    program_timer(0, MASKED, 10);
    assert_eq!(wait(guest), Outcome::Waiting);
    assert_eq!(list_registers(0).len(), 1);
    let ended = Done::DeactivatePhysical(VIRTUAL_TIMER);
    assert!(!take_done().contains(&ended));
}

#[test]
fn timer_that_was_withdrawn_interrupts_again() {
    let mut guest = interrupted();
    program_timer(0, MASKED, 10);
    let vcpu: *mut _ = guest.vcpu;
    // SAFETY: `guest` lends the only reference to it for as long as this one lives.
    let again = unsafe { &mut *vcpu };
    assert_eq!(
        wait(Guest {
            vcpu: again,
            pcpu: 0
        }),
        Outcome::Waiting
    );
    program_timer(0, ON, 10);
    guest.interrupt(VIRTUAL_TIMER);
    assert_eq!(list_registers(0).len(), 1);
}
