//! The driver against the model.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::iommu::{OwnedStreams, Streams};
use model::ipmmu::{Generation, Ipmmu, Tables};
use model::{Ipa, Pa, PartitionId, StreamId, Vmid};

use super::driver::Driver;
use super::register_model::{Behaviour, Handle, MEMORY, Model, Outcome, Register, handles};
use crate::{Cause, Domain, Failure, Fault, Iommu, IommuError, Source};

/// What a partition sees at [`SEEN`]: two pages, of which the second one may only be read.
const HELD: u64 = 0x9000_0000;
const SEEN: u64 = 0x4000_0000;
/// Pages of a partition's tables: up to two at level 1, one at level 2, one at level 3.
const PAGES: usize = 4;
const PARTITIONS: usize = 16;

const fn one(cache: u8, micro_tlb: u8) -> Streams {
    Streams::one(StreamId::new(Ipmmu::stream(cache, micro_tlb)))
}

const fn several(cache: u8, micro_tlb: u8, count: u32) -> Streams {
    Streams::range(StreamId::new(Ipmmu::stream(cache, micro_tlb)), count)
}

fn owned(streams: &[Streams]) -> Vec<OwnedStreams> {
    let owned = streams.iter().map(|streams| OwnedStreams {
        streams: *streams,
        partition: PartitionId::new(0),
        device: "/device",
    });
    owned.collect()
}

/// An IPMMU with its memory, and what partitions map.
struct Machine {
    words: Rc<[AtomicU64]>,
    hardware: Rc<RefCell<Model>>,
    main: Handle,
    caches: Vec<Handle>,
    generation: Generation,
    tables: Tables,
}

/// Each layout with each kind of table.
fn machines() -> Vec<Machine> {
    let each = [Behaviour::GEN3, Behaviour::GEN4].into_iter();
    each.flat_map(|behaviour| {
        [Tables::Stage2, Tables::Stage1].map(|tables| Machine::new(behaviour, tables))
    })
    .collect()
}

impl Machine {
    /// The first page of memory is empty; the tables of all partitions follow, the first one's at an odd page.
    fn new(behaviour: Behaviour, tables: Tables) -> Self {
        let total = (2 + PARTITIONS * PAGES) * 512;
        let words: Rc<[AtomicU64]> = (0..total).map(|_| AtomicU64::new(0)).collect();
        let hardware = Model::new(behaviour, words.clone());
        let (main, caches) = handles(&hardware);
        let machine = Self {
            words,
            hardware,
            main,
            caches,
            generation: match behaviour.gen4 {
                false => Generation::Gen3,
                true => Generation::Gen4,
            },
            tables,
        };
        for partition in 0..PARTITIONS {
            machine.map(partition, held(partition));
        }
        machine
    }

    fn put(&self, address: u64, value: u64) {
        self.words[((address - MEMORY) / 8) as usize].store(value, Ordering::SeqCst);
    }

    fn root(&self, partition: usize) -> u64 {
        MEMORY + (2 + partition * PAGES) as u64 * 0x1000
    }

    /// Writes a partition's tables.
    fn map(&self, partition: usize, held: u64) {
        let root = self.root(partition);
        let (table, read_write, read_only) = match self.tables {
            Tables::Stage2 => (3, 0x7ff, 0x77f),
            // NSTable; NS, AP[1] and, to be only read, AP[2].
            Tables::Stage1 => (3 | 1 << 63, 0x663, 0x6e3),
        };
        self.put(root + 8, (root + 0x2000) | table);
        self.put(root + 0x2000, (root + 0x3000) | table);
        self.put(root + 0x3000, held | read_write);
        self.put(root + 0x3008, (held + 0x1000) | read_only);
    }

    fn domain(&self, partition: usize) -> Domain {
        Domain {
            vmid: Vmid::new(partition as u16 + 1),
            root: Pa::new(self.root(partition)),
            ipa_bits: 40,
        }
    }

