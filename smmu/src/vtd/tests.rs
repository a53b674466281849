//! The driver against the model.

use model::iommu::{OwnedStreams, Streams};
use model::{Ipa, PartitionId, StreamId, Vmid};

use super::driver::{VtD, pages};
use super::register_model::{Behaviour, Handle, MEMORY, Model, Outcome, Raised};
use crate::models::Tables;
use crate::{Access, Cause, Domain, Failure, Fault, Iommu, IommuError, Source};

const fn owned(first: u32, count: u32) -> OwnedStreams {
    OwnedStreams {
        streams: Streams::range(StreamId::new(first), count),
        partition: PartitionId::new(0),
        device: "0000:00:01.0",
    }
}

/// Functions of three devices, on two buses.
const OWNED: &[OwnedStreams] = &[owned(0x8, 1), owned(0x10, 2), owned(0x2ff, 1)];
const FIRST: Streams = OWNED[0].streams;
const SECOND: Streams = OWNED[1].streams;
const THIRD: Streams = OWNED[2].streams;

/// The page that each partition sees at [`SEEN`]; the next one it may only read.
const HELD: [u64; 2] = [0x9000_0000, 0xa000_0000];
const SEEN: u64 = 0x4000_0000;

/// A unit with its memory, and what partitions map.
struct Machine {
    tables: Tables,
    hardware: Handle,
}

impl Machine {
    /// Memory full of garbage, and tables of two partitions behind the driver's pages.
    fn new(behaviour: Behaviour) -> Self {
        let tables = Tables::new(pages(OWNED));
        let machine = Self {
            hardware: Model::with_memory(behaviour, tables.words.clone()),
            tables,
        };
        for (partition, held) in HELD.into_iter().enumerate() {
            machine.map(partition, held);
        }
        machine
    }

    /// Writes a partition's tables as nested paging has them: two pages at [`SEEN`], the second one only to be read.
    fn map(&self, partition: usize, held: u64) {
        let tables = self.tables.of(partition);
        let entries = [
            (0, 0, (tables + 0x1000) | 7),
            (1, 1, (tables + 0x2000) | 7),
            (2, 0, (tables + 0x3000) | 7),
            (3, 0, held | 7),
            (3, 1, (held + 0x1000) | 5),
        ];
        self.tables.write(partition, &entries);
    }

    fn domain(&self, partition: usize) -> Domain {
        self.tables.domain(partition, 48)
    }

    fn start(&self) -> Result<VtD<'_, Handle>, IommuError> {
        let mut memory = self.tables.own();
        VtD::new(self.hardware.clone(), OWNED, &mut memory)
    }

    fn driver(&self) -> VtD<'_, Handle> {
        self.start().unwrap()
    }

    fn write(&self, stream: u16, address: u64) -> Outcome {
        self.hardware.0.borrow_mut().access(stream, address, true)
    }

    fn read(&self, stream: u16, address: u64) -> Outcome {
        self.hardware.0.borrow_mut().access(stream, address, false)
    }

    fn message(&self, stream: u16, index: u16) -> Option<Raised> {
        self.hardware.0.borrow_mut().message(stream, index)
    }

    fn bypassed(&self) -> bool {
        self.hardware.0.borrow().bypassed
    }
}

#[test]
fn tables_take_a_page_for_each_bus_with_an_owner() {
    // Root, nobody's, two buses; the queue and its status; interrupts.
    assert_eq!(pages(OWNED), 7);
    assert_eq!(pages(&[]), 5);
    assert_eq!(pages(&[owned(0x8, 0x100), owned(0x1f0, 0x20)]), 8);
}

#[test]
fn nothing_passes_before_a_stream_is_attached() {
    let machine = Machine::new(Behaviour::USUAL);
    let _driver = machine.driver();
    for stream in [0, 8, 0x10, 0xff, 0x100, 0x2ff, 0x300, 0xffff] {
        assert_eq!(machine.write(stream, SEEN), Outcome::Aborted, "{stream:#x}");
        assert_eq!(machine.message(stream, 0), None);
    }
    assert!(!machine.bypassed());
}

