//! What the commands do, which ones are refused, and what LPIs do in list registers.

use super::*;

#[test]
fn message_arrives_as_the_guests_lpi_at_its_priority_without_a_hardware_link() {
    let mut bench = Bench::ready(2);
    bench.map(3, 7, 1);
    bench.set_properties(7, 0x41);
    bench.command(Command::Inv {
        device: DEVICE,
        event: 3,
    });

    assert_eq!(bench.signal(DEVICE, 3), Some(1));

    let expected = ListRegister {
        virtual_id: IntId::new(8192 + 7),
        priority: 0x40,
        group1: true,
        state: LrState::Pending,
        ..ListRegister::EMPTY
    };
    assert_eq!(bench.held(1), [expected]);
    assert_eq!(bench.refused(), 0);
}

#[test]
fn second_message_comes_by_a_grant_for_the_physical_lpi() {
    let mut bench = Bench::ready(1);
    bench.map(0, 0, 0);
    bench.signal(DEVICE, 0);
    bench.machine.interfaces[0].acknowledge();
    bench.machine.interfaces[0].end();

    bench.signal(DEVICE, 0);

    assert_eq!(bench.machine.straight, 1);
    assert_eq!(bench.machine.interfaces[0].state(LPI), LrState::Pending);
}

#[test]
fn message_while_the_guest_handles_the_last_one_is_not_lost() {
    let mut bench = Bench::ready(1);
    bench.map(0, 0, 0);
    bench.signal(DEVICE, 0);
    bench.machine.interfaces[0].acknowledge();

    bench.signal(DEVICE, 0);

    assert_eq!(
        bench.machine.interfaces[0].state(LPI),
        LrState::PendingActive
    );
}

#[test]
fn more_lpis_than_list_registers_all_arrive() {
    let mut bench = Bench::ready(1);
    for lpi in 0..12 {
        bench.map(lpi, lpi, 0);
    }
    for event in 0..12 {
        bench.signal(DEVICE, event);
    }
    let mut seen = BTreeSet::new();
    for _ in 0..12 {
        let taken = bench.machine.interfaces[0].acknowledge().expect("pending");
        seen.insert(taken.virtual_id.get() - 8192);
        bench.machine.interfaces[0].end();
        let kicks = bench.machine.act(0, |vgic, caller| vgic.maintain(caller));
        bench.machine.kick(kicks);
    }
    assert_eq!(seen, (0..12).collect());
}

#[test]
fn lpi_taken_back_from_a_list_register_is_not_active() {
    let mut bench = Bench::ready(1);
    bench.map(0, 0, 0);
    bench.signal(DEVICE, 0);
    bench.machine.interfaces[0].acknowledge();

    let kicks = bench.machine.act(0, |vgic, caller| vgic.sync(caller));
    bench.machine.kick(kicks | VcpuSet::only(VcpuId::new(0)));

    assert_eq!(bench.held(0), []);
}

#[test]
fn disabled_lpi_is_disabled_in_hardware_and_what_waits_comes_when_it_is_enabled() {
    let mut bench = Bench::ready(1);
    bench.map(0, 0, 0);
    bench.command(Command::Int {
        device: DEVICE,
        event: 0,
    });
    bench.set_properties(0, 0x80);
    bench.command(Command::Inv {
        device: DEVICE,
        event: 0,
    });
    assert_eq!(bench.held(0), []);
    assert_eq!(bench.signal(DEVICE, 0), None);

    bench.set_properties(0, 0x81);
    bench.command(Command::Invall { collection: 0 });

    assert_eq!(bench.machine.interfaces[0].state(LPI), LrState::Pending);
}

#[test]
fn lpi_of_a_redistributor_without_lpis_waits_until_they_are_enabled() {
    let mut bench = Bench::ready(1);
    bench.map(0, 0, 0);
    bench.gicr(0, 0, Width::Word, 0);
    bench.signal(DEVICE, 0);
    assert_eq!(bench.held(0), []);

    bench.gicr(0, 0, Width::Word, 1);

    assert_eq!(bench.machine.interfaces[0].state(LPI), LrState::Pending);
}