    fn driver(&self) -> Driver<Handle> {
        self.driver_for(&[]).unwrap()
    }

    fn driver_for(&self, streams: &[Streams]) -> Result<Driver<Handle>, IommuError> {
        Driver::new(
            self.generation,
            self.tables,
            self.main.clone(),
            self.caches.iter().cloned(),
            Pa::new(MEMORY),
            &owned(streams),
        )
    }
}

fn held(partition: usize) -> u64 {
    HELD + partition as u64 * 0x10_0000
}

fn write(hardware: &RefCell<Model>, cache: usize, number: usize, address: u64) -> Outcome {
    hardware.borrow_mut().access(cache, number, address, true)
}

fn read(hardware: &RefCell<Model>, cache: usize, number: usize, address: u64) -> Outcome {
    hardware.borrow_mut().access(cache, number, address, false)
}

fn fault(source: Source, cause: Cause, address: u64) -> Fault {
    Fault {
        source,
        cause,
        address: Some(Ipa::new(address)),
        access: None,
        class: None,
    }
}

fn of(partition: usize) -> Source {
    Source::Partition(Vmid::new(partition as u16 + 1))
}

#[test]
fn nothing_passes_any_micro_tlb_before_its_stream_is_attached() {
    for machine in machines() {
        let hardware = machine.hardware.clone();
        let micro_tlbs = usize::from(machine.generation.micro_tlbs());
        let _driver = machine.driver();
        for cache in 0..3 {
            for number in 0..micro_tlbs {
                for address in [0, SEEN, MEMORY, 1 << 32, 1 << 39, u64::MAX] {
                    assert_eq!(write(&hardware, cache, number, address), Outcome::Aborted);
                }
            }
        }
        assert!(!hardware.borrow().bypassed);
    }
}

/// Firmware's context, with the first partition's table, used by a micro-TLB. The others are off.
fn left_by_firmware(machine: &Machine, contexts: &[usize]) {
    let mut hardware = machine.hardware.borrow_mut();
    let (shape, control, auxiliary) = match machine.tables {
        Tables::Stage2 => (0xc000_0058, 1 << 29 | 1, 8),
        Tables::Stage1 => (0x8000_0080, 1, 0),
    };
    hardware.set_register(None, Register::Auxiliary, auxiliary);
    hardware.set_register(None, Register::Security, 1 << 28);
    for (number, context) in contexts.iter().enumerate() {
        hardware.set_register(None, Register::RootLow(*context), machine.root(0) as u32);
        hardware.set_register(None, Register::Shape(*context), shape);
        hardware.set_register(None, Register::MemoryTypes(*context), 0x44);
        hardware.set_register(None, Register::Control(*context), control);
        hardware.set_register(Some(1), Register::Control(*context), 1);
        let selection = (*context as u32) << 4 | 1;
        hardware.set_register(Some(1), Register::MicroTlb(number), selection);
    }
}

#[test]
fn what_firmware_left_open_is_closed_without_a_change_of_tables_in_use() {
    for machine in machines() {
        let last = usize::from(machine.generation.contexts()) - 1;
        left_by_firmware(&machine, &[1, last]);
        let hardware = machine.hardware.clone();
        // It does reach something, and the translation is kept.
        assert_eq!(write(&hardware, 1, 0, SEEN), Outcome::Reached(HELD));
        assert_eq!(write(&hardware, 1, 1, SEEN), Outcome::Reached(HELD));
        let _driver = machine.driver();
        for number in 0..48 {
            assert_eq!(write(&hardware, 1, number, SEEN), Outcome::Aborted);
        }
        assert!(!hardware.borrow().bypassed);
        let security = hardware.borrow().register(None, Register::Security);
        assert_eq!(security, 0);
    }
}