#[test]
fn what_firmware_left_on_counts_no_more_and_never_passes_untranslated() {
    let behaviour = Behaviour {
        cap: Behaviour::USUAL.cap | 1 << 4 | 1 << 5,
        ..Behaviour::USUAL
    };
    let machine = Machine::new(behaviour);
    // A root table that would make the model complain if it were ever read.
    let root = machine.tables.of(2);
    machine.hardware.0.borrow_mut().left_by_firmware(root);
    let mut driver = machine.driver();
    assert_eq!(machine.write(8, SEEN), Outcome::Aborted);
    driver.attach(FIRST, &machine.domain(0)).unwrap();
    assert_eq!(machine.write(8, SEEN), Outcome::Reached(HELD[0]));
    assert!(!machine.bypassed());
    let hardware = machine.hardware.0.borrow();
    assert_eq!(hardware.register(0x1c) & 1 << 23, 0, "compatibility format");
    assert_eq!(hardware.register(0x64), 0, "protected regions");
}

#[test]
fn attached_streams_reach_what_their_partition_maps_and_nothing_else() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.driver();
    driver.attach(FIRST, &machine.domain(0)).unwrap();
    driver.attach(SECOND, &machine.domain(1)).unwrap();
    driver.attach(THIRD, &machine.domain(1)).unwrap();
    for (stream, held) in [(8, 0), (0x10, 1), (0x11, 1), (0x2ff, 1)] {
        let held = HELD[held];
        assert_eq!(machine.write(stream, SEEN + 4), Outcome::Reached(held + 4));
        let read_only = Outcome::Reached(held + 0x1008);
        assert_eq!(machine.read(stream, SEEN + 0x1008), read_only);
        for address in [
            SEEN + 0x1000,
            SEEN + 0x2000,
            0,
            HELD[0],
            HELD[1],
            MEMORY,
            1 << 48,
        ] {
            let outcome = machine.write(stream, address);
            assert_eq!(outcome, Outcome::Aborted, "{stream:#x} at {address:#x}");
        }
    }
    for stream in [7, 9, 0x12, 0x1ff, 0x2fe, 0x110] {
        assert_eq!(machine.write(stream, SEEN), Outcome::Aborted, "{stream:#x}");
    }
}

#[test]
fn denied_stream_that_the_unit_remembers_is_let_through_once_it_is_attached() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.driver();
    assert_eq!(machine.write(8, SEEN), Outcome::Aborted);
    driver.attach(FIRST, &machine.domain(0)).unwrap();
    assert_eq!(machine.write(8, SEEN), Outcome::Reached(HELD[0]));
}

#[test]
fn detached_stream_reaches_nothing_although_the_unit_knew_the_way() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.driver();
    driver.attach(SECOND, &machine.domain(0)).unwrap();
    assert_eq!(machine.write(0x11, SEEN), Outcome::Reached(HELD[0]));
    driver.detach(SECOND).unwrap();
    assert_eq!(machine.write(0x11, SEEN), Outcome::Aborted);
    let again = driver.detach(SECOND);
    assert_eq!(again, Err(IommuError::NotAttached(StreamId::new(0x10))));
}

#[test]
fn streams_of_which_one_is_nobodys_are_all_denied_and_forgotten() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.driver();
    driver
        .attach(Streams::one(StreamId::new(0x11)), &machine.domain(0))
        .unwrap();
    assert_eq!(machine.write(0x11, SEEN), Outcome::Reached(HELD[0]));
    let refused = driver.detach(SECOND);
    assert_eq!(refused, Err(IommuError::NotAttached(StreamId::new(0x10))));
    assert_eq!(machine.write(0x11, SEEN), Outcome::Aborted);
}

#[test]
fn changed_table_counts_after_an_invalidation_of_its_partition() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.driver();
    driver.attach(FIRST, &machine.domain(0)).unwrap();
    assert_eq!(machine.write(8, SEEN), Outcome::Reached(HELD[0]));
    machine.map(0, 0xb000_0000);
    driver.invalidate(Vmid::new(2)).unwrap();
    assert_eq!(machine.write(8, SEEN), Outcome::Reached(HELD[0]));
    driver.invalidate(Vmid::new(1)).unwrap();
    assert_eq!(machine.write(8, SEEN), Outcome::Reached(0xb000_0000));
}

