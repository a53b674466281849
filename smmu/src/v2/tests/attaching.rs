//! Who reaches what while streams are attached and detached.

use super::*;

#[test]
fn attached_stream_reaches_its_partitions_memory_and_nothing_else() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.driver();
    driver.attach(FIRST, &machine.domain(0)).unwrap();
    assert_eq!(
        machine.write(0x870, SEEN + 8),
        Outcome::Reached(HELD[0] + 8)
    );
    assert_eq!(
        machine.read(0x870, READ_ONLY),
        Outcome::Reached(HELD[0] + 0x1000)
    );
    for (stream, address) in [
        (0x870, READ_ONLY),
        (0x870, UNFLAGGED),
        (0x870, NO_TABLE),
        (0x870, HELD[1]),
        (0x870, 1 << 41),
        (0x871, SEEN),
        (0x874, SEEN),
    ] {
        let outcome = machine.write(stream, address);
        assert_eq!(outcome, Outcome::Aborted, "{stream:#x} at {address:#x}");
    }
    assert!(!machine.bypassed());
}

#[test]
fn each_partitions_streams_have_its_own_tables() {
    let machine = Machine::new(Behaviour::USUAL);
    let _driver = machine.attached();
    for (stream, held) in [(0x870, 0), (0x874, 1), (0x877, 1), (0x880, 1), (0x882, 1)] {
        let reached = Outcome::Reached(HELD[held]);
        assert_eq!(machine.write(stream, SEEN), reached, "{stream:#x}");
    }
    for stream in [0x871, 0x873, 0x878, 0x883] {
        assert_eq!(machine.write(stream, SEEN), Outcome::Aborted, "{stream:#x}");
    }
}

#[test]
fn detached_stream_reaches_nothing_while_others_of_its_partition_go_on() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.attached();
    assert_eq!(machine.write(0x874, SEEN), Outcome::Reached(HELD[1]));
    driver.detach(SECOND).unwrap();
    assert_eq!(machine.write(0x874, SEEN), Outcome::Aborted);
    assert_eq!(machine.write(0x880, SEEN), Outcome::Reached(HELD[1]));
    assert_eq!(machine.write(0x870, SEEN), Outcome::Reached(HELD[0]));
    driver.attach(SECOND, &machine.domain(1)).unwrap();
    assert_eq!(machine.write(0x874, SEEN), Outcome::Reached(HELD[1]));
}

#[test]
fn stream_with_ignored_bits_is_every_number_that_they_make() {
    static MASKED: &[OwnedStreams] = &[
        OwnedStreams {
            streams: Streams {
                first: StreamId::new(0x42),
                count: 1,
                ignored: 0x7c00,
            },
            ..owned(0, 1, 0)
        },
        owned(0x43, 1, 1),
    ];
    static CONFIG: Config = config(MASKED, IommuKind::Mmu500);
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = SmmuV2::new(machine.hardware.clone(), &CONFIG).unwrap();
    driver
        .attach(MASKED[0].streams, &machine.domain(0))
        .unwrap();
    driver
        .attach(MASKED[1].streams, &machine.domain(1))
        .unwrap();
    for (stream, outcome) in [
        (0x42, Outcome::Reached(HELD[0])),
        (0x442, Outcome::Reached(HELD[0])),
        (0x7c42, Outcome::Reached(HELD[0])),
        (0x43, Outcome::Reached(HELD[1])),
        (0x443, Outcome::Aborted),
    ] {
        assert_eq!(machine.write(stream, SEEN), outcome, "{stream:#x}");
    }
}

#[test]
fn extended_streams_have_all_16_bits() {
    static WIDE_STREAMS: Config = config(
        &[owned(0x8018, 1, 0), owned(0xff00, 0x100, 1)],
        IommuKind::SmmuV2,
    );
    let machine = Machine::new(Behaviour {
        idr0: Behaviour::USUAL.idr0 | 1 << 8,
        ..Behaviour::USUAL
    });
    let mut driver = SmmuV2::new(machine.hardware.clone(), &WIDE_STREAMS).unwrap();
    for (place, partition) in [(0, 0), (1, 1)] {
        let streams = WIDE_STREAMS.owned[place].streams;
        driver.attach(streams, &machine.domain(partition)).unwrap();
    }
    for (stream, outcome) in [
        (0x8018, Outcome::Reached(HELD[0])),
        (0x18, Outcome::Aborted),
        (0xff00, Outcome::Reached(HELD[1])),
        (0xffff, Outcome::Reached(HELD[1])),
        (0x7fff, Outcome::Aborted),
    ] {
        assert_eq!(machine.write(stream, SEEN), outcome, "{stream:#x}");
    }
}

