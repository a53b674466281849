//! The driver against the model.

use model::iommu::{OwnedStreams, Streams};
use model::{Ipa, PartitionId, StreamId, Vmid};

use super::driver::{SmmuV3, pages};
use super::register_model::{Behaviour, Handle, MEMORY, Model, Outcome};
use crate::models::Tables;
use crate::{Access, Cause, Class, Domain, Failure, Fault, Iommu, IommuError, Source};

const fn streams(first: u32, count: u32) -> Streams {
    Streams::range(StreamId::new(first), count)
}

const fn owned(first: u32, count: u32) -> OwnedStreams {
    OwnedStreams {
        streams: streams(first, count),
        partition: PartitionId::new(0),
        device: "/device",
    }
}

/// The page that each partition sees at [`SEEN`]; the next one it may only read.
const HELD: [u64; 2] = [0x9000_0000, 0xa000_0000];
const SEEN: u64 = 0x4000_0000;

/// An SMMU with its memory, and what partitions map.
struct Machine {
    tables: Tables,
    hardware: Handle,
}

impl Machine {
    /// Memory full of garbage, and tables of two partitions behind the driver's pages.
    fn new(behaviour: Behaviour, owned: &[OwnedStreams]) -> Self {
        let tables = Tables::new(pages(owned));
        let machine = Self {
            hardware: Model::with_memory(behaviour, tables.words.clone()),
            tables,
        };
        for (partition, held) in HELD.into_iter().enumerate() {
            machine.map(partition, held);
        }
        machine
    }

    /// Writes a partition's tables: two pages at [`SEEN`], the second one only to be read.
    fn map(&self, partition: usize, held: u64) {
        let tables = self.tables.of(partition);
        // Two tables side by side: 40 bits.
        let entries = [
            (0, 1, (tables + 0x2000) | 3),
            (2, 0, (tables + 0x3000) | 3),
            (3, 0, held | 0x7ff),
            (3, 1, (held + 0x1000) | 0x77f),
        ];
        self.tables.write(partition, &entries);
    }

    fn domain(&self, partition: usize) -> Domain {
        self.tables.domain(partition, 40)
    }

    fn driver(&self, owned: &[OwnedStreams]) -> Result<SmmuV3<'_, Handle>, IommuError> {
        let mut memory = self.tables.own();
        SmmuV3::new(self.hardware.clone(), owned, &mut memory)
    }

    fn write(&self, stream: u32, address: u64) -> Outcome {
        self.hardware.0.borrow_mut().access(stream, address, true)
    }

    fn read(&self, stream: u32, address: u64) -> Outcome {
        self.hardware.0.borrow_mut().access(stream, address, false)
    }

    fn interrupts(&self) -> usize {
        self.hardware.0.borrow().interrupts
    }
}

const FEW: &[OwnedStreams] = &[owned(8, 4), owned(12, 1)];
const MANY: &[OwnedStreams] = &[
    owned(0x18, 1),
    owned(0x20, 0x1000),
    owned(0x1_0000, 0x1_0000),
];
const WIDE: Behaviour = Behaviour {
    idr1: 0x0273_0011,
    ..Behaviour::USUAL
};

#[test]
fn nothing_passes_before_a_stream_is_attached() {
    for (behaviour, owned) in [(Behaviour::USUAL, FEW), (WIDE, MANY)] {
        let machine = Machine::new(behaviour, owned);
        let _driver = machine.driver(owned).unwrap();
        for stream in [
            0,
            8,
            12,
            63,
            64,
            0x1000,
            0x1_0000,
            0x1_ffff,
            0x2_0000,
            u32::MAX,
        ] {
            assert_eq!(machine.write(stream, SEEN), Outcome::Aborted, "{stream:#x}");
        }
        assert!(!machine.hardware.0.borrow().bypassed);
    }
}

#[test]
fn smmu_that_firmware_left_open_is_closed_before_its_registers_change() {
    let machine = Machine::new(Behaviour::USUAL, FEW);
    {
        let mut hardware = machine.hardware.0.borrow_mut();
        for (register, value) in [
            (0x20, 0b1101),
            (0x24, 0b1101),
            (0x60, 0b101),
            (0x9c, 7),
            (0x98, 7),
        ] {
            hardware.set_register(register, value);
        }
    }
    let mut driver = machine.driver(FEW).unwrap();
    assert_eq!(machine.write(8, SEEN), Outcome::Aborted);
    assert_eq!(driver.next_failure(), None);
}