#[test]
fn what_the_unit_cannot_do_is_refused_and_nothing_has_changed() {
    let few = Behaviour {
        cap: Behaviour::USUAL.cap & !0b111,
        ..Behaviour::USUAL
    };
    let machine = Machine::new(few);
    let mut driver = machine.driver();
    let sixteenth = Domain {
        vmid: Vmid::new(16),
        ..machine.domain(0)
    };
    let wide = Domain {
        ipa_bits: 49,
        ..machine.domain(0)
    };
    let beyond = Streams::range(StreamId::new(0xfffe), 4);
    let missing = |stream| Err(IommuError::NoSuchStream(StreamId::new(stream)));
    for (streams, domain, refused) in [
        (FIRST, sixteenth, Err(IommuError::TooFew("domains"))),
        (FIRST, wide, Err(IommuError::IpaBits(49))),
        (beyond, machine.domain(0), missing(0xfffe)),
        (
            Streams::range(StreamId::new(0x2ff), 2),
            machine.domain(0),
            missing(0x300),
        ),
        (
            Streams::one(StreamId::new(0x1_0008)),
            machine.domain(0),
            missing(0x1_0008),
        ),
    ] {
        assert_eq!(driver.attach(streams, &domain), refused);
    }
    driver.attach(FIRST, &machine.domain(0)).unwrap();
    let owner = Vmid::new(1);
    let taken = IommuError::Attached {
        stream: FIRST.first,
        owner,
    };
    assert_eq!(driver.attach(FIRST, &machine.domain(1)), Err(taken));
    assert_eq!(machine.write(8, SEEN), Outcome::Reached(HELD[0]));
    assert_eq!(machine.write(0x2ff, SEEN), Outcome::Aborted);
}

#[test]
fn owner_of_a_stream_wider_than_16_bits_is_refused_at_the_start() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut memory = machine.tables.own();
    let owners = [owned(0xffff, 2)];
    let started = VtD::new(machine.hardware.clone(), &owners, &mut memory);
    let refused = IommuError::NoSuchStream(StreamId::new(0x1_0000));
    assert_eq!(started.err(), Some(refused));
}

#[test]
fn too_little_memory_is_an_error_at_the_start() {
    for pages in 0..pages(OWNED) {
        let machine = Machine::new(Behaviour::USUAL);
        let mut memory = machine.tables.front(pages);
        let started = VtD::new(machine.hardware.clone(), OWNED, &mut memory);
        assert_eq!(started.err(), Some(IommuError::Memory), "{pages} pages");
    }
}

#[test]
fn fault_is_told_with_stream_page_and_access() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.driver();
    driver.attach(SECOND, &machine.domain(0)).unwrap();
    machine.write(0x11, HELD[1] + 0x123);
    machine.read(0x8, SEEN);
    let described = |stream, cause, address, access| Fault {
        source: Source::Stream(StreamId::new(stream)),
        cause,
        address: Some(Ipa::new(address)),
        access: Some(access),
        class: None,
    };
    let first = described(0x11, Cause::Permission, HELD[1], Access::Write);
    assert_eq!(driver.next_fault(), Some(first));
    let second = described(0x8, Cause::Denied, SEEN, Access::Read);
    assert_eq!(driver.next_fault(), Some(second));
    assert_eq!((driver.next_fault(), driver.next_failure()), (None, None));
}

#[test]
fn faults_are_told_by_a_non_maskable_interrupt_of_the_cpu_that_is_named() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.driver();
    machine.write(8, SEEN);
    assert!(machine.hardware.0.borrow().told.is_empty());
    assert!(driver.next_fault().is_some());
    driver.tell(0x123);
    machine.write(8, SEEN);
    machine.write(8, SEEN);
    assert_eq!(machine.hardware.0.borrow().told, [(0x100_fee2_3000, 0x400)]);
}

#[test]
fn more_faults_than_there_are_records_are_told_as_lost_once_and_later_ones_again() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.driver();
    for overflow in 0..3 {
        (0..5).for_each(|_| {
            machine.write(8, SEEN);
        });
        let told = std::iter::from_fn(|| driver.next_fault()).count();
        assert_eq!(told, 2, "overflow {overflow}");
        assert_eq!(driver.next_failure(), Some(Failure::FaultsLost));
        assert_eq!(driver.next_failure(), None);
    }
}

#[test]
fn muted_streams_fault_in_silence_until_they_are_attached() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.driver();
    driver.mute(FIRST).unwrap();
    assert_eq!(machine.write(8, SEEN), Outcome::Aborted);
    assert_eq!(driver.next_fault(), None);
    driver.attach(FIRST, &machine.domain(0)).unwrap();
    machine.write(8, 0);
    assert!(driver.next_fault().is_some());
    driver.mute(FIRST).unwrap();
    assert_eq!(machine.write(8, 0), Outcome::Aborted);
    assert_eq!(machine.write(8, SEEN), Outcome::Reached(HELD[0]));
    assert_eq!(driver.next_fault(), None);
}