#[test]
fn firmware_that_left_no_context_free_is_an_error_before_anything_changes() {
    for machine in machines() {
        let contexts: Vec<usize> = (1..usize::from(machine.generation.contexts())).collect();
        left_by_firmware(&machine, &contexts);
        let hardware = machine.hardware.clone();
        let error = machine.driver_for(&[]).err();
        let lacks = IommuError::Lacks("a context that firmware left free");
        assert_eq!((error, hardware.borrow().writes), (Some(lacks), 0));
    }
}

#[test]
fn attached_streams_reach_what_their_partition_maps_and_nothing_else() {
    for machine in machines() {
        let hardware = machine.hardware.clone();
        let domain = machine.domain(1);
        let mut driver = machine.driver();
        driver.attach(several(2, 30, 4), &domain).unwrap();
        let held = held(1);
        for number in 30..34 {
            let reached = write(&hardware, 2, number, SEEN + 4);
            assert_eq!(reached, Outcome::Reached(held + 4));
            let reached = read(&hardware, 2, number, SEEN + 0x1008);
            assert_eq!(reached, Outcome::Reached(held + 0x1008));
            for address in [
                SEEN + 0x1000,
                SEEN + 0x2000,
                0,
                held,
                MEMORY,
                SEEN | 1 << 32,
                SEEN | 1 << 40,
                u64::MAX,
            ] {
                let outcome = write(&hardware, 2, number, address);
                assert_eq!(outcome, Outcome::Aborted, "{address:#x}");
            }
        }
        for (cache, number) in [(2, 29), (2, 34), (1, 30), (0, 0)] {
            assert_eq!(write(&hardware, cache, number, SEEN), Outcome::Aborted);
        }
        assert!(!hardware.borrow().bypassed);
    }
}

#[test]
fn table_of_less_than_40_bits_ends_where_it_ends() {
    let machine = Machine::new(Behaviour::GEN3, Tables::Stage2);
    let hardware = machine.hardware.clone();
    // At an address at which no table of 40 bits may lie.
    let odd = MEMORY + 0x1000;
    machine.put(odd + 8, (machine.root(0) + 0x2000) | 3);
    let domain = Domain {
        root: Pa::new(odd),
        ipa_bits: 36,
        ..machine.domain(0)
    };
    let mut driver = machine.driver();
    driver.attach(one(0, 0), &domain).unwrap();
    assert_eq!(write(&hardware, 0, 0, SEEN), Outcome::Reached(HELD));
    for bit in 36..64 {
        let outcome = write(&hardware, 0, 0, SEEN | 1 << bit);
        assert_eq!(outcome, Outcome::Aborted, "bit {bit}");
    }
}

#[test]
fn partitions_behind_one_cache_and_one_partition_behind_two_are_kept_apart() {
    for machine in machines() {
        let hardware = machine.hardware.clone();
        let domains = [machine.domain(0), machine.domain(1)];
        let mut driver = machine.driver();
        driver.attach(one(0, 1), &domains[0]).unwrap();
        driver.attach(one(0, 2), &domains[1]).unwrap();
        driver.attach(one(2, 1), &domains[0]).unwrap();
        let reached = [(0, 1), (0, 2), (2, 1), (2, 2)]
            .map(|(cache, number)| write(&hardware, cache, number, SEEN));
        let expected = [
            Outcome::Reached(held(0)),
            Outcome::Reached(held(1)),
            Outcome::Reached(held(0)),
            Outcome::Aborted,
        ];
        assert_eq!(reached, expected);
        driver.detach(one(0, 1)).unwrap();
        assert_eq!(write(&hardware, 0, 1, SEEN), Outcome::Aborted);
        assert_eq!(write(&hardware, 2, 1, SEEN), Outcome::Reached(held(0)));
    }
}

