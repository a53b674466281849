//! What the timers of a virtual CPU must be in hardware when it gets a physical CPU.

use super::*;
use crate::PrivateState;

/// The other timer.
const PHYSICAL_TIMER: IntId = IntId::new(30);

const fn bit_of(timer: IntId) -> u32 {
    1 << timer.get()
}

fn timers(machine: &Machine, cpu: u8) -> PrivateState {
    let live = !machine.interface(cpu).empty() as u16;
    machine.vgic.timers(VcpuId::new(cpu), live)
}

/// The timer of a virtual CPU fires, and has been taken into its list registers.
fn fire(machine: &mut Machine, cpu: u8) {
    machine
        .physical
        .set(TIMER, cpu, |physical| physical.line = true);
    machine.run_physical();
}

#[test]
fn timers_are_named_and_enabled_as_their_guest_has_them() {
    let mut machine = Machine::started(Version::V3, 2);
    let disabled = bit_of(PHYSICAL_TIMER).into();
    let own = Frame::Redistributor(VcpuId::new(1));
    machine.write(1, own, 0x1_0180, Width::Word, disabled);

    let both = bit_of(TIMER) | bit_of(PHYSICAL_TIMER);
    let found = [0, 1].map(|cpu| timers(&machine, cpu));

    assert_eq!(found.map(|timers| timers.mask), [both, both]);
    assert_eq!(found.map(|timers| timers.enabled), [both, bit_of(TIMER)]);
    assert_eq!(found.map(|timers| timers.active), [0, 0]);
}

#[test]
fn timer_is_active_from_its_delivery_until_its_guest_has_ended_it() {
    let mut machine = Machine::started(Version::V3, 2);
    let active = |machine: &Machine| [0, 1].map(|cpu| timers(machine, cpu).active);

    fire(&mut machine, 1);
    assert_eq!(active(&machine), [0, bit_of(TIMER)], "delivered");
    machine.interface(1).acknowledge();
    assert_eq!(active(&machine), [0, bit_of(TIMER)], "acknowledged");
    machine.interface(1).end();
    assert_eq!(active(&machine), [0, 0], "ended");
}

#[test]
fn timer_that_comes_again_is_active_again_before_and_after_it_has_a_list_register() {
    let mut machine = Machine::started(Version::V3, 1);
    fire(&mut machine, 0);
    machine.interface(0).acknowledge();
    machine.interface(0).end();

    let caller = Caller {
        cpu: VcpuId::new(0),
        registers: &machine.interfaces[0],
        hardware: &machine.physical,
    };
    let _ = machine.vgic.deliver(TIMER, caller);
    assert_eq!(timers(&machine, 0).active, bit_of(TIMER), "not flushed");
    machine.kick(VcpuSet::only(VcpuId::new(0)));
    assert_eq!(timers(&machine, 0).active, bit_of(TIMER), "flushed");
}

#[test]
fn timer_that_waits_behind_full_list_registers_is_active() {
    let mut machine = Machine::started_with(Version::V3, 1, 2);
    for intid in [70, 71] {
        machine.write(0, Frame::Distributor, 0x400 + intid, Width::Byte, 0);
        let (offset, value) = bit(0x200, IntId::new(intid));
        machine.set(0, offset, value);
    }
    fire(&mut machine, 0);

    assert_eq!(machine.interface(0).state(TIMER), LrState::Empty);
    assert_eq!(timers(&machine, 0).active, bit_of(TIMER));
}

#[test]
fn virtual_cpu_that_is_not_there_has_no_timers() {
    let machine = Machine::started(Version::V2, 1);
    let found = machine.vgic.timers(VcpuId::new(1), 0);
    assert_eq!(found, PrivateState::default());
}