#[test]
fn functions_of_buses_that_nobody_has_a_claim_on_are_denied_in_silence() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.driver();
    assert_eq!(machine.write(0x100, SEEN), Outcome::Aborted);
    assert_eq!(driver.next_fault(), None);
    let muted = driver.mute(Streams::one(StreamId::new(0x100)));
    assert_eq!(muted, Err(IommuError::NoSuchStream(StreamId::new(0x100))));
}

#[test]
fn faults_without_end_are_given_up_and_the_streams_stay_denied() {
    let machine = Machine::new(Behaviour {
        storm: Some(8),
        ..Behaviour::USUAL
    });
    let mut driver = machine.driver();
    driver.tell(0);
    machine.write(8, SEEN);
    assert_eq!(driver.discard_faults(), Some(Failure::FaultsIgnored));
    let told = machine.hardware.0.borrow().told.len();
    assert_eq!(machine.write(8, SEEN), Outcome::Aborted);
    assert_eq!(machine.hardware.0.borrow().told.len(), told);
}

#[test]
fn faults_that_end_are_discarded_and_later_ones_told() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.driver();
    machine.write(8, SEEN);
    machine.write(8, SEEN);
    assert_eq!(driver.discard_faults(), Some(Failure::FaultsLost));
    assert_eq!(driver.discard_faults(), None);
    machine.write(0x10, SEEN);
    let fault = driver.next_fault().unwrap();
    assert_eq!(fault.source, Source::Stream(StreamId::new(0x10)));
}

#[test]
fn interrupt_goes_where_it_was_allowed_to_and_from_whom() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.driver();
    assert_eq!(machine.message(8, 5), None);
    driver
        .allow_interrupt(5, FIRST.first, 0x1_0002, 0x41)
        .unwrap();
    let raised = Raised {
        destination: 0x1_0002,
        vector: 0x41,
    };
    assert_eq!(machine.message(8, 5), Some(raised));
    for (stream, index) in [(0x10, 5), (9, 5), (8, 4), (8, 255), (8, 256), (8, u16::MAX)] {
        assert_eq!(machine.message(stream, index), None, "{stream:#x} {index}");
    }
    driver.refuse_interrupts(5..6).unwrap();
    assert_eq!(machine.message(8, 5), None);
    let beyond = driver.allow_interrupt(256, FIRST.first, 0, 0x41);
    assert_eq!(beyond, Err(IommuError::TooFew("interrupts")));
}

#[test]
fn interrupt_that_was_refused_is_a_fault_of_its_author() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.driver();
    machine.message(0x10, 7);
    let fault = driver.next_fault().unwrap();
    assert_eq!(fault.source, Source::Stream(StreamId::new(0x10)));
    assert_eq!((fault.cause, fault.address), (Cause::Other(0x22), None));
}

#[test]
fn unit_that_does_not_answer_is_an_error_and_no_hang() {
    let stuck = |behaviour| Machine::new(behaviour).start().err();
    let slow = Behaviour {
        delay: u32::MAX,
        ..Behaviour::USUAL
    };
    assert_eq!(stuck(slow), Some(IommuError::Stuck(0x1c)));
    let deaf = Behaviour {
        deaf: true,
        ..Behaviour::USUAL
    };
    assert_eq!(stuck(deaf), Some(IommuError::Stuck(0x80)));
}

#[test]
fn descriptor_that_is_refused_is_an_error_and_the_queue_goes_on() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.driver();
    machine.hardware.0.borrow_mut().behaviour.refused = Some(2);
    let refused = IommuError::Refused {
        opcode: 2,
        reason: 0,
    };
    assert_eq!(driver.attach(FIRST, &machine.domain(0)), Err(refused));
    assert_eq!(machine.write(8, SEEN), Outcome::Aborted);
    machine.hardware.0.borrow_mut().behaviour.refused = None;
    driver.attach(FIRST, &machine.domain(0)).unwrap();
    assert_eq!(machine.write(8, SEEN), Outcome::Reached(HELD[0]));
}

#[test]
fn queue_goes_round() {
    let machine = Machine::new(Behaviour::USUAL);
    let mut driver = machine.driver();
    for _ in 0..300 {
        driver.attach(FIRST, &machine.domain(0)).unwrap();
        assert_eq!(machine.write(8, SEEN), Outcome::Reached(HELD[0]));
        driver.detach(FIRST).unwrap();
        assert_eq!(machine.write(8, SEEN), Outcome::Aborted);
        driver.discard_faults();
    }
    assert!(machine.hardware.0.borrow().taken.len() > 1000);
}