#[test]
fn detached_stream_reaches_nothing_although_the_ipmmu_knew_the_way() {
    for machine in machines() {
        let hardware = machine.hardware.clone();
        let domain = machine.domain(0);
        let mut driver = machine.driver();
        driver.attach(one(0, 5), &domain).unwrap();
        assert_eq!(write(&hardware, 0, 5, SEEN), Outcome::Reached(HELD));
        driver.detach(one(0, 5)).unwrap();
        assert_eq!(write(&hardware, 0, 5, SEEN), Outcome::Aborted);
        let stream = one(0, 5).first;
        let again = driver.detach(one(0, 5));
        assert_eq!(again, Err(IommuError::NotAttached(stream)));
        assert!(!hardware.borrow().bypassed);
    }
}

#[test]
fn streams_of_which_one_was_not_attached_are_all_denied_by_detaching_them() {
    let machine = Machine::new(Behaviour::GEN3, Tables::Stage2);
    let hardware = machine.hardware.clone();
    let domain = machine.domain(0);
    let mut driver = machine.driver();
    driver.attach(one(0, 6), &domain).unwrap();
    let stream = one(0, 5).first;
    let detached = driver.detach(several(0, 5, 2));
    assert_eq!(detached, Err(IommuError::NotAttached(stream)));
    assert_eq!(write(&hardware, 0, 6, SEEN), Outcome::Aborted);
}

#[test]
fn new_root_under_the_same_vmid_counts_at_once() {
    for machine in machines() {
        let hardware = machine.hardware.clone();
        let domain = machine.domain(0);
        let moved = Domain {
            root: machine.domain(1).root,
            ..domain
        };
        let mut driver = machine.driver();
        driver.attach(one(0, 5), &domain).unwrap();
        assert_eq!(write(&hardware, 0, 5, SEEN), Outcome::Reached(held(0)));
        driver.detach(one(0, 5)).unwrap();
        driver.attach(one(0, 5), &moved).unwrap();
        assert_eq!(write(&hardware, 0, 5, SEEN), Outcome::Reached(held(1)));
    }
}

#[test]
fn second_root_of_a_partition_whose_devices_still_use_the_first_is_refused() {
    let machine = Machine::new(Behaviour::GEN3, Tables::Stage2);
    let hardware = machine.hardware.clone();
    let domain = machine.domain(0);
    let moved = Domain {
        root: machine.domain(1).root,
        ..domain
    };
    let mut driver = machine.driver();
    driver.attach(one(0, 5), &domain).unwrap();
    let refused = driver.attach(one(0, 6), &moved);
    assert_eq!(
        refused,
        Err(IommuError::Lacks("two tables of one partition"))
    );
    assert_eq!(write(&hardware, 0, 5, SEEN), Outcome::Reached(held(0)));
    assert_eq!(write(&hardware, 0, 6, SEEN), Outcome::Aborted);
}

#[test]
fn changed_table_counts_after_an_invalidation_of_its_vmid() {
    for machine in machines() {
        let hardware = machine.hardware.clone();
        let (domain, root) = (machine.domain(0), machine.root(0));
        let words = machine.words.clone();
        let page = words[((root + 0x3000 - MEMORY) / 8) as usize].load(Ordering::SeqCst);
        let mut driver = machine.driver();
        driver.attach(one(1, 9), &domain).unwrap();
        assert_eq!(write(&hardware, 1, 9, SEEN), Outcome::Reached(HELD));
        let moved = page - HELD + 0xb000_0000;
        words[((root + 0x3000 - MEMORY) / 8) as usize].store(moved, Ordering::SeqCst);
        driver.invalidate(Vmid::new(2)).unwrap();
        assert_eq!(write(&hardware, 1, 9, SEEN), Outcome::Reached(HELD));
        driver.invalidate(Vmid::new(1)).unwrap();
        assert_eq!(write(&hardware, 1, 9, SEEN), Outcome::Reached(0xb000_0000));
    }
}