#[test]
fn smmu_that_indexes_uses_the_entry_of_the_streams_number() {
    static INDEXED: Config = config(&[owned(3, 1, 0), owned(8, 8, 1)], IommuKind::SmmuV2);
    let machine = Machine::new(Behaviour {
        idr0: 0xf400_4a00,
        ..Behaviour::USUAL
    });
    let mut driver = SmmuV2::new(machine.hardware.clone(), &INDEXED).unwrap();
    assert_eq!(machine.write(3, SEEN), Outcome::Aborted);
    for (place, partition) in [(0, 0), (1, 1)] {
        let streams = INDEXED.owned[place].streams;
        driver.attach(streams, &machine.domain(partition)).unwrap();
    }
    for (stream, outcome) in [
        (3, Outcome::Reached(HELD[0])),
        (2, Outcome::Aborted),
        (8, Outcome::Reached(HELD[1])),
        (15, Outcome::Reached(HELD[1])),
        (16, Outcome::Aborted),
        (200, Outcome::Aborted),
    ] {
        assert_eq!(machine.write(stream, SEEN), outcome, "{stream}");
    }
    driver.detach(INDEXED.owned[1].streams).unwrap();
    assert_eq!(machine.write(8, SEEN), Outcome::Aborted);
    assert!(!machine.bypassed());
}

#[test]
fn pages_of_64_kib_and_addresses_from_level_0_on_work_the_same() {
    static LARGE: Config = Config {
        registers: PhysicalRange {
            base: Pa::new(0),
            size: 0x100_0000,
        },
        ..config(OWNED, IommuKind::SmmuV2)
    };
    let machine = Machine::new(Behaviour {
        idr1: 0xe000_0080,
        ..Behaviour::USUAL
    });
    let mut driver = SmmuV2::new(machine.hardware.clone(), &LARGE).unwrap();
    // A table of level 0 whose first entry leads to the partition's first level.
    let level_0 = machine.tables(0) + 0x1000;
    machine.words[PAGE_WORDS].store(machine.tables(0) | 3, Ordering::SeqCst);
    let domain = Domain {
        root: Pa::new(level_0),
        ipa_bits: 48,
        ..machine.domain(0)
    };
    driver.attach(FIRST, &domain).unwrap();
    assert_eq!(machine.write(0x870, SEEN), Outcome::Reached(HELD[0]));
    assert_eq!(machine.write(0x870, 1 << 47), Outcome::Aborted);
}

#[test]
fn mapping_that_was_lost_is_gone_when_invalidate_returns() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.attached();
    assert_eq!(machine.write(0x870, SEEN), Outcome::Reached(HELD[0]));
    machine.words[3 * PAGE_WORDS].store(0, Ordering::SeqCst);
    driver.invalidate(Vmid::new(1)).unwrap();
    assert_eq!(machine.write(0x870, SEEN), Outcome::Aborted);
}

#[test]
fn partition_that_starts_again_with_other_tables_uses_them() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.attached();
    assert_eq!(machine.write(0x870, SEEN), Outcome::Reached(HELD[0]));
    driver.detach(FIRST).unwrap();
    let moved = Domain {
        root: Pa::new(machine.tables(1)),
        ..machine.domain(0)
    };
    driver.attach(FIRST, &moved).unwrap();
    assert_eq!(machine.write(0x870, SEEN), Outcome::Reached(HELD[1]));
}

#[test]
fn smmus_that_share_a_tlb_keep_partitions_apart() {
    // Cavium erratum 27704: a VMID means the same everywhere, so that what one SMMU has looked up the other may use.
    static PLAIN: Config = config(OWNED, IommuKind::SmmuV2);
    let tlb = Tlb::default();
    let machines = [0, 1].map(|_| Machine::with_tlb(Behaviour::USUAL, tlb.clone()));
    let mut drivers = machines
        .each_ref()
        .map(|machine| SmmuV2::new(machine.hardware.clone(), &PLAIN).unwrap());
    for (machine, driver) in machines.iter().zip(&mut drivers) {
        driver.attach(FIRST, &machine.domain(0)).unwrap();
        driver.attach(SECOND, &machine.domain(1)).unwrap();
    }
    for machine in &machines {
        assert_eq!(machine.write(0x870, SEEN), Outcome::Reached(HELD[0]));
        assert_eq!(machine.write(0x874, SEEN), Outcome::Reached(HELD[1]));
    }
    drivers[0].detach(FIRST).unwrap();
    assert_eq!(machines[0].write(0x870, SEEN), Outcome::Aborted);
    assert_eq!(machines[1].write(0x870, SEEN), Outcome::Reached(HELD[0]));
}