#[test]
fn attached_streams_reach_what_their_partition_maps_and_nothing_else() {
    for (behaviour, owned, first, count) in [
        (Behaviour::USUAL, FEW, 8, 4),
        (WIDE, MANY, 0x20, 0x1000),
        (WIDE, MANY, 0x1_0000, 0x1_0000),
    ] {
        let machine = Machine::new(behaviour, owned);
        let mut driver = machine.driver(owned).unwrap();
        driver
            .attach(streams(first, count), &machine.domain(1))
            .unwrap();
        for stream in [first, first + count / 2, first + count - 1] {
            let held = HELD[1];
            assert_eq!(
                machine.write(stream, SEEN + 4),
                Outcome::Reached(held + 4),
                "{stream:#x}"
            );
            assert_eq!(
                machine.read(stream, SEEN + 0x1008),
                Outcome::Reached(held + 0x1008)
            );
            for address in [
                SEEN + 0x1000,
                SEEN + 0x2000,
                0,
                HELD[0],
                HELD[1],
                MEMORY,
                1 << 40,
                u64::MAX,
            ] {
                assert_eq!(
                    machine.write(stream, address),
                    Outcome::Aborted,
                    "{address:#x}"
                );
            }
        }
        for stream in [first - 1, first + count] {
            assert_eq!(machine.write(stream, SEEN), Outcome::Aborted, "{stream:#x}");
        }
    }
}

#[test]
fn denied_stream_that_the_smmu_remembers_is_let_through_once_it_is_attached() {
    let machine = Machine::new(Behaviour::USUAL, FEW);
    let mut driver = machine.driver(FEW).unwrap();
    assert_eq!(machine.write(8, SEEN), Outcome::Aborted);
    driver.attach(streams(8, 4), &machine.domain(0)).unwrap();
    assert_eq!(machine.write(8, SEEN), Outcome::Reached(HELD[0]));
}

#[test]
fn detached_stream_reaches_nothing_although_the_smmu_knew_the_way() {
    let machine = Machine::new(Behaviour::USUAL, FEW);
    let mut driver = machine.driver(FEW).unwrap();
    driver.attach(streams(8, 4), &machine.domain(0)).unwrap();
    assert_eq!(machine.write(9, SEEN), Outcome::Reached(HELD[0]));
    driver.detach(streams(8, 4)).unwrap();
    assert_eq!(machine.write(9, SEEN), Outcome::Aborted);
    assert_eq!(
        driver.detach(streams(8, 4)),
        Err(IommuError::NotAttached(StreamId::new(8)))
    );
}

#[test]
fn new_root_under_the_same_vmid_counts_at_once() {
    let machine = Machine::new(Behaviour::USUAL, FEW);
    let mut driver = machine.driver(FEW).unwrap();
    driver.attach(streams(8, 4), &machine.domain(0)).unwrap();
    assert_eq!(machine.write(8, SEEN), Outcome::Reached(HELD[0]));
    driver.detach(streams(8, 4)).unwrap();
    let moved = Domain {
        root: machine.domain(1).root,
        ..machine.domain(0)
    };
    driver.attach(streams(8, 4), &moved).unwrap();
    assert_eq!(machine.write(8, SEEN), Outcome::Reached(HELD[1]));
}

#[test]
fn changed_table_counts_after_an_invalidation_of_its_vmid() {
    let machine = Machine::new(Behaviour::USUAL, FEW);
    let mut driver = machine.driver(FEW).unwrap();
    driver.attach(streams(8, 4), &machine.domain(0)).unwrap();
    assert_eq!(machine.write(8, SEEN), Outcome::Reached(HELD[0]));
    machine.map(0, 0xb000_0000);
    driver.invalidate(Vmid::new(2)).unwrap();
    assert_eq!(machine.write(8, SEEN), Outcome::Reached(HELD[0]));
    driver.invalidate(Vmid::new(1)).unwrap();
    assert_eq!(machine.write(8, SEEN), Outcome::Reached(0xb000_0000));
}

#[test]
fn stream_with_an_owner_is_not_given_to_another() {
    let machine = Machine::new(Behaviour::USUAL, FEW);
    let mut driver = machine.driver(FEW).unwrap();
    driver.attach(streams(8, 4), &machine.domain(0)).unwrap();
    let refused = IommuError::Attached {
        stream: StreamId::new(8),
        owner: Vmid::new(1),
    };
    assert_eq!(
        driver.attach(streams(8, 4), &machine.domain(1)),
        Err(refused)
    );
    assert_eq!(machine.write(8, SEEN), Outcome::Reached(HELD[0]));
}