#[test]
fn moved_event_arrives_at_the_other_cpu_and_takes_what_is_pending_along() {
    let mut bench = Bench::ready(2);
    bench.map(0, 0, 0);
    bench.signal(DEVICE, 0);

    bench.command(Command::Movi {
        device: DEVICE,
        event: 0,
        collection: 1,
    });

    assert_eq!(bench.held(0), []);
    assert_eq!(bench.machine.interfaces[1].state(LPI), LrState::Pending);
    assert_eq!(bench.signal(DEVICE, 0), Some(1));
}

#[test]
fn moved_collection_takes_its_lpis_along() {
    let mut bench = Bench::ready(2);
    bench.map(0, 0, 0);
    bench.signal(DEVICE, 0);

    bench.command(Command::Mapc {
        collection: 0,
        target: 1 << 16,
        valid: true,
    });

    assert_eq!(bench.machine.interfaces[1].state(LPI), LrState::Pending);
    assert_eq!(bench.signal(DEVICE, 0), Some(1));
}

#[test]
fn lpi_of_an_unmapped_collection_stays_pending_until_it_is_mapped() {
    let mut bench = Bench::ready(1);
    bench.map(0, 0, 5);
    bench.command(Command::Int {
        device: DEVICE,
        event: 0,
    });
    assert_eq!(bench.held(0), []);

    bench.command(Command::Mapc {
        collection: 5,
        target: 0,
        valid: true,
    });

    assert_eq!(bench.machine.interfaces[0].state(LPI), LrState::Pending);
}

#[test]
fn clear_and_discard_take_the_pending_state_away() {
    for command in [
        Command::Clear {
            device: DEVICE,
            event: 0,
        },
        Command::Discard {
            device: DEVICE,
            event: 0,
        },
        Command::Mapd {
            device: DEVICE,
            bits: 1,
            table: 0,
            valid: false,
        },
    ] {
        let mut bench = Bench::ready(1);
        bench.map(0, 0, 0);
        bench.signal(DEVICE, 0);
        bench.command(command);
        assert_eq!(bench.held(0), [], "{command:?}");
        assert_eq!(bench.refused(), 0);
    }
}

#[test]
fn discarded_lpi_can_be_given_to_another_event() {
    let mut bench = Bench::ready(1);
    bench.map(0, 0, 0);
    bench.command(Command::Discard {
        device: DEVICE,
        event: 0,
    });
    assert_eq!(bench.signal(DEVICE, 0), None);

    bench.map(1, 0, 0);

    assert_eq!(bench.signal(DEVICE, 1), Some(0));
    assert_eq!(bench.refused(), 0);
}

#[test]
fn lpi_that_arrives_after_it_was_discarded_is_dropped() {
    let mut bench = Bench::ready(1);
    bench.map(0, 0, 0);
    bench.command(Command::Discard {
        device: DEVICE,
        event: 0,
    });

    bench.arrive(IntId::new(FIRST_PHYSICAL), 0);
    bench.map(0, 0, 0);

    assert_eq!(bench.held(0), []);
}

#[test]
fn commands_about_what_the_partition_does_not_have_are_refused_without_effect() {
    let (device, table, valid) = (DEVICE, 0, true);
    let cases = [
        Command::Mapd {
            device: FOREIGN,
            bits: 1,
            table,
            valid,
        },
        Command::Mapd {
            device: 0,
            bits: 1,
            table,
            valid,
        },
        // Again, and with more events than there are.
        Command::Mapd {
            device,
            bits: 1,
            table,
            valid,
        },
        Command::Mapd {
            device: DEVICE + 1,
            bits: 7,
            table,
            valid,
        },
        Command::Mapd {
            device: DEVICE + 1,
            bits: 1,
            table,
            valid: false,
        },
        Command::Mapc {
            collection: 16,
            target: 0,
            valid,
        },
        Command::Mapc {
            collection: 0,
            target: 2 << 16,
            valid,
        },
        Command::Mapti {
            device: DEVICE + 1,
            event: 1,
            intid: 8193,
            collection: 0,
        },
        Command::Mapti {
            device,
            event: 64,
            intid: 8193,
            collection: 0,
        },
        Command::Mapti {
            device,
            event: 1,
            intid: 8191,
            collection: 0,
        },
        Command::Mapti {
            device,
            event: 1,
            intid: 8192 + 256,
            collection: 0,
        },
        Command::Mapti {
            device,
            event: 1,
            intid: 8193,
            collection: 16,
        },
        // The event has an LPI, the LPI an event.
        Command::Mapti {
            device,
            event: 0,
            intid: 8193,
            collection: 0,
        },
        Command::Mapti {
            device,
            event: 1,
            intid: 8192,
            collection: 0,
        },
        Command::Movi {
            device,
            event: 1,
            collection: 0,
        },
        Command::Movi {
            device,
            event: 0,
            collection: 16,
        },
        Command::Int { device, event: 1 },
        Command::Clear { device, event: 1 },
        Command::Inv { device, event: 1 },
        Command::Invall { collection: 16 },
        Command::Movall {
            from: 0,
            to: 9 << 16,
        },
        Command::Discard { device, event: 1 },
    ];
    for command in cases {
        let mut bench = Bench::ready(2);
        bench.map(0, 0, 0);
        let before = bench.machine.physical.messages.changes.get();
        bench.command(command);
        let refused = bench.machine.vgic.refused_commands();
        let kinds = (refused[command.kind()], refused.iter().sum::<u32>());
        assert_eq!(kinds, (1, 1), "{command:?}");
        assert_eq!(bench.machine.physical.messages.changes.get(), before);
        assert_eq!(bench.signal(DEVICE, 0), Some(0), "{command:?}");
    }
}

