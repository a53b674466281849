//! Power, interrupts and kicks of virtual CPUs on the fake machine's pCPUs.

use gic::{Announce, LrState};
use model::device::Width;
use model::system::EndState;

use super::*;
use crate::fake::{
    CONSOLE_SPI, CPU_OFF, CPU_ON, DEVICE_TREE, DISTRIBUTOR, Done, ENTRY, EXTENDED_SEEN,
    EXTENDED_SPI, FakeCpu, Guest, HYPERVISOR_TIMER, LINUX, MAINTENANCE, OWNED_SPI, Outcome, PCPUS,
    REDISTRIBUTORS, RT, SYSTEM_OFF, SYSTEM_RESET, VIRTUAL_TIMER, World, advance, events,
    list_registers, pend, run_on, script, take_done, take_wire, type_in, use_interface,
};

/// AFFINITY_INFO.
const AFFINITY_INFO: u64 = 0xc400_0004;

fn lifecycle(world: World, partition: usize) -> &'static str {
    world.partition(partition).power.lock().lifecycle().name()
}

/// The guest lets its distributor forward group 1, and enables its virtual timer and its SPI.
fn enable_interrupts(guest: &mut Guest) {
    guest.store(DISTRIBUTOR, Width::Word, 1 << 1);
    guest.store(DISTRIBUTOR + 0x104, Width::Word, 1 << (OWNED_SPI % 32));
    let frame = REDISTRIBUTORS + 0x2_0000 * u64::from(guest.vcpu.id.get());
    guest.store(frame + 0x1_0100, Width::Word, 1 << VIRTUAL_TIMER);
    take_done();
}

fn started_with_interrupts() -> Guest {
    let mut guest = World::new().started(LINUX);
    enable_interrupts(&mut guest);
    guest
}

/// The virtual CPU is on another pCPU and gets the interrupt that waits there while the first one waits.
fn script_interrupt_of(mut guest: Guest, expected: Outcome) {
    script(move || assert_eq!(guest.pending_interrupt(), expected));
}

// Start.

#[test]
fn first_start_loads_the_image_piece_by_piece_and_starts_at_the_entry_with_the_device_tree() {
    let world = World::new();
    let mut guest = world.guest(LINUX, 0);
    assert_eq!(guest.bring_up(), Outcome::Resumed);
    let loads: Vec<Done> = take_done()
        .into_iter()
        .filter(|done| matches!(done, Done::Load { .. } | Done::Zero { .. }))
        .collect();
    assert_eq!(
        loads,
        [
            Done::Load {
                offset: 0x5000,
                to: 0x8007_f000,
                size: 0x1000
            },
            Done::Load {
                offset: 0x6000,
                to: 0xc000_0000,
                size: 0x2000
            },
            Done::Zero {
                to: 0xc000_2000,
                size: 0x800
            },
        ]
    );
    assert_eq!((guest.pc(), guest.vcpu.context.x[0]), (ENTRY, DEVICE_TREE));
    assert_eq!(lifecycle(world, LINUX), "running");
}

#[test]
fn first_start_prepares_the_cpu_before_code_is_published_and_enables_the_alarm() {
    let world = World::new();
    let mut guest = world.guest(LINUX, 0);
    guest.bring_up();
    let done = take_done();
    let at = |what: Done| done.iter().position(|done| *done == what);
    let reset = at(Done::ResetGuest {
        mpidr: 0,
        counter_offset: FakeCpu::now(),
    });
    assert!(reset.is_some() && reset < at(Done::Publish));
    assert!(done.contains(&Done::Enable(HYPERVISOR_TIMER)));
}

#[test]
fn second_cpu_waits_until_it_is_turned_on_and_starts_where_it_was_told() {
    let world = World::new();
    let mut first = world.started(LINUX);
    let mut second = world.guest(LINUX, 1);
    assert_eq!(second.bring_up(), Outcome::Waiting);
    script(move || {
        first.hvc([CPU_ON, 1, ENTRY + 0x100, 42]);
    });
    assert_eq!(second.bring_up(), Outcome::Resumed);
    assert_eq!((second.pc(), second.vcpu.context.x[0]), (ENTRY + 0x100, 42));
    assert!(take_done().contains(&Done::ResetGuest {
        mpidr: 1,
        counter_offset: world.partition(LINUX).counter_offset()
    }));
}

#[test]
fn virtual_cpu_that_the_partition_does_not_have_is_none() {
    let world = World::new();
    let partition = world.partition(RT);
    assert!(Vcpu::new(world.hypervisor, partition, VcpuId::new(1), [0; 4]).is_none());
}

// Off, reset.