#[test]
fn stream_beyond_the_table_and_address_space_beyond_the_hardware_are_refused() {
    let machine = Machine::new(Behaviour::USUAL, FEW);
    let mut driver = machine.driver(FEW).unwrap();
    let beyond = driver.attach(streams(64, 1), &machine.domain(0));
    assert_eq!(beyond, Err(IommuError::NoSuchStream(StreamId::new(64))));
    for ipa_bits in [31, 45, 64] {
        let wide = Domain {
            ipa_bits,
            ..machine.domain(0)
        };
        assert_eq!(
            driver.attach(streams(8, 1), &wide),
            Err(IommuError::IpaBits(ipa_bits))
        );
    }
}

#[test]
fn fault_is_told_with_stream_address_access_and_class() {
    let machine = Machine::new(Behaviour::USUAL, FEW);
    let mut driver = machine.driver(FEW).unwrap();
    driver.attach(streams(8, 4), &machine.domain(0)).unwrap();
    machine.write(9, HELD[1] + 0x123);
    machine.write(8, SEEN + 0x1000);
    machine.read(3, SEEN);
    let described = |stream, cause, address| Fault {
        source: Source::Stream(StreamId::new(stream)),
        cause,
        address: Some(Ipa::new(address)),
        access: Some(Access::Write),
        class: Some(Class::Input),
    };
    let first = described(9, Cause::Translation, HELD[1] + 0x123);
    assert_eq!(driver.next_fault(), Some(first));
    let second = described(8, Cause::Permission, SEEN + 0x1000);
    assert_eq!(driver.next_fault(), Some(second));
    let third = driver.next_fault().unwrap();
    assert_eq!(
        (third.source, third.cause),
        (Source::Stream(StreamId::new(3)), Cause::BadConfiguration)
    );
    assert_eq!(driver.next_fault(), None);
    assert_eq!(machine.interrupts(), 1);
}

#[test]
fn faults_go_round_the_queue_and_all_are_told() {
    let machine = Machine::new(Behaviour::USUAL, FEW);
    let mut driver = machine.driver(FEW).unwrap();
    for number in 0..1000 {
        machine.write(number % 64, SEEN);
        let fault = driver.next_fault().unwrap();
        assert_eq!(fault.source, Source::Stream(StreamId::new(number % 64)));
    }
    assert_eq!((driver.next_fault(), driver.next_failure()), (None, None));
}

#[test]
fn more_faults_than_the_queue_holds_are_told_as_lost_once() {
    let machine = Machine::new(Behaviour::USUAL, FEW);
    let mut driver = machine.driver(FEW).unwrap();
    for overflow in 0..3 {
        (0..200).for_each(|_| {
            machine.write(9, SEEN);
        });
        let told = std::iter::from_fn(|| driver.next_fault()).count();
        assert_eq!(told, 128, "overflow {overflow}");
        assert_eq!(driver.next_failure(), Some(Failure::FaultsLost));
        assert_eq!(driver.next_failure(), None);
    }
}

#[test]
fn muted_streams_fault_in_silence_and_reach_what_they_reached() {
    for (behaviour, owned, first, count) in
        [(Behaviour::USUAL, FEW, 8, 4), (WIDE, MANY, 0x20, 0x1000)]
    {
        let machine = Machine::new(behaviour, owned);
        let mut driver = machine.driver(owned).unwrap();
        driver
            .attach(streams(first, count), &machine.domain(0))
            .unwrap();
        machine.write(first, 0);
        assert!(driver.next_fault().is_some());
        driver.mute(streams(first, count)).unwrap();
        for stream in [first, first + count - 1] {
            assert_eq!(machine.write(stream, 0), Outcome::Aborted);
            assert_eq!(machine.write(stream, SEEN), Outcome::Reached(HELD[0]));
        }
        assert_eq!(driver.next_fault(), None);
    }
}

#[test]
fn stream_of_nobody_can_be_muted_and_attaching_makes_it_heard_again() {
    let machine = Machine::new(Behaviour::USUAL, FEW);
    let mut driver = machine.driver(FEW).unwrap();
    driver.mute(streams(8, 1)).unwrap();
    assert_eq!(machine.write(8, SEEN), Outcome::Aborted);
    assert_eq!(driver.next_fault(), None);
    driver.attach(streams(8, 1), &machine.domain(0)).unwrap();
    assert_eq!(machine.write(8, SEEN), Outcome::Reached(HELD[0]));
    machine.write(8, 0);
    assert!(driver.next_fault().is_some());
}