#[test]
fn more_devices_than_tables_are_refused() {
    let mut bench = Bench::ready(1);
    for device in 0..TABLES as u32 {
        bench.map_device(0x20 + device);
    }
    assert_eq!(bench.refused(), 1);
    assert_eq!(
        bench.machine.physical.messages.tables.borrow().len(),
        TABLES
    );
}

#[test]
fn event_that_the_physical_its_does_not_take_is_refused() {
    let mut bench = Bench::ready(1);
    bench.machine.physical.messages.broken.set(true);
    bench.map(0, 0, 0);
    assert_eq!(bench.refused(), 1);
}

#[test]
fn long_queue_is_executed_sixteen_commands_at_a_time() {
    let mut bench = Bench::ready(1);
    bench.machine.physical.calm.set(true);
    let sync = Command::Sync { target: 0 }.encode();
    let from = bench.read(0x90);
    let place = bench.queue(&[sync; 40]);

    bench.write(0x88, place);

    assert_eq!(bench.read(0x90), from + 16 * 32);
    bench.run();
    assert!(bench.machine.vgic.has_commands());
    bench.run();
    assert_eq!(bench.read(0x90), place);
    assert!(!bench.machine.vgic.has_commands());
}

#[test]
fn command_over_many_lpis_is_executed_a_few_at_a_time() {
    let mut bench = Bench::ready(1);
    bench.machine.physical.calm.set(true);
    for lpi in 0..60 {
        bench.map(lpi, lpi, 0);
        bench.set_properties(lpi, 0x80);
    }
    let from = bench.read(0x90);
    let changes = &bench.machine.physical.messages.changes;
    let before = changes.get();
    let place = bench.queue(&[Command::Invall { collection: 0 }.encode()]);

    bench.write(0x88, place);

    let changes = || bench.machine.physical.messages.changes.get() - before;
    assert_eq!((changes(), bench.read(0x90)), (16, from));
    while bench.machine.vgic.has_commands() {
        bench.run();
    }
    assert_eq!(bench.machine.physical.messages.changes.get() - before, 60);
    assert_eq!(bench.read(0x90), place);
}

/// A guest whose `INVALL` of 40 LPIs has been begun and not ended. `calm`: nobody else waits for its physical CPU.
fn begun(calm: bool) -> Bench {
    let mut bench = Bench::ready(1);
    bench.machine.physical.calm.set(calm);
    for lpi in 0..40 {
        bench.map(lpi, lpi, 0);
        bench.set_properties(lpi, 0x80);
    }
    let place = bench.queue(&[Command::Invall { collection: 0 }.encode()]);
    bench.write(0x88, place);
    assert!(bench.machine.vgic.has_commands(), "begun");
    bench
}