#[test]
fn cpu_off_stops_the_timers_and_the_cpu_comes_back_reset_where_it_is_turned_on() {
    let (mut first, mut second) = World::new().both();
    second.vcpu.context.x[9] = 9;
    script(move || {
        first.hvc([AFFINITY_INFO, 1, 0, 0]);
        assert_eq!(first.x0(), 1);
        first.hvc([CPU_ON, 1, ENTRY + 8, 5]);
        assert_eq!(first.x0(), 0);
    });
    assert_eq!(second.hvc([CPU_OFF, 0, 0, 0]), Outcome::Resumed);
    assert_eq!((second.pc(), second.vcpu.context.x[0]), (ENTRY + 8, 5));
    assert_eq!(second.vcpu.context.x[9], 0);
    let done = take_done();
    assert_eq!(done[..2], [Done::StopTimers, Done::ResetVirtualInterface]);
    assert!(
        done.iter()
            .any(|done| matches!(done, Done::ResetGuest { mpidr: 1, .. }))
    );
}

#[test]
fn cpu_off_of_the_last_running_cpu_stops_the_partition() {
    let world = World::new();
    let mut guest = world.started(LINUX);
    assert_eq!(guest.hvc([CPU_OFF, 0, 0, 0]), Outcome::Waiting);
    assert_eq!(lifecycle(world, LINUX), "stopped");
}

#[test]
fn system_off_kicks_the_other_cpu_and_the_last_one_to_park_stops_the_partition() {
    let world = World::new();
    let (mut first, mut second) = world.both();
    assert_eq!(first.hvc([SYSTEM_OFF, 0, 0, 0]), Outcome::Waiting);
    assert!(take_done().contains(&Done::Kick(PCPUS[1])));
    assert_eq!(lifecycle(world, LINUX), "stopping");
    assert_eq!(second.pending_interrupt(), Outcome::Waiting);
    assert_eq!(lifecycle(world, LINUX), "stopped");
    let partition = world.partition(LINUX).id;
    assert_eq!(events(), [Event::Stopped { partition }]);
}

#[test]
fn system_off_of_every_partition_ends_the_system() {
    let world = World::new();
    let mut rt = world.started(RT);
    let (mut first, second) = world.both();
    assert_eq!(rt.hvc([SYSTEM_OFF, 0, 0, 0]), Outcome::Waiting);
    script_interrupt_of(second, Outcome::Ended(EndState::Halt));
    assert_eq!(first.hvc([SYSTEM_OFF, 0, 0, 0]), Outcome::Waiting);
}

#[test]
fn call_of_a_stopped_partition_is_never_resumed() {
    let world = World::new();
    let mut guest = world.started(LINUX);
    for _ in 0..3 {
        script(|| {});
    }
    assert_eq!(guest.hvc([SYSTEM_OFF, 0, 0, 0]), Outcome::Waiting);
}

#[test]
fn system_reset_loads_the_image_again_counts_it_and_starts_only_the_first_cpu() {
    let world = World::new();
    let (mut first, second) = world.both();
    advance(500);
    script_interrupt_of(second, Outcome::Waiting);
    assert_eq!(first.hvc([SYSTEM_RESET, 0, 0, 0]), Outcome::Resumed);
    let partition = world.partition(LINUX);
    assert_eq!(partition.power.lock().restarts(), 1);
    assert_eq!((first.pc(), first.vcpu.context.x[0]), (ENTRY, DEVICE_TREE));
    assert_eq!(partition.counter_offset(), 1500);
    let loads = |done: &&Done| matches!(done, Done::Load { .. });
    assert_eq!(take_done().iter().filter(loads).count(), 2);
    first.hvc([AFFINITY_INFO, 1, 0, 0]);
    assert_eq!(first.x0(), 1, "the second CPU is off");
}

#[test]
fn system_reset_leaves_the_virtual_interrupt_controller_and_the_uart_as_at_the_first_start() {
    let mut guest = started_with_interrupts();
    guest.store(crate::fake::UART + 0x24, Width::Word, 77);
    guest.interrupt(OWNED_SPI);
    assert_eq!(list_registers(0).len(), 1);
    take_done();
    assert_eq!(guest.hvc([SYSTEM_RESET, 0, 0, 0]), Outcome::Resumed);
    let done = take_done();
    assert_eq!(list_registers(0), []);
    assert!(done.contains(&Done::Disable(OWNED_SPI)));
    assert!(done.contains(&Done::DeactivatePhysical(OWNED_SPI)));
    assert!(done.contains(&Done::Route(OWNED_SPI, PCPUS[0])));
    assert!(done.contains(&Done::Disable(VIRTUAL_TIMER)));
    assert_eq!(guest.load(DISTRIBUTOR, Width::Word) & 3, 0);
    assert_eq!(guest.load(DISTRIBUTOR + 0x104, Width::Word), 0);
    assert_eq!(guest.load(crate::fake::UART + 0x24, Width::Word), 0);
}