#[test]
fn faults_without_end_are_given_up_and_the_streams_stay_denied() {
    let storm = Behaviour {
        storm: Some(9),
        ..Behaviour::USUAL
    };
    let machine = Machine::new(storm, FEW);
    let mut driver = machine.driver(FEW).unwrap();
    machine.write(9, SEEN);
    assert_eq!(driver.discard_faults(), Some(Failure::FaultsIgnored));
    assert_eq!(machine.write(9, SEEN), Outcome::Aborted);
    driver.attach(streams(8, 1), &machine.domain(0)).unwrap();
    assert_eq!(machine.write(8, SEEN), Outcome::Reached(HELD[0]));
}

#[test]
fn faults_that_end_are_discarded_and_later_ones_told() {
    let machine = Machine::new(Behaviour::USUAL, FEW);
    let mut driver = machine.driver(FEW).unwrap();
    (0..20).for_each(|_| {
        machine.write(9, SEEN);
    });
    assert_eq!(driver.discard_faults(), Some(Failure::FaultsLost));
    assert_eq!(driver.discard_faults(), None);
    assert_eq!(driver.next_fault(), None);
    machine.write(12, SEEN);
    assert_eq!(
        driver.next_fault().unwrap().source,
        Source::Stream(StreamId::new(12))
    );
    assert_eq!(machine.interrupts(), 2);
}

#[test]
fn events_that_cannot_be_written_are_told_as_lost() {
    let aborting = Behaviour {
        events_abort: true,
        ..Behaviour::USUAL
    };
    let machine = Machine::new(aborting, FEW);
    let mut driver = machine.driver(FEW).unwrap();
    machine.write(9, SEEN);
    assert_eq!(driver.next_failure(), Some(Failure::FaultsLost));
    assert_eq!(driver.next_failure(), None);
}

#[test]
fn failed_smmu_is_told_before_lost_faults() {
    let machine = Machine::new(Behaviour::USUAL, FEW);
    let mut driver = machine.driver(FEW).unwrap();
    machine.hardware.0.borrow_mut().global_error(8);
    machine.hardware.0.borrow_mut().global_error(2);
    assert_eq!(driver.next_failure(), Some(Failure::OutOfService));
    assert_eq!(driver.next_failure(), Some(Failure::FaultsLost));
    assert_eq!(driver.next_failure(), None);
}

#[test]
fn refused_command_fails_what_it_was_for_and_the_queue_goes_on() {
    let machine = Machine::new(Behaviour::USUAL, FEW);
    let mut driver = machine.driver(FEW).unwrap();
    machine.hardware.0.borrow_mut().behaviour.refused = Some(0x28);
    let refused = IommuError::Refused {
        opcode: 0x28,
        reason: 1,
    };
    assert_eq!(
        driver.attach(streams(8, 1), &machine.domain(0)),
        Err(refused)
    );
    assert_eq!(machine.write(8, SEEN), Outcome::Aborted);
    machine.hardware.0.borrow_mut().behaviour.refused = None;
    driver.attach(streams(8, 1), &machine.domain(0)).unwrap();
    assert_eq!(driver.next_failure(), None);
}

#[test]
fn queue_of_two_commands_does_for_all_of_them() {
    let small = Behaviour {
        // CMDQS = 1, EVENTQS = 1.
        idr1: 1 << 21 | 1 << 16 | 16,
        ..Behaviour::USUAL
    };
    let machine = Machine::new(small, FEW);
    let mut driver = machine.driver(FEW).unwrap();
    for _ in 0..5 {
        driver.attach(streams(8, 4), &machine.domain(0)).unwrap();
        assert_eq!(machine.write(8, SEEN), Outcome::Reached(HELD[0]));
        driver.detach(streams(8, 4)).unwrap();
        assert_eq!(machine.write(8, SEEN), Outcome::Aborted);
        assert!(driver.next_fault().is_some());
    }
}

#[test]
fn smmu_that_takes_no_commands_is_an_error_and_no_hang() {
    let deaf = Behaviour {
        deaf: true,
        ..Behaviour::USUAL
    };
    let machine = Machine::new(deaf, FEW);
    assert_eq!(machine.driver(FEW).err(), Some(IommuError::Stuck(0x9c)));
    assert_eq!(machine.write(8, SEEN), Outcome::Aborted);
}

#[test]
fn smmu_without_what_the_driver_needs_denies_everything() {
    let one_level = Behaviour {
        idr0: Behaviour::USUAL.idr0 & !(3 << 27),
        ..WIDE
    };
    let narrow = Behaviour {
        idr1: 0x0273_0010,
        ..Behaviour::USUAL
    };
    for (behaviour, owned, error) in [
        (
            one_level,
            MANY,
            IommuError::Lacks("stream tables of two levels"),
        ),
        (
            narrow,
            MANY,
            IommuError::NoSuchStream(StreamId::new(0x1_ffff)),
        ),
    ] {
        let machine = Machine::new(behaviour, owned);
        assert_eq!(machine.driver(owned).err(), Some(error));
        assert_eq!(machine.write(0x20, SEEN), Outcome::Aborted);
    }
}

