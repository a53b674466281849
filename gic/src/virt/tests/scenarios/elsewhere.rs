//! Changes of what another virtual CPU's list registers hold, and of where an interrupt goes.

use super::*;

#[test]
fn interrupt_held_by_another_cpu_is_withdrawn_when_disabled() {
    for version in BOTH {
        let mut machine = Machine::started(version, 2);
        route(&mut machine, EDGE, 1);
        machine.pulse(EDGE);
        assert_eq!(machine.interface(1).state(EDGE), LrState::Pending);
        put(&mut machine, 0, DISABLE, EDGE);
        assert_eq!(machine.interface(1).state(EDGE), LrState::Empty);
        put(&mut machine, 0, ENABLE, EDGE);
        assert_eq!(machine.handle_all(1), [EDGE]);
    }
}

#[test]
fn pending_interrupt_follows_its_new_route() {
    for version in BOTH {
        let mut machine = Machine::started(version, 2);
        machine.pulse(EDGE);
        route(&mut machine, EDGE, 1);
        assert_eq!(machine.acknowledge(0), None);
        assert_eq!(machine.handle_all(1), [EDGE]);
        assert_eq!(machine.physical.get(EDGE, 0).target, 1);
    }
}

#[test]
fn active_interrupt_stays_where_it_is_handled_and_the_next_goes_to_the_new_route() {
    let mut machine = Machine::started(Version::V3, 2);
    machine.pulse(EDGE);
    assert_eq!(machine.acknowledge(0), Some(EDGE));
    route(&mut machine, EDGE, 1);
    put(&mut machine, 1, PEND, EDGE);
    assert_eq!(machine.acknowledge(1), None);
    machine.end(0);
    assert_eq!(machine.acknowledge(0), None);
    assert_eq!(machine.handle_all(1), [EDGE]);
    assert!(!machine.physical.get(EDGE, 0).active);
}

#[test]
fn route_to_no_cpu_keeps_the_interrupt_pending() {
    let mut machine = Machine::started(Version::V3, 2);
    route(&mut machine, EDGE, 63);
    machine.pulse(EDGE);
    assert_eq!(
        (machine.acknowledge(0), machine.acknowledge(1)),
        (None, None)
    );
    route(&mut machine, EDGE, 1);
    assert_eq!(machine.handle_all(1), [EDGE]);
}

#[test]
fn clearing_what_another_cpu_has_pending_takes_it_away() {
    let mut machine = Machine::started(Version::V3, 2);
    machine.pulse(EDGE);
    put(&mut machine, 1, UNPEND, EDGE);
    assert_eq!(machine.acknowledge(0), None);
    assert!(!machine.physical.get(EDGE, 0).active);
    machine.pulse(EDGE);
    assert_eq!(machine.handle_all(0), [EDGE]);
}

#[test]
fn clearing_what_another_cpu_has_active_ends_the_physical_interrupt() {
    let mut machine = Machine::started(Version::V3, 2);
    machine.pulse(EDGE);
    assert_eq!(machine.acknowledge(0), Some(EDGE));
    put(&mut machine, 1, DEACTIVATE, EDGE);
    assert!(!machine.physical.get(EDGE, 0).active);
    assert!(machine.interface(0).held().is_empty());
}

#[test]
fn pending_and_active_state_of_another_cpu_is_known_after_its_kick() {
    let mut machine = Machine::started(Version::V3, 2);
    machine.pulse(EDGE);
    machine.acknowledge(0);
    is_set(&mut machine, 1, ACTIVATE, EDGE);
    assert!(is_set(&mut machine, 1, ACTIVATE, EDGE));
    machine.end(0);
    is_set(&mut machine, 1, ACTIVATE, EDGE);
    assert!(!is_set(&mut machine, 1, ACTIVATE, EDGE));
}

#[test]
fn spi_deactivated_by_another_cpu_than_the_one_that_acknowledged_it_ends() {
    for version in BOTH {
        let mut machine = Machine::started(version, 2);
        (0..2).for_each(|cpu| machine.interface(cpu).split.set(true));
        machine.pulse(EDGE);
        assert_eq!(machine.acknowledge(0), Some(EDGE));
        machine.end(0);
        machine.deactivate(1, EDGE);
        assert!(!machine.physical.get(EDGE, 0).active && !is_set(&mut machine, 0, ACTIVATE, EDGE));
    }
}

#[test]
fn eoi_mode_turned_on_after_spis_hold_registers_loses_no_deactivation_on_another_cpu() {
    let mut machine = Machine::started_with_all_on(Version::V3, 2);
    // The register stays the interrupt's home, so that its next arrival takes no full exit.
    machine.pulse(EDGE);
    assert_eq!(machine.handle_all(0), [EDGE]);
    (0..2).for_each(|cpu| machine.interface(cpu).split.set(true));

    machine.pulse(EDGE);
    assert_eq!(machine.acknowledge(0), Some(EDGE));
    machine.end(0);
    machine.deactivate(1, EDGE);

    assert!(!machine.physical.get(EDGE, 0).active && !is_set(&mut machine, 0, ACTIVATE, EDGE));
    machine.pulse(EDGE);
    assert_eq!(machine.acknowledge(0), Some(EDGE), "it can come again");
}

#[test]
fn deactivations_trap_where_another_cpu_could_make_them() {
    let traps = |version, vcpus| {
        let machine = Machine::started_with_all_on(version, vcpus);
        machine.interface(0).announced.get().deactivations
    };
    assert!(traps(Version::V3, 2));
    assert!(!traps(Version::V3, 1));
}