#[test]
fn stream_with_an_owner_is_not_given_to_another() {
    let machine = Machine::new(Behaviour::GEN4, Tables::Stage2);
    let hardware = machine.hardware.clone();
    let domains = [machine.domain(0), machine.domain(1)];
    let mut driver = machine.driver();
    driver.attach(one(0, 8), &domains[0]).unwrap();
    let refused = IommuError::Attached {
        stream: one(0, 8).first,
        owner: Vmid::new(1),
    };
    assert_eq!(driver.attach(several(0, 7, 2), &domains[1]), Err(refused));
    assert_eq!(write(&hardware, 0, 8, SEEN), Outcome::Reached(held(0)));
    assert_eq!(write(&hardware, 0, 7, SEEN), Outcome::Aborted);
}

#[test]
fn streams_beyond_the_hardware_are_refused() {
    for machine in machines() {
        let domain = machine.domain(0);
        let micro_tlbs = machine.generation.micro_tlbs();
        let mut driver = machine.driver();
        let last = several(0, micro_tlbs - 1, 2);
        for (streams, named) in [
            (one(3, 0), one(3, 0).first),
            (one(0, micro_tlbs), one(0, micro_tlbs).first),
            (last, last.last()),
            (several(0, 0, 0x101), one(1, 0).first),
            (several(0, 0, u32::MAX), several(0, 0, u32::MAX).last()),
        ] {
            let refused = Err(IommuError::NoSuchStream(named));
            assert_eq!(driver.attach(streams, &domain), refused, "{streams:?}");
            assert_eq!(driver.detach(streams), refused, "{streams:?}");
        }
        let refused = Err(IommuError::NoSuchStream(one(3, 0).first));
        assert_eq!(driver.mute(one(3, 0)), refused);
    }
}

#[test]
fn owned_stream_whose_micro_tlb_takes_no_value_is_an_error_at_the_start() {
    let absent = Behaviour {
        absent: Some((1, 17)),
        ..Behaviour::GEN3
    };
    let machine = Machine::new(absent, Tables::Stage2);
    assert!(machine.driver_for(&[one(1, 16)]).is_ok());
    let error = machine.driver_for(&[one(1, 16), one(1, 17)]).err();
    assert_eq!(error, Some(IommuError::NoSuchStream(one(1, 17).first)));
}

#[test]
fn stream_whose_micro_tlb_does_not_answer_is_denied_with_its_neighbours() {
    let absent = Behaviour {
        absent: Some((1, 17)),
        ..Behaviour::GEN3
    };
    let machine = Machine::new(absent, Tables::Stage2);
    let hardware = machine.hardware.clone();
    let domain = machine.domain(0);
    let mut driver = machine.driver();
    let stuck = driver.attach(several(1, 16, 2), &domain);
    assert_eq!(stuck, Err(IommuError::Stuck(0x300 + 17 * 16)));
    assert_eq!(write(&hardware, 1, 16, SEEN), Outcome::Aborted);
}

#[test]
fn addresses_and_tables_beyond_the_hardware_are_refused() {
    let machine = Machine::new(Behaviour::GEN3, Tables::Stage2);
    let domain = machine.domain(0);
    let mut driver = machine.driver();
    for ipa_bits in [31, 41, 64] {
        let wide = Domain { ipa_bits, ..domain };
        let refused = driver.attach(one(0, 0), &wide);
        assert_eq!(refused, Err(IommuError::IpaBits(ipa_bits)));
    }
    let high = Domain {
        root: Pa::new(1 << 40),
        ..domain
    };
    let refused = driver.attach(one(0, 0), &high);
    assert_eq!(refused, Err(IommuError::Lacks("tables above 1 TiB")));
}