#[test]
fn translations_of_el2_are_forgotten_where_there_are_any() {
    let el2 = Behaviour {
        idr0: Behaviour::USUAL.idr0 | 1 << 9,
        ..Behaviour::USUAL
    };
    for (behaviour, commands) in [
        (Behaviour::USUAL, vec![0x04, 0x30, 0x46]),
        (el2, vec![0x04, 0x30, 0x20, 0x46]),
    ] {
        let machine = Machine::new(behaviour, FEW);
        machine.driver(FEW).unwrap();
        assert_eq!(machine.hardware.0.borrow().commands, commands);
    }
}

#[test]
fn claims_that_are_translated_already_are_checked_where_the_smmu_knows_them() {
    let ats = Behaviour {
        idr0: Behaviour::USUAL.idr0 | 1 << 10,
        ..Behaviour::USUAL
    };
    for (behaviour, control) in [(Behaviour::USUAL, 0b01101), (ats, 0b11101)] {
        let machine = Machine::new(behaviour, FEW);
        machine.driver(FEW).unwrap();
        assert_eq!(machine.hardware.0.borrow().register(0x24), control);
    }
}

#[test]
fn memory_that_is_too_small_is_an_error_and_everything_stays_denied() {
    let machine = Machine::new(WIDE, MANY);
    // The 4 pages of the first level are aligned without loss here: 3 pages more than needed.
    for missing in 4..=pages(MANY) {
        let mut memory = machine.tables.front(pages(MANY) - missing);
        let result = SmmuV3::new(machine.hardware.clone(), MANY, &mut memory);
        assert_eq!(result.err(), Some(IommuError::Memory), "{missing} missing");
        assert_eq!(machine.write(0x20, SEEN), Outcome::Aborted);
    }
}

#[test]
fn pages_grow_with_devices_and_not_with_their_streams() {
    assert_eq!(pages(&[]), 0);
    // One table, two queues.
    assert_eq!(pages(FEW), 3);
    // Two queues, nobody's table, 2 pages of first level and 1 for their alignment, 1 table.
    assert_eq!(pages(&[owned(0xff00, 64)]), 7);
    // A PCI host bridge: 3 tables at most.
    assert_eq!(pages(&[owned(0, 0x1_0000)]), 9);
}

#[test]
fn smmu_without_page_1_tells_its_faults_by_page_0() {
    // A ThunderX2.
    let behaviour = Behaviour {
        one_page: true,
        ..Behaviour::USUAL
    };
    let machine = Machine::new(behaviour, FEW);
    let mut memory = machine.tables.own();
    let hardware = machine.hardware.clone();
    let mut driver = SmmuV3::with_page_1(hardware, FEW, &mut memory, 0).unwrap();
    driver.attach(streams(8, 4), &machine.domain(0)).unwrap();
    assert_eq!(machine.write(8, SEEN), Outcome::Reached(HELD[0]));
    assert_eq!(machine.write(8, 0), Outcome::Aborted);
    let source = driver.next_fault().map(|fault| fault.source);
    assert_eq!(source, Some(Source::Stream(StreamId::new(8))));
    assert_eq!(driver.next_fault(), None);
}

/// The figures of docs/costs.md. Each is an access to Device memory, by far the largest part of what an operation costs on a chip.
#[test]
fn operations_take_as_many_register_accesses_as_the_documentation_says() {
    let behaviour = Behaviour {
        delay: 0,
        ..Behaviour::USUAL
    };
    let machine = Machine::new(behaviour, FEW);
    let mut driver = machine.driver(FEW).unwrap();
    let mut count = |operation: &mut dyn FnMut(&mut SmmuV3<'_, Handle>)| {
        let before = machine.hardware.0.borrow().accesses;
        operation(&mut driver);
        machine.hardware.0.borrow().accesses - before
    };
    let (domain, device) = (machine.domain(0), streams(8, 4));
    let found = [
        count(&mut |driver| driver.attach(device, &domain).unwrap()),
        count(&mut |driver| driver.invalidate(domain.vmid).unwrap()),
        count(&mut |driver| {
            machine.write(8, 0);
            assert!(driver.next_fault().is_some());
        }),
        count(&mut |driver| assert_eq!(driver.next_fault(), None)),
        count(&mut |driver| driver.mute(device).unwrap()),
        count(&mut |driver| driver.detach(device).unwrap()),
    ];
    assert_eq!(found, [7, 5, 2, 1, 5, 7]);
}
