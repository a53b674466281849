//! What guests and devices do, and what others got wrong.

use super::*;

const ENABLE: u32 = 0x100;
const DISABLE: u32 = 0x180;
const PEND: u32 = 0x200;
const UNPEND: u32 = 0x280;
const ACTIVATE: u32 = 0x300;
const DEACTIVATE: u32 = 0x380;
const BOTH: [Version; 2] = [Version::V2, Version::V3];

fn put(machine: &mut Machine, cpu: u8, array: u32, intid: IntId) {
    let (offset, value) = bit(array, intid);
    machine.set(cpu, offset, value);
}

fn is_set(machine: &mut Machine, cpu: u8, array: u32, intid: IntId) -> bool {
    let (offset, value) = bit(array, intid);
    machine.get(cpu, offset) & value != 0
}

fn route(machine: &mut Machine, intid: IntId, cpu: u64) {
    match machine.vgic.geometry.version {
        Version::V2 => machine.write(
            0,
            Frame::Distributor,
            0x800 + intid.get(),
            Width::Byte,
            1 << cpu,
        ),
        Version::V3 => machine.write(
            0,
            Frame::Distributor,
            0x6000 + 8 * intid.get(),
            Width::Double,
            ((cpu / 4) << 8) | (cpu % 4),
        ),
    };
}

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
fn grant_is_gone_after_each_change_that_a_delivery_must_heed() {
    for (what, offset, value) in [
        ("disabled", 0x184, 1 << (EDGE.get() % 32)),
        ("group 0", 0x084, 0),
        ("other priority", 0x420, 0x0010_0000),
        ("pending by the guest", 0x204, 1 << (EDGE.get() % 32)),
        ("active by the guest", 0x304, 1 << (EDGE.get() % 32)),
        ("level-sensitive", 0xc08, 0),
        ("groups off", 0, 0),
    ] {
        let mut machine = Machine::started(Version::V3, 2);
        machine.pulse(EDGE);
        assert_eq!(machine.handle_all(0), [EDGE]);
        assert!(machine.grants[0].straight(EDGE_OUTSIDE, u64::MAX).is_some());
        machine.set(1, offset, value);
        assert_eq!(
            machine.grants[0].straight(EDGE_OUTSIDE, u64::MAX),
            None,
            "{what}"
        );
    }
}

