//! States that the guest sets by register writes, groups, and lines of virtual devices.

use super::*;

#[test]
fn virtual_device_with_its_line_still_high_interrupts_again() {
    for version in BOTH {
        let mut machine = Machine::started(version, 1);
        machine.virtual_line(UART, true);
        assert_eq!(machine.acknowledge(0), Some(UART));
        machine.end(0);
        assert_eq!(machine.acknowledge(0), Some(UART));
        machine.virtual_line(UART, false);
        machine.end(0);
        assert_eq!(machine.acknowledge(0), None);
    }
}

#[test]
fn virtual_device_whose_line_falls_unseen_interrupts_nobody() {
    let mut machine = Machine::started(Version::V3, 1);
    machine.virtual_line(UART, true);
    assert_eq!(machine.interface(0).state(UART), LrState::Pending);
    machine.virtual_line(UART, false);
    assert_eq!(machine.acknowledge(0), None);
}

#[test]
fn virtual_device_whose_line_blinks_while_handled_interrupts_again() {
    let mut machine = Machine::started(Version::V3, 1);
    machine.virtual_line(UART, true);
    assert_eq!(machine.acknowledge(0), Some(UART));
    machine.virtual_line(UART, false);
    machine.virtual_line(UART, true);
    machine.end(0);
    assert_eq!(machine.acknowledge(0), Some(UART));
}

#[test]
fn hidden_interrupt_pended_by_the_guest_is_purely_virtual() {
    for version in BOTH {
        // The fake hardware panics when an interrupt is touched that the partition does not own.
        let mut machine = Machine::started(version, 1);
        put(&mut machine, 0, PEND, HIDDEN);
        assert_eq!(machine.interface(0).held()[0].hardware, None);
        assert_eq!(machine.handle_all(0), [HIDDEN]);
        put(&mut machine, 0, DISABLE, HIDDEN);
        machine.set(0, 0xc00 + HIDDEN.get() / 16 * 4, 0xffff_ffff);
    }
}

#[test]
fn software_pend_of_an_active_linked_interrupt_comes_after_it_and_both_end() {
    for intid in [LEVEL, EDGE] {
        let mut machine = Machine::started(Version::V3, 1);
        machine
            .physical
            .set(intid, 0, |physical| physical.latched = true);
        machine.run_physical();
        assert_eq!(machine.acknowledge(0), Some(intid));
        put(&mut machine, 0, PEND, intid);
        assert_eq!(machine.acknowledge(0), None);
        machine.end(0);
        assert_eq!(machine.handle_all(0), [intid]);
        assert!(!machine.physical.get(intid, 0).active);
    }
}

#[test]
fn physical_arrival_during_a_software_pended_one_is_not_lost() {
    let mut machine = Machine::started(Version::V3, 1);
    put(&mut machine, 0, PEND, EDGE);
    assert_eq!(machine.acknowledge(0), Some(EDGE));
    machine.pulse(EDGE);
    machine.end(0);
    assert_eq!(machine.handle_all(0), [EDGE]);
    assert!(!machine.physical.get(EDGE, 0).active);
}

#[test]
fn interrupt_made_active_by_the_guest_is_held_back_until_it_is_ended() {
    let mut machine = Machine::started(Version::V3, 1);
    put(&mut machine, 0, ACTIVATE, EDGE);
    machine.pulse(EDGE);
    assert_eq!(machine.acknowledge(0), None);
    put(&mut machine, 0, DEACTIVATE, EDGE);
    assert_eq!(machine.handle_all(0), [EDGE]);
    assert!(!machine.physical.get(EDGE, 0).active);
}

#[test]
fn disabling_a_group_withdraws_its_interrupts_and_enabling_brings_them_back() {
    let mut machine = Machine::started(Version::V3, 1);
    machine.pulse(EDGE);
    machine.set(0, 0, 1);
    assert_eq!(machine.acknowledge(0), None);
    machine.set(0, 0, 2);
    assert_eq!(machine.handle_all(0), [EDGE]);
}

#[test]
fn group_change_shows_in_the_list_register() {
    let mut machine = Machine::started(Version::V3, 1);
    machine.pulse(EDGE);
    assert!(machine.interface(0).held()[0].group1);
    machine.set(0, 0x84, 0);
    assert!(!machine.interface(0).held()[0].group1);
}