#[test]
fn reset_that_the_other_cpu_asks_for_during_a_stop_changes_nothing() {
    let world = World::new();
    let (mut first, mut second) = world.both();
    assert_eq!(first.hvc([SYSTEM_OFF, 0, 0, 0]), Outcome::Waiting);
    assert_eq!(second.hvc([SYSTEM_RESET, 0, 0, 0]), Outcome::Waiting);
    assert_eq!(lifecycle(world, LINUX), "stopped");
}

#[test]
fn cpu_that_was_turned_on_but_has_not_started_does_not_start_into_a_stopped_partition() {
    let world = World::new();
    let mut first = world.started(LINUX);
    let mut second = world.guest(LINUX, 1);
    first.hvc([CPU_ON, 1, ENTRY, 0]);
    assert_eq!(first.hvc([SYSTEM_OFF, 0, 0, 0]), Outcome::Waiting);
    assert_eq!(second.bring_up(), Outcome::Waiting);
    assert_eq!(lifecycle(world, LINUX), "stopped");
}

// Interrupts.

#[test]
fn owned_interrupt_is_delivered_with_a_hardware_link_and_left_active() {
    let mut guest = started_with_interrupts();
    for intid in [OWNED_SPI, VIRTUAL_TIMER] {
        assert_eq!(guest.interrupt(intid), Outcome::Resumed);
        assert_eq!(take_done(), [Done::DropPriority(intid)]);
    }
    let held = list_registers(0);
    let links: Vec<_> = held
        .iter()
        .map(|register| (register.virtual_id.get(), register.hardware, register.state))
        .collect();
    let linked = |intid| (intid, Some(IntId::new(intid)), LrState::Pending);
    assert_eq!(links, [linked(OWNED_SPI), linked(VIRTUAL_TIMER)]);
}

#[test]
fn extended_spi_comes_by_the_number_inside_and_is_ended_by_the_one_outside() {
    let mut guest = started_with_interrupts();
    let inside = 1 << (EXTENDED_SEEN % 32);
    guest.store(DISTRIBUTOR + 0x104, Width::Word, inside);
    assert!(take_done().contains(&Done::Enable(EXTENDED_SPI)));
    guest.interrupt(EXTENDED_SPI);
    assert_eq!(take_done(), [Done::DropPriority(EXTENDED_SPI)]);
    let held = list_registers(0);
    assert_eq!(held[0].virtual_id, IntId::new(EXTENDED_SEEN));
    assert_eq!(held[0].hardware, Some(IntId::new(EXTENDED_SPI)));

    assert_eq!(guest.hvc([SYSTEM_RESET, 0, 0, 0]), Outcome::Resumed);
    let done = take_done();
    assert!(done.contains(&Done::Disable(EXTENDED_SPI)));
    assert!(done.contains(&Done::DeactivatePhysical(EXTENDED_SPI)));
    assert!(!done.contains(&Done::DeactivatePhysical(EXTENDED_SEEN)));
}

#[test]
fn interrupt_that_the_guest_has_masked_waits_outside_the_list_registers_until_it_is_enabled() {
    let mut guest = World::new().started(LINUX);
    guest.interrupt(OWNED_SPI);
    assert_eq!(list_registers(0), []);
    enable_interrupts(&mut guest);
    assert_eq!(list_registers(0).len(), 1);
}

#[test]
fn kick_is_deactivated_and_nothing_else_happens() {
    let mut guest = started_with_interrupts();
    guest.interrupt(KICK.get());
    let kick = KICK.get();
    assert_eq!(
        take_done(),
        [Done::DropPriority(kick), Done::Deactivate(kick)]
    );
}

#[test]
fn stray_interrupt_is_disabled_deactivated_and_told() {
    let mut guest = started_with_interrupts();
    guest.interrupt(55);
    assert_eq!(
        take_done(),
        [
            Done::DropPriority(55),
            Done::Disable(55),
            Done::Record(Event::StrayInterrupt { intid: 55 }),
            Done::Deactivate(55),
        ]
    );
}

#[test]
fn spi_of_another_partition_is_stray_here() {
    let world = World::new();
    let mut rt = world.started(RT);
    rt.interrupt(OWNED_SPI);
    assert!(take_done().contains(&Done::Disable(OWNED_SPI)));
}

#[test]
fn interrupt_that_is_gone_when_acknowledged_changes_nothing() {
    let mut guest = started_with_interrupts();
    assert_eq!(guest.pending_interrupt(), Outcome::Resumed);
    assert_eq!(take_done(), []);
}