#[test]
fn no_grant_stands_while_an_interrupt_waits_for_a_list_register() {
    let mut machine = Machine::started(Version::V3, 1);
    machine.pulse(EDGE);
    machine.handle_all(0);
    assert!(machine.grants[0].straight(EDGE_OUTSIDE, u64::MAX).is_some());
    for sgi in 0..6 {
        let kicks = machine.vgic.raise(IntId::new(sgi), VcpuId::new(0));
        machine.kick(kicks);
    }
    for number in 0..64 {
        assert_eq!(
            machine.grants[0].straight(IntId::new(number), u64::MAX),
            None
        );
    }
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
fn bao_371_disabling_an_active_linked_interrupt_does_not_orphan_it() {
    for (version, intid) in BOTH
        .into_iter()
        .flat_map(|version| [(version, LEVEL), (version, EDGE)])
    {
        let mut machine = Machine::started(version, 2);
        machine
            .physical
            .set(intid, 0, |physical| physical.latched = true);
        machine.run_physical();
        assert_eq!(machine.acknowledge(0), Some(intid));

        put(&mut machine, 0, DISABLE, intid);
        assert_eq!(machine.interface(0).state(intid), LrState::Active);
        machine.end(0);
        assert!(!machine.physical.get(intid, 0).active);

        put(&mut machine, 0, ENABLE, intid);
        machine
            .physical
            .set(intid, 0, |physical| physical.latched = true);
        machine.run_physical();
        assert_eq!(machine.handle_all(0), [intid]);
    }
}

#[test]
fn libvmm_56_edge_pending_when_disabled_is_delivered_when_enabled() {
    let mut machine = Machine::started(Version::V3, 1);
    machine.pulse(EDGE);
    put(&mut machine, 0, DISABLE, EDGE);
    assert_eq!(machine.acknowledge(0), None);
    assert!(is_set(&mut machine, 0, PEND, EDGE));

    put(&mut machine, 0, ENABLE, EDGE);
    assert_eq!(machine.handle_all(0), [EDGE]);
    assert!(!machine.physical.get(EDGE, 0).active);
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
fn hvisor_282_gicv2_sgi_is_delivered_once_for_each_source_cpu() {
    let mut machine = Machine::started(Version::V2, 4);
    for source in [1, 3] {
        machine.set(source, 0xf00, 1 << 16 | 5);
    }
    let mut sources = Vec::new();
    while let Some(taken) = machine.interface(0).acknowledge() {
        assert_eq!(taken.virtual_id, IntId::new(5));
        sources.push(taken.source);
        machine.end(0);
    }
    assert_eq!(sources, [1, 3]);
}

#[test]
fn bao_374_write_to_another_redistributor_changes_that_one_only() {
    let mut machine = Machine::started(Version::V3, 3);
    let other = Frame::Redistributor(VcpuId::new(2));
    machine.write(0, other, 0x1_0180, Width::Word, 1 << 3);
    for cpu in 0..3 {
        let frame = Frame::Redistributor(VcpuId::new(cpu));
        let enabled = machine.read(1, frame, 0x1_0100, Width::Word).unwrap();
        assert_eq!(enabled >> 3 & 1 != 0, cpu != 2, "{cpu}");
    }
}

#[test]
fn bao_394_split_route_writes_keep_the_other_half() {
    let vcpu = |mpidr| Vcpu {
        pcpu: PcpuId::new(0),
        mpidr: Mpidr::new(mpidr),
        time: model::time::TimeShare::Always,
    };
    let mut machine = Machine::with_vcpus(Version::V3, vec![vcpu(0), vcpu(0x05_0001_0203)]);
    let route = 0x6000 + 8 * HIDDEN.get();

    machine.set(0, route, 0x0001_0203);
    assert_eq!(
        machine.read(0, Frame::Distributor, route, Width::Double),
        Some(0x0001_0203)
    );
    machine.set(0, route + 4, 0x05);
    assert_eq!(
        machine.read(0, Frame::Distributor, route, Width::Double),
        Some(0x05_0001_0203)
    );
    assert_eq!(
        (machine.get(0, route), machine.get(0, route + 4)),
        (0x0001_0203, 0x05)
    );

    machine.set(0, 0, 3);
    put(&mut machine, 0, ENABLE, HIDDEN);
    put(&mut machine, 0, PEND, HIDDEN);
    assert_eq!(machine.acknowledge(1), Some(HIDDEN));
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
fn more_pending_than_registers_all_arrive_by_priority() {
    let mut machine = Machine::started(Version::V3, 1);
    let order = [75, 70, 79, 71, 78, 72, 77, 73];
    machine.set(0, 0, 0);
    for (rank, intid) in order.into_iter().enumerate() {
        machine.write(
            0,
            Frame::Distributor,
            0x400 + intid,
            Width::Byte,
            rank as u64 * 8,
        );
        put(&mut machine, 0, PEND, IntId::new(intid));
    }
    machine.set(0, 0, 3);
    assert_eq!(machine.interface(0).held().len(), 4);
    assert!(machine.interface(0).announced.get().refill);
    assert_eq!(machine.handle_all(0), order.map(IntId::new));
    assert!(!machine.interface(0).announced.get().refill);
}

#[test]
fn more_urgent_arrival_displaces_a_pending_interrupt_from_full_registers() {
    let mut machine = Machine::started(Version::V3, 1);
    for intid in 70..74 {
        put(&mut machine, 0, PEND, IntId::new(intid));
    }
    machine.write(0, Frame::Distributor, 0x400 + EDGE.get(), Width::Byte, 0x20);
    machine.pulse(EDGE);
    assert_eq!(machine.handle_all(0), [34, 70, 71, 72, 73].map(IntId::new));
}

#[test]
fn six_nested_interrupts_with_four_registers_all_end() {
    let mut machine = Machine::started(Version::V3, 1);
    let nested: Vec<_> = (0..6).map(|level| IntId::new(70 + level)).collect();
    for (level, intid) in nested.iter().enumerate() {
        machine.write(
            0,
            Frame::Distributor,
            0x400 + intid.get(),
            Width::Byte,
            0xa0 - 8 * level as u64,
        );
        put(&mut machine, 0, PEND, *intid);
        assert_eq!(machine.acknowledge(0), Some(*intid), "level {level}");
    }
    for _ in &nested {
        machine.end(0);
    }
    assert!(
        nested
            .iter()
            .all(|intid| !is_set(&mut machine, 0, ACTIVATE, *intid))
    );
    assert!(machine.interface(0).held().is_empty());
}

/// A machine whose CPU 0 has acknowledged `count` nested interrupts, 70 first and most urgent last. Enough for any number of list registers.
fn nested(version: Version, count: u32, split: bool) -> (Machine, Vec<IntId>) {
    let mut machine = Machine::started(version, 2);
    machine.interface(0).split.set(split);
    let nested = nest(&mut machine, count);
    (machine, nested)
}

/// CPU 0 acknowledges `count` nested interrupts.
fn nest(machine: &mut Machine, count: u32) -> Vec<IntId> {
    let nested: Vec<_> = (70..70 + count).map(IntId::new).collect();
    for (level, intid) in nested.iter().enumerate() {
        let priority = 0xa0 - 8 * level as u64;
        let place = 0x400 + intid.get();
        machine.write(0, Frame::Distributor, place, Width::Byte, priority);
        put(machine, 0, PEND, *intid);
        assert_eq!(machine.acknowledge(0), Some(*intid), "level {level}");
    }
    nested
}

fn active(machine: &mut Machine, all: &[IntId]) -> Vec<IntId> {
    let mut active = all.to_vec();
    active.retain(|intid| is_set(machine, 0, ACTIVATE, *intid));
    active
}

#[test]
fn ends_of_interrupts_in_no_list_register_end_them_from_the_last_acknowledged() {
    for version in BOTH {
        let (mut machine, nested) = nested(version, 10, false);
        for left in (0..10).rev() {
            machine.end(0);
            assert_eq!(active(&mut machine, &nested), nested[..left]);
        }
        let announced = Announce {
            deactivations: version == Version::V3,
            ..Announce::NOTHING
        };
        assert_eq!(machine.interface(0).announced.get(), announced);
    }
}

#[test]
fn ends_that_nobody_looks_between_are_each_announced_once() {
    for version in BOTH {
        let mut machine = Machine::started(version, 1);
        // Edges: their ends are announced only where they find no list register. Of twelve with four registers the fifth and the ninth does not,
        // and after the fifth there are still some without.
        for word in [0xc10, 0xc14] {
            machine.set(0, word, 0xaaaa_aaaa);
        }
        let nested = nest(&mut machine, 12);
        (0..12).for_each(|_| machine.end(0));
        assert_eq!(active(&mut machine, &nested), []);
    }
}

#[test]
fn interrupt_that_another_cpu_made_active_by_a_register_is_ended_by_nobodys_end() {
    let mut machine = Machine::started(Version::V3, 2);
    for word in [0xc10, 0xc14] {
        machine.set(0, word, 0xaaaa_aaaa);
    }
    // More urgent than the first of the nest, and pending in a list register when it is made active.
    let other = IntId::new(90);
    machine.write(0, Frame::Distributor, 0x400 + 90, Width::Byte, 0x98);
    put(&mut machine, 0, PEND, other);
    put(&mut machine, 1, ACTIVATE, other);
    nest(&mut machine, 10);
    (0..10).for_each(|_| machine.end(0));
    assert_eq!(active(&mut machine, &[other]), [other]);
}

#[test]
fn registers_hold_what_was_acknowledged_last_whatever_its_priority_has_become() {
    let (mut machine, nested) = nested(Version::V3, 10, false);
    for intid in &nested {
        let reversed = 8 * (intid.get() - 69);
        machine.write(
            0,
            Frame::Distributor,
            0x400 + intid.get(),
            Width::Byte,
            reversed.into(),
        );
    }
    active(&mut machine, &nested);
    let held = machine.interface(0).held();
    let mut held: Vec<_> = held.iter().map(|held| held.virtual_id).collect();
    held.sort();
    assert_eq!(held, nested[6..], "their ends cost no exit");
}

#[test]
fn active_interrupt_whose_priority_was_lowered_still_ends_in_its_turn() {
    let (mut machine, nested) = nested(Version::V3, 6, false);
    // The last one would now come last.
    machine.write(0, Frame::Distributor, 0x400 + 75, Width::Byte, 0xf8);
    active(&mut machine, &nested);
    machine.end(0);
    assert_eq!(active(&mut machine, &nested), nested[..5]);
}

#[test]
fn deactivations_in_any_order_reach_interrupts_in_no_list_register() {
    for version in BOTH {
        let (mut machine, nested) = nested(version, 10, true);
        (0..10).for_each(|_| machine.end(0));
        assert_eq!(
            active(&mut machine, &nested),
            nested,
            "ends drop priorities only"
        );
        let mut left = nested.clone();
        for at in [3, 0, 7, 4, 0, 0, 3, 1, 0, 0] {
            machine.deactivate(0, left.remove(at));
            assert_eq!(active(&mut machine, &nested), left);
        }
    }
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

#[test]
fn pending_interrupt_behind_many_active_ones_is_not_starved() {
    // All list registers could hold active ones whose priority is dropped.
    let (mut machine, nested) = nested(Version::V3, 10, true);
    (0..10).for_each(|_| machine.end(0));
    for intid in [60, 61, 62].map(IntId::new) {
        put(&mut machine, 0, PEND, intid);
    }
    let next: Vec<_> = (0..3)
        .map(|_| {
            let intid = machine.acknowledge(0);
            machine.end(0);
            intid
        })
        .collect();
    assert_eq!(next, [60, 61, 62].map(|number| Some(IntId::new(number))));
    assert_eq!(active(&mut machine, &nested), nested);
}

#[test]
fn nothing_is_announced_or_trapped_while_all_that_is_active_has_a_list_register() {
    for split in [false, true] {
        let mut machine = Machine::started(Version::V3, 1);
        machine.interface(0).split.set(split);
        for intid in [70, 71, 72, 73] {
            put(&mut machine, 0, PEND, IntId::new(intid));
        }
        machine.acknowledge(0);
        assert_eq!(machine.interface(0).announced.get(), Announce::NOTHING);
    }
}

#[test]
fn cpu_that_was_off_finds_what_it_had_active_and_its_next_ends_are_for_what_it_acknowledges_then() {
    let mut machine = Machine::started(Version::V3, 2);
    let frame = Frame::Redistributor(VcpuId::new(1));
    machine.write(1, frame, 0x1_0000 + ACTIVATE, Width::Word, 0x3f << 20);
    machine.turn_off(1);
    machine.turn_on(1);
    machine.write(1, frame, 0x1_0000 + PEND, Width::Word, 1);
    assert_eq!(machine.handle_all(1), [IntId::new(0)]);
    let active = machine.read(1, frame, 0x1_0000 + ACTIVATE, Width::Word);
    assert_eq!(active, Some(0x3f << 20));
}

#[test]
fn what_a_cpu_had_acknowledged_before_it_was_off_is_ended_by_no_end_after_it() {
    for version in BOTH {
        let (mut machine, nested) = nested(version, 10, false);
        machine.turn_off(0);
        machine.turn_on(0);
        put(&mut machine, 0, PEND, IntId::new(60));
        assert_eq!(machine.handle_all(0), [IntId::new(60)]);
        assert_eq!(active(&mut machine, &nested), nested);
    }
}

#[test]
fn more_pending_than_registers_all_arrive_after_the_cpu_was_off() {
    let mut machine = Machine::started(Version::V3, 2);
    // Edges: nothing announces their end.
    let pending: Vec<_> = (0..7).map(IntId::new).collect();
    let frame = Frame::Redistributor(VcpuId::new(1));
    machine.write(0, frame, 0x1_0000 + PEND, Width::Word, 0x7f);
    machine.turn_off(1);
    machine.turn_on(1);
    let mut handled = machine.handle_all(1);
    handled.sort();
    assert_eq!(handled, pending);
}

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

#[test]
fn reset_leaves_nothing_pending_active_or_enabled() {
    for version in BOTH {
        let mut machine = Machine::started(version, 2);
        machine.pulse(EDGE);
        machine.line(LEVEL, true);
        machine.acknowledge(0);

        machine.physical.acting.set(0);
        machine.vgic.reset(&machine.physical);
        for cpu in 0..2 {
            machine.physical.acting.set(cpu);
            machine
                .vgic
                .reset_timers(VcpuId::new(cpu), &machine.physical);
            machine.interfaces[usize::from(cpu)] = VirtualInterface::new(4);
        }

        for intid in [LEVEL, EDGE] {
            let physical = machine.physical.get(intid, 0);
            assert!(
                !physical.active && !physical.enabled && !physical.latched,
                "{intid:?}"
            );
        }
        // The device still asserts its line, which reads as pending.
        assert_eq!(bit(PEND, LEVEL), (PEND + 4, machine.get(0, PEND + 4)));
        machine
            .physical
            .set(LEVEL, 0, |physical| physical.line = false);
        for array in [ENABLE, PEND, ACTIVATE] {
            assert_eq!(
                (machine.get(0, array + 4), machine.get(0, array + 8)),
                (0, 0)
            );
        }
        let waiting = machine.vgic.vcpus.iter().map(|state| state.waiting.len());
        assert_eq!(waiting.sum::<u32>(), 0);
    }
}

#[test]
fn thousand_resets_end_as_the_first() {
    let mut machine = Machine::new(Version::V3, 1);
    for _ in 0..1000 {
        machine.set(0, 0, 3);
        put(&mut machine, 0, ENABLE, EDGE);
        machine.pulse(EDGE);
        assert_eq!(machine.acknowledge(0), Some(EDGE));
        machine.vgic.reset(&machine.physical);
        machine.interfaces[0] = VirtualInterface::new(4);
    }
    assert!(!machine.physical.get(EDGE, 0).active);
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