#[test]
fn as_many_partitions_as_there_are_contexts_and_not_one_more() {
    for machine in machines() {
        let hardware = machine.hardware.clone();
        let domains: Vec<Domain> = (0..PARTITIONS).map(|one| machine.domain(one)).collect();
        let most = machine.generation.partitions();
        let mut driver = machine.driver();
        for number in 0..most {
            let partition = usize::from(number);
            driver.attach(one(1, number), &domains[partition]).unwrap();
        }
        for number in 0..usize::from(most) {
            let reached = write(&hardware, 1, number, SEEN);
            assert_eq!(reached, Outcome::Reached(held(number)));
        }
        let refused = driver.attach(one(1, most), &domains[usize::from(most)]);
        assert_eq!(refused, Err(IommuError::Lacks("a free context")));
        assert_eq!(
            write(&hardware, 1, usize::from(most), SEEN),
            Outcome::Aborted
        );
        // A partition that starts again takes none.
        driver.detach(one(1, 0)).unwrap();
        driver.attach(one(1, 0), &domains[0]).unwrap();
    }
}

#[test]
fn fault_is_told_with_partition_cause_and_address_and_the_interrupt_ends() {
    for machine in machines() {
        let hardware = machine.hardware.clone();
        let domain = machine.domain(1);
        let mut driver = machine.driver();
        driver.attach(one(0, 5), &domain).unwrap();
        assert!(!hardware.borrow().interrupt());
        for (address, cause) in [
            (0x12_3456_7123, Cause::Translation),
            (SEEN + 0x1000, Cause::Permission),
        ] {
            write(&hardware, 0, 5, address);
            assert!(hardware.borrow().interrupt());
            let told = fault(of(1), cause, address);
            assert_eq!(driver.next_fault(), Some(told));
            assert!(!hardware.borrow().interrupt());
            assert_eq!(driver.next_fault(), None);
        }
        assert_eq!(driver.next_failure(), None);
    }
}

#[test]
fn tables_that_cannot_be_read_and_doubled_translations_are_told() {
    let aborting = Behaviour {
        tables_abort: true,
        ..Behaviour::GEN3
    };
    let machine = Machine::new(aborting, Tables::Stage2);
    let hardware = machine.hardware.clone();
    let domain = machine.domain(0);
    let mut driver = machine.driver();
    driver.attach(one(0, 5), &domain).unwrap();
    assert_eq!(write(&hardware, 0, 5, SEEN), Outcome::Aborted);
    let told = fault(of(0), Cause::ExternalAbort, SEEN);
    assert_eq!(driver.next_fault(), Some(told));
    let context = hardware.borrow().selected(0, 5).unwrap();
    hardware.borrow_mut().fault(context, 1 << 4, SEEN);
    assert!(hardware.borrow().interrupt());
    let told = fault(of(0), Cause::Other(16), SEEN);
    assert_eq!(driver.next_fault(), Some(told));
}

#[test]
fn fault_before_a_detach_is_still_its_partitions() {
    let machine = Machine::new(Behaviour::GEN3, Tables::Stage2);
    let hardware = machine.hardware.clone();
    let domain = machine.domain(0);
    let mut driver = machine.driver();
    driver.attach(one(0, 5), &domain).unwrap();
    write(&hardware, 0, 5, 0);
    driver.detach(one(0, 5)).unwrap();
    let told = fault(of(0), Cause::Translation, 0);
    assert_eq!(driver.next_fault(), Some(told));
}

#[test]
fn faults_of_nobodys_streams_are_told_once_until_one_is_attached_or_detached() {
    for machine in machines() {
        let hardware = machine.hardware.clone();
        let domain = machine.domain(0);
        let mut driver = machine.driver();
        let attach = |driver: &mut Driver<Handle>| driver.attach(one(0, 5), &domain);
        let detach = |driver: &mut Driver<Handle>| driver.detach(one(0, 5));
        let nobodys = Some(fault(Source::Nobody, Cause::Translation, SEEN));
        for step in 0..3 {
            write(&hardware, 2, 40, SEEN);
            assert!(hardware.borrow().interrupt());
            assert_eq!(driver.next_fault(), nobodys, "step {step}");
            write(&hardware, 2, 41, SEEN);
            assert!(!hardware.borrow().interrupt());
            assert_eq!(driver.next_fault(), None);
            match step {
                0 => attach(&mut driver).unwrap(),
                _ => detach(&mut driver).err().map_or((), |_| ()),
            }
        }
    }
}

