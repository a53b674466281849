//! Arrivals: into which list register, when, and what ends them.

use super::*;

#[test]
fn owned_interrupt_is_delivered_linked_and_ended_by_the_guest_alone() {
    for version in BOTH {
        let mut machine = Machine::started(version, 2);
        machine.pulse(EDGE);

        assert_eq!(machine.interface(0).held()[0].hardware, Some(EDGE_OUTSIDE));
        assert_eq!(machine.handle_all(0), [EDGE]);
        assert!(!machine.physical.get(EDGE, 0).active);
        assert_eq!(machine.physical.deactivations.get(), 0);
    }
}

#[test]
fn level_interrupt_comes_again_until_its_line_falls() {
    let mut machine = Machine::started(Version::V3, 1);
    machine.line(LEVEL, true);
    for _ in 0..3 {
        assert_eq!(machine.acknowledge(0), Some(LEVEL));
        machine.end(0);
    }
    assert_eq!(machine.acknowledge(0), Some(LEVEL));
    machine.line(LEVEL, false);
    machine.end(0);
    assert_eq!(machine.acknowledge(0), None);
}

#[test]
fn interrupt_that_comes_again_takes_the_register_it_had() {
    let mut machine = Machine::started(Version::V3, 1);
    for _ in 0..100 {
        machine.pulse(EDGE);
        assert_eq!(machine.interface(0).read(0).virtual_id, EDGE);
        assert_eq!(machine.handle_all(0), [EDGE]);
    }
    assert_eq!(machine.vgic.vcpus[0].used, 1);
    assert_eq!(machine.straight, 99, "all but the first by a grant");
}

#[test]
fn arrival_takes_no_ended_interrupts_register_while_one_is_nobodys() {
    let mut machine = Machine::started(Version::V3, 1);
    machine.pulse(EDGE);
    assert_eq!(machine.handle_all(0), [EDGE]);
    put(&mut machine, 0, PEND, IntId::new(70));
    let before = machine.straight;
    machine.pulse(EDGE);
    assert_eq!(machine.straight, before + 1, "it has kept its register");
}

#[test]
fn ended_interrupts_give_their_registers_to_others() {
    let mut machine = Machine::started(Version::V3, 1);
    for intid in 60..80 {
        put(&mut machine, 0, PEND, IntId::new(intid));
        assert_eq!(machine.handle_all(0), [IntId::new(intid)]);
    }
    machine.pulse(EDGE);
    assert_eq!(machine.handle_all(0), [EDGE]);
    assert!(!machine.physical.get(EDGE, 0).active);
}

#[test]
fn interrupt_that_arrives_while_disabled_waits_in_the_physical_controller() {
    let mut machine = Machine::started(Version::V3, 1);
    put(&mut machine, 0, DISABLE, EDGE);
    machine.pulse(EDGE);
    assert_eq!(machine.acknowledge(0), None);
    put(&mut machine, 0, ENABLE, EDGE);
    machine.run_physical();
    assert_eq!(machine.handle_all(0), [EDGE]);
}

#[test]
fn interrupt_that_waits_in_the_physical_controller_reads_as_pending_and_can_be_cleared() {
    for version in BOTH {
        let mut machine = Machine::started(version, 1);
        for intid in [EDGE, LEVEL] {
            put(&mut machine, 0, DISABLE, intid);
        }
        machine.pulse(EDGE);
        machine.line(LEVEL, true);
        assert!([EDGE, LEVEL].map(|intid| is_set(&mut machine, 0, PEND, intid)) == [true; 2]);

        for intid in [EDGE, LEVEL] {
            put(&mut machine, 0, UNPEND, intid);
        }
        // A line that is still asserted stays pending (IHI 0069H 12.9.12).
        assert!(!is_set(&mut machine, 0, PEND, EDGE) && is_set(&mut machine, 0, PEND, LEVEL));
        put(&mut machine, 0, ENABLE, EDGE);
        assert_eq!(machine.handle_all(0), []);
    }
}

#[test]
fn level_pending_when_disabled_goes_back_to_its_line() {
    for still_high in [true, false] {
        let mut machine = Machine::started(Version::V3, 1);
        machine.line(LEVEL, true);
        put(&mut machine, 0, DISABLE, LEVEL);
        assert_eq!(machine.acknowledge(0), None);
        assert!(!machine.physical.get(LEVEL, 0).active);

        machine.line(LEVEL, still_high);
        put(&mut machine, 0, ENABLE, LEVEL);
        machine.run_physical();
        assert_eq!(machine.acknowledge(0).is_some(), still_high);
    }
}

#[test]
fn another_cpus_timer_is_switched_on_its_own_cpu() {
    // The fake hardware panics when a timer is reached from the wrong CPU.
    let mut machine = Machine::new(Version::V3, 2);
    machine.write(
        0,
        Frame::Redistributor(VcpuId::new(1)),
        0x1_0100,
        Width::Word,
        1 << TIMER.get(),
    );
    assert!(machine.physical.get(TIMER, 1).enabled);
    assert!(!machine.physical.get(TIMER, 0).enabled);
}

#[test]
fn timer_is_delivered_linked_on_its_own_cpu() {
    let mut machine = Machine::started(Version::V3, 2);
    machine
        .physical
        .set(TIMER, 1, |physical| physical.line = true);
    machine.run_physical();
    assert_eq!(machine.acknowledge(0), None);
    assert_eq!(machine.acknowledge(1), Some(TIMER));
    machine
        .physical
        .set(TIMER, 1, |physical| physical.line = false);
    machine.end(1);
    assert!(!machine.physical.get(TIMER, 1).active);
    assert_eq!(machine.physical.deactivations.get(), 0);
}

#[test]
fn arrival_of_an_interrupt_that_does_not_exist_is_ignored() {
    let mut machine = Machine::started(Version::V3, 1);
    for number in [96, 1019, 1023, 8192, u32::MAX] {
        assert!(
            machine
                .vgic
                .raise(IntId::new(number), VcpuId::new(0))
                .is_empty()
        );
        assert!(machine.vgic.set_line(IntId::new(number), true).is_empty());
    }
    assert!(
        machine
            .vgic
            .raise(IntId::new(3), VcpuId::new(200))
            .is_empty()
    );
}

#[test]
fn has_pending_says_so_only_while_something_waits() {
    let mut machine = Machine::started(Version::V3, 1);
    let cpu = VcpuId::new(0);
    assert!(!machine.vgic.has_pending(cpu));
    let kicks = machine.vgic.raise(HIDDEN, cpu);
    assert!(kicks.contains(cpu) && machine.vgic.has_pending(cpu));
    machine.kick(kicks);
    assert!(!machine.vgic.has_pending(cpu));
}