#[test]
fn command_that_was_begun_ends_as_it_was_when_the_guest_rewrites_the_queue() {
    let mut bench = begun(false);

    let queue = bench.read(0x90);
    let unmap = Command::Mapd {
        device: DEVICE,
        bits: 6,
        table: 0,
        valid: false,
    };
    bench.overwrite(queue, unmap.encode());
    while bench.machine.vgic.has_commands() {
        bench.run();
    }

    let physical = &bench.machine.physical.messages;
    assert!(physical.tables.borrow().contains_key(&DEVICE));
    assert_eq!(physical.events.borrow().len(), 40);
    assert!(physical.enabled.borrow().is_empty(), "INVALL has ended");
}

#[test]
fn command_that_was_begun_is_forgotten_with_its_queue() {
    let mut bench = begun(true);

    bench.write(0, 0);
    bench.write(0x80, 1 << 63 | QUEUE);
    bench.write(0, 1);
    bench.overwrite(0, Command::Sync { target: 0 }.encode());
    bench.write(0x88, 32);

    assert!(!bench.machine.vgic.has_commands());
    assert_eq!(bench.read(0x90), 32);
    let physical = &bench.machine.physical.messages;
    assert_eq!(physical.enabled.borrow().len(), 40 - 16);
}

#[test]
fn queue_goes_on_at_its_beginning_after_its_end() {
    let mut bench = Bench::ready(1);
    let sync = Command::Sync { target: 0 };
    for _ in 0..200 {
        bench.command(sync);
    }
    bench.map(0, 0, 0);
    assert_eq!(bench.read(0x90), bench.read(0x88));
    assert_eq!(bench.signal(DEVICE, 0), Some(0));
}

#[test]
fn queue_outside_of_memory_stalls_until_a_retry() {
    let mut bench = Bench::new(1);
    bench.write(0x80, 1 << 63 | 0x5000_0000);
    bench.write(0, 1);
    bench.write(0x88, 32);
    assert_eq!(bench.read(0x90), 1, "stalled");
    assert!(!bench.machine.vgic.has_commands());

    bench.write(0x88, 32 | 1);
    assert_eq!(bench.read(0x90), 1, "still not memory");
}

#[test]
fn configuration_table_outside_of_memory_disables() {
    let mut bench = Bench::new(1);
    bench.gicr(0, 0x70, Width::Double, 0x6000_0000 | 13);
    bench.set_up_without_tables();
    bench.map(0, 0, 0);
    assert_eq!(bench.signal(DEVICE, 0), None);
    assert_eq!(bench.refused(), 0);
}

#[test]
fn lpi_beyond_the_configuration_table_is_disabled() {
    let mut bench = Bench::new(1);
    bench.gicr(0, 0x70, Width::Double, PROPERTIES | 12);
    bench.set_up_without_tables();
    bench.map(0, 0, 0);
    assert_eq!(bench.signal(DEVICE, 0), None);
}

/// hvisor issue 261: guests restarted in a loop, since the new one met the ITS as the old one had left it.
#[test]
fn restart_leaves_no_read_pointer_no_lpi_and_no_physical_translation() {
    let mut bench = Bench::ready(2);
    bench.map(0, 0, 1);
    bench.map(1, 1, 0);
    bench.signal(DEVICE, 1);
    bench.machine.interfaces[0].acknowledge();
    bench.signal(DEVICE, 0);
    let left = bench.queue(&[Command::Sync { target: 0 }.encode(); 30]);
    bench.write(0x88, left);

    for interface in &bench.machine.interfaces {
        interface.reset();
    }
    bench.machine.vgic.reset(&bench.machine.physical);
    let all = VcpuSet::only(VcpuId::new(0)) | VcpuSet::only(VcpuId::new(1));
    bench.machine.kick(all);

    for offset in [0x80, 0x88, 0x90] {
        assert_eq!(bench.read(offset), 0, "{offset:#x}");
    }
    assert!(!bench.machine.vgic.has_commands());
    assert_eq!((bench.held(0), bench.held(1)), (vec![], vec![]));
    let physical = &bench.machine.physical.messages;
    assert!(physical.tables.borrow().is_empty());
    assert!(physical.events.borrow().is_empty());
    assert!(physical.enabled.borrow().is_empty());
    assert!(physical.collections.borrow().values().all(|cpu| *cpu == 0));

    // And the new guest finds all of it working.
    bench.machine.set(0, 0, 3);
    bench.set_up();
    bench.map(0, 0, 1);
    assert_eq!(bench.signal(DEVICE, 0), Some(1));
    assert_eq!(bench.held(1).len(), 1);
}