#[test]
fn muted_partition_faults_in_silence_and_reaches_what_it_reached() {
    for machine in machines() {
        let hardware = machine.hardware.clone();
        let domains = [machine.domain(0), machine.domain(1)];
        let mut driver = machine.driver();
        driver.attach(one(0, 5), &domains[0]).unwrap();
        driver.attach(one(1, 5), &domains[0]).unwrap();
        driver.attach(one(1, 6), &domains[1]).unwrap();
        driver.mute(one(0, 5)).unwrap();
        for cache in [0, 1] {
            write(&hardware, cache, 5, 0);
            assert!(!hardware.borrow().interrupt());
            assert_eq!(driver.next_fault(), None);
            assert_eq!(write(&hardware, cache, 5, SEEN), Outcome::Reached(HELD));
        }
        write(&hardware, 1, 6, 0);
        assert!(hardware.borrow().interrupt());
        assert_eq!(driver.next_fault().unwrap().source, of(1));
        driver.detach(one(0, 5)).unwrap();
        write(&hardware, 1, 5, 0);
        assert_eq!(driver.next_fault().unwrap().source, of(0));
    }
}

#[test]
fn stream_of_nobody_can_be_muted_with_all_of_them() {
    let machine = Machine::new(Behaviour::GEN3, Tables::Stage1);
    let hardware = machine.hardware.clone();
    let mut driver = machine.driver();
    driver.mute(one(0, 5)).unwrap();
    assert_eq!(write(&hardware, 0, 6, 0), Outcome::Aborted);
    assert!(!hardware.borrow().interrupt());
    assert_eq!(driver.next_fault(), None);
}

#[test]
fn partition_that_faults_without_end_hides_no_other() {
    let machine = Machine::new(
        Behaviour {
            storm: Some((0, 5, 0)),
            ..Behaviour::GEN3
        },
        Tables::Stage2,
    );
    let hardware = machine.hardware.clone();
    let domains = [machine.domain(0), machine.domain(1)];
    let mut driver = machine.driver();
    driver.attach(one(0, 5), &domains[0]).unwrap();
    driver.attach(one(0, 6), &domains[1]).unwrap();
    write(&hardware, 0, 5, 0);
    write(&hardware, 0, 6, 0);
    let told: Vec<Source> = (0..2)
        .filter_map(|_| driver.next_fault())
        .map(|fault| fault.source)
        .collect();
    assert!(told.contains(&of(0)) && told.contains(&of(1)), "{told:?}");
}

#[test]
fn faults_without_end_are_given_up_and_what_is_denied_stays_denied() {
    let machine = Machine::new(
        Behaviour {
            storm: Some((0, 5, 0)),
            ..Behaviour::GEN4
        },
        Tables::Stage2,
    );
    let hardware = machine.hardware.clone();
    let domain = machine.domain(0);
    let mut driver = machine.driver();
    driver.attach(one(0, 5), &domain).unwrap();
    write(&hardware, 0, 5, 0);
    assert_eq!(driver.discard_faults(), Some(Failure::FaultsIgnored));
    assert!(!hardware.borrow().interrupt());
    assert_eq!(driver.discard_faults(), None);
    assert_eq!(driver.next_fault(), None);
    assert_eq!(write(&hardware, 0, 5, 0), Outcome::Aborted);
    assert_eq!(write(&hardware, 0, 5, SEEN), Outcome::Reached(HELD));
}