#[test]
fn maintenance_interrupt_makes_room_for_what_waits() {
    // Arrange: five SGIs, one more than there are list registers.
    let mut guest = started_with_interrupts();
    guest.store(REDISTRIBUTORS + 0x1_0100, Width::Word, 0x1f);
    guest.store(REDISTRIBUTORS + 0x1_0200, Width::Word, 0x1f);
    assert_eq!(list_registers(0).len(), 4);
    // Act: the guest ends all four.
    use_interface(0, |registers| {
        for register in registers {
            register.state = LrState::Empty;
        }
    });
    take_done();
    guest.interrupt(MAINTENANCE);
    // Assert.
    let held = list_registers(0);
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].virtual_id, IntId::new(4));
    // The partition has two CPUs, so deactivations stay trapped.
    let announced = Announce {
        deactivations: true,
        ..Announce::NOTHING
    };
    assert_eq!(
        take_done(),
        [
            Done::DropPriority(MAINTENANCE),
            Done::Announce(announced),
            Done::Deactivate(MAINTENANCE)
        ]
    );
}

#[test]
fn interrupt_for_a_cpu_that_is_off_is_kept_until_it_is_turned_on() {
    // Arrange: the second CPU takes the partition's SPI, and is off.
    let (mut first, mut second) = World::new().both();
    enable_interrupts(&mut first);
    // GICD_IROUTER: Aff0 1.
    let router = DISTRIBUTOR + 0x6000 + 8 * u64::from(OWNED_SPI);
    first.store(router, Width::Double, 1);
    assert!(take_done().contains(&Done::Route(OWNED_SPI, PCPUS[1])));
    // Act.
    script(|| pend(1, OWNED_SPI));
    script(move || {
        assert_eq!(list_registers(1), []);
        first.hvc([CPU_ON, 1, ENTRY, 0]);
    });
    assert_eq!(second.hvc([CPU_OFF, 0, 0, 0]), Outcome::Resumed);
    // Assert: still active physically, and linked.
    let held = list_registers(1);
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].hardware, Some(IntId::new(OWNED_SPI)));
    let done = take_done();
    assert!(!done.contains(&Done::Deactivate(OWNED_SPI)));
    assert!(!done.contains(&Done::DeactivatePhysical(OWNED_SPI)));
}

#[test]
fn interrupt_that_arrives_where_the_cpu_is_off_kicks_the_cpu_that_takes_it() {
    let (mut first, mut second) = World::new().both();
    enable_interrupts(&mut first);
    script(|| pend(1, OWNED_SPI));
    assert_eq!(second.hvc([CPU_OFF, 0, 0, 0]), Outcome::Waiting);
    assert!(take_done().contains(&Done::Kick(PCPUS[0])));
    first.pending_interrupt();
    assert_eq!(list_registers(0).len(), 1);
}

#[test]
fn console_interrupt_is_served_by_a_cpu_that_is_off() {
    let world = World::new();
    let mut guest = world.started(LINUX);
    script(|| {
        type_in(b"\x1d?");
        pend(0, CONSOLE_SPI);
    });
    assert_eq!(guest.hvc([SYSTEM_OFF, 0, 0, 0]), Outcome::Waiting);
    assert!(take_wire().starts_with("[hv] Ctrl-] then: "));
    assert!(take_done().contains(&Done::Deactivate(CONSOLE_SPI)));
}

#[test]
fn alarm_is_turned_off_and_text_that_has_waited_long_enough_goes_out() {
    let mut guest = World::new().started(RT);
    guest.store(crate::fake::UART, Width::Byte, b'?'.into());
    advance(crate::fake::PATIENCE);
    take_done();
    guest.interrupt(HYPERVISOR_TIMER);
    assert_eq!(take_wire(), "[rt] ?");
    assert_eq!(
        take_done(),
        [
            Done::DropPriority(HYPERVISOR_TIMER),
            Done::ClearAlarm,
            Done::Deactivate(HYPERVISOR_TIMER)
        ]
    );
}

#[test]
fn timer_that_another_cpu_enables_is_enabled_on_its_own_pcpu_after_a_kick() {
    let (mut first, mut second) = World::new().both();
    first.store(REDISTRIBUTORS + 0x3_0100, Width::Word, 1 << VIRTUAL_TIMER);
    assert_eq!(take_done(), [Done::Kick(PCPUS[1])]);
    second.pending_interrupt();
    assert!(take_done().contains(&Done::Enable(VIRTUAL_TIMER)));
}

#[test]
fn kick_for_a_partition_whose_cpu_is_elsewhere_is_sent_by_its_affinity() {
    let world = World::new();
    let partition = world.partition(RT);
    let outcome = run_on(0, || {
        world
            .hypervisor
            .kick(partition, partition.everyone(), request::INTERRUPTS);
    });
    assert_eq!(outcome, Outcome::Resumed);
    assert_eq!(take_done(), [Done::Kick(PCPUS[2])]);
    assert!(partition.vcpus[0].has_requests());
}
