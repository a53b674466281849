//! More interrupts pending or active than there are list registers.

use super::*;

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