#[test]
fn faults_that_end_are_discarded_and_later_ones_told() {
    let machine = Machine::new(Behaviour::GEN3, Tables::Stage2);
    let hardware = machine.hardware.clone();
    let domain = machine.domain(0);
    let mut driver = machine.driver();
    driver.attach(one(0, 5), &domain).unwrap();
    write(&hardware, 0, 5, 0);
    assert_eq!(driver.discard_faults(), Some(Failure::FaultsLost));
    assert_eq!(driver.discard_faults(), None);
    assert_eq!(driver.next_fault(), None);
    write(&hardware, 0, 5, 0x1000);
    assert_eq!(driver.next_fault().unwrap().source, of(0));
}

#[test]
fn flush_that_does_not_end_is_an_error_and_no_hang() {
    let stuck = Behaviour {
        stuck: true,
        ..Behaviour::GEN3
    };
    let machine = Machine::new(stuck, Tables::Stage2);
    let error = machine.driver_for(&[]).err();
    // The last context is the first choice.
    assert_eq!(error, Some(IommuError::Stuck(7 * 0x40)));
}

#[test]
fn flush_that_stops_ending_lets_nobody_in_and_keeps_out_who_was_detached() {
    for machine in machines().into_iter().step_by(3) {
        let hardware = machine.hardware.clone();
        let domains = [machine.domain(0), machine.domain(1)];
        let mut driver = machine.driver();
        driver.attach(one(0, 5), &domains[0]).unwrap();
        assert_eq!(write(&hardware, 0, 5, SEEN), Outcome::Reached(HELD));
        hardware.borrow_mut().behaviour.stuck = true;
        let stuck = |done| matches!(done, Err(IommuError::Stuck(_)));
        assert!(stuck(driver.attach(one(0, 6), &domains[1])));
        assert_eq!(write(&hardware, 0, 6, SEEN), Outcome::Aborted);
        assert!(stuck(driver.invalidate(Vmid::new(1))));
        assert!(stuck(driver.detach(one(0, 5))));
        assert_eq!(write(&hardware, 0, 5, SEEN), Outcome::Aborted);
        assert!(!hardware.borrow().bypassed);
    }
}

/// A small generator of numbers (Knuth's constants), so that the steps are the same in each run.
fn next(state: &mut u64) -> usize {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

#[test]
fn hundreds_of_steps_leave_each_stream_with_exactly_its_owners_memory() {
    for machine in machines() {
        let hardware = machine.hardware.clone();
        let domains = [0, 1, 2, 3].map(|partition| machine.domain(partition));
        let mut driver = machine.driver();
        let mut owners = [[None; 4]; 3];
        let mut state = 7;
        for step in 0..400 {
            let (cache, number) = (next(&mut state) % 3, next(&mut state) % 4);
            let stream = one(cache as u8, number as u8 * 11);
            let partition = next(&mut state) % 4;
            let owner = &mut owners[cache][number];
            let id = stream.first;
            match (next(&mut state) % 3, *owner) {
                (0, None) => {
                    driver.attach(stream, &domains[partition]).unwrap();
                    *owner = Some(partition);
                }
                (0, Some(other)) => {
                    let owner = domains[other].vmid;
                    let refused = IommuError::Attached { stream: id, owner };
                    assert_eq!(driver.attach(stream, &domains[partition]), Err(refused));
                }
                (1, None) => {
                    assert_eq!(driver.detach(stream), Err(IommuError::NotAttached(id)));
                }
                (1, Some(_)) => {
                    driver.detach(stream).unwrap();
                    *owner = None;
                }
                _ => driver.mute(stream).unwrap(),
            }
            for (cache, owners) in owners.iter().enumerate() {
                for (number, owner) in owners.iter().enumerate() {
                    let expected = owner.map_or(Outcome::Aborted, |partition| {
                        Outcome::Reached(held(partition))
                    });
                    let outcome = write(&hardware, cache, number * 11, SEEN);
                    assert_eq!(outcome, expected, "step {step}, cache {cache}, {number}");
                }
            }
        }
        assert!(!hardware.borrow().bypassed);
    }
}
