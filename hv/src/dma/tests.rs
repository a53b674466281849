use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use model::iommu::IommuKind;
use model::memory::PhysicalRange;
use model::{Pa, StreamId, Vmid};
use smmu::{Access, Cause, Source};

use super::*;
use crate::fake::{self, Done, LINUX, Outcome, RT, World, run_on, take_done};

/// What was asked of the IOMMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Attach(u32, Domain),
    Detach(u32),
    Mute(u32, u32),
    Discard,
}

/// An IOMMU that takes down what it is asked, and has faults to tell.
#[derive(Default)]
struct Fake {
    asked: Vec<Asked>,
    faults: VecDeque<Fault>,
    endless: Option<Fault>,
    failures: VecDeque<Failure>,
    error: Option<IommuError>,
}

#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Fake>>);

impl Shared {
    fn ask(&self, what: Asked) -> Result<(), IommuError> {
        let mut fake = self.0.borrow_mut();
        fake.asked.push(what);
        fake.error.map_or(Ok(()), Err)
    }

    fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.0.borrow_mut().asked)
    }
}

impl Iommu for Shared {
    fn attach(&mut self, streams: Streams, domain: &Domain) -> Result<(), IommuError> {
        self.ask(Asked::Attach(streams.first.get(), *domain))
    }
    fn detach(&mut self, streams: Streams) -> Result<(), IommuError> {
        self.ask(Asked::Detach(streams.first.get()))
    }
    fn invalidate(&mut self, _vmid: Vmid) -> Result<(), IommuError> {
        Ok(())
    }
    fn mute(&mut self, streams: Streams) -> Result<(), IommuError> {
        self.ask(Asked::Mute(streams.first.get(), streams.count))
    }
    fn next_fault(&mut self) -> Option<Fault> {
        let mut fake = self.0.borrow_mut();
        fake.endless.or_else(|| fake.faults.pop_front())
    }
    fn discard_faults(&mut self) -> Option<Failure> {
        let _ = self.ask(Asked::Discard);
        self.0.borrow().endless.map(|_| Failure::FaultsIgnored)
    }
    fn next_failure(&mut self) -> Option<Failure> {
        self.0.borrow_mut().failures.pop_front()
    }
}

const fn owned(first: u32, count: u32, partition: usize) -> OwnedStreams {
    OwnedStreams {
        streams: Streams::range(StreamId::new(first), count),
        partition: PartitionId::new(partition as u8),
        device: "/device",
    }
}

const OWNED: &[OwnedStreams] = &[
    owned(8, 4, LINUX),
    owned(16, 1, RT),
    OwnedStreams {
        device: "/other",
        ..owned(32, 2, LINUX)
    },
];

const CONFIG: Config = Config {
    path: "/smmu",
    kind: IommuKind::SmmuV3,
    registers: PhysicalRange {
        base: Pa::new(0x905_0000),
        size: 0x2_0000,
    },
    instances: &[],
    coherent: true,
    interrupts: &[IntId::new(106), IntId::new(109)],
    owned: OWNED,
};

/// Of the system counter.
const FREQUENCY: u64 = 1_000_000_000;

fn unit() -> (Unit<Shared>, Shared) {
    let driver = Shared::default();
    let attention = Vec::leak(OWNED.iter().map(|_| Attention::new()).collect());
    let unit = Unit::new(&CONFIG, driver.clone(), attention, FREQUENCY);
    (unit, driver)
}

#[test]
fn devices_reach_a_list_of_their_own_where_there_is_one_and_else_what_the_cpus_reach() {
    const OWN: &[Mapping] = &[Mapping {
        ipa: model::Ipa::new(0x1000),
        pa: Pa::new(0x1000),
        size: 0x1000,
        kind: model::memory::MemoryKind::Ram,
    }];
    let config = *World::new().hypervisor.partitions[LINUX].config;
    assert_eq!(reached_by_devices(&config), config.memory);
    let config = model::partition::Partition { dma: OWN, ..config };
    assert_eq!(reached_by_devices(&config), OWN);
}

fn fault(stream: u32) -> Fault {
    Fault {
        source: Source::Stream(StreamId::new(stream)),
        cause: Cause::Translation,
        address: None,
        access: Some(Access::Write),
        class: None,
    }
}

/// Which partition, and how manieth of its faults.
fn told() -> Vec<(Option<usize>, u64)> {
    let told = fake::events().into_iter().filter_map(|event| match event {
        Event::Dma(DmaEvent::Fault {
            partition, count, ..
        }) => Some((partition.map(|one| usize::from(one.get())), count)),
        _ => None,
    });
    told.collect()
}

/// Serves interrupts of the IOMMU until none is pending.
fn settle(unit: &Unit<Shared>, hypervisor: &Hypervisor<fake::FakeMachine>) {
    let pended = || fake::times(Done::SetPending(106));
    let again = |_: &usize| {
        let before = pended();
        unit.serve(hypervisor);
        pended() != before
    };
    assert_ne!((0..1000).take_while(again).count(), 1000);
}

#[test]
fn start_of_a_partition_attaches_its_streams_to_its_tables_and_no_others() {
    let world = World::new();
    let (unit, driver) = unit();
    unit.admit(world.hypervisor, &world.hypervisor.partitions[LINUX]);
    let domain = Domain {
        vmid: Vmid::new(1),
        root: Pa::new(0),
        ipa_bits: world.hypervisor.system.ipa_bits,
    };
    let expected = [Asked::Attach(8, domain), Asked::Attach(32, domain)];
    assert_eq!(driver.take_asked(), expected);
}

#[test]
fn stop_of_a_partition_detaches_its_streams() {
    let world = World::new();
    let (unit, driver) = unit();
    unit.deny(world.hypervisor, &world.hypervisor.partitions[LINUX]);
    assert_eq!(driver.take_asked(), [Asked::Detach(8), Asked::Detach(32)]);
}

#[test]
fn fault_names_device_and_partition_and_counts() {
    let world = World::new();
    let (unit, driver) = unit();
    driver
        .0
        .borrow_mut()
        .faults
        .extend([fault(9), fault(33), fault(16)]);
    settle(&unit, world.hypervisor);
    assert_eq!(told(), [(Some(LINUX), 1), (Some(LINUX), 2), (Some(RT), 1)]);
    let first = Event::Dma(DmaEvent::Fault {
        partition: Some(PartitionId::new(LINUX as u8)),
        device: "/device",
        fault: fault(9),
        count: 1,
    });
    assert_eq!(fake::events()[0], first);
}

#[test]
fn stream_of_nobody_is_told_by_the_iommus_path_and_muted_at_once() {
    let world = World::new();
    let (unit, driver) = unit();
    driver.0.borrow_mut().faults.push_back(fault(12));
    settle(&unit, world.hypervisor);
    assert_eq!(told(), [(None, 1)]);
    assert_eq!(driver.take_asked(), [Asked::Mute(12, 1)]);
    let muted = Event::Dma(DmaEvent::Muted { device: "/smmu" });
    assert_eq!(fake::events().last(), Some(&muted));
}

#[test]
fn fault_of_one_of_several_devices_is_told_by_partition_and_iommu_and_mutes_them_all() {
    let world = World::new();
    let (unit, driver) = unit();
    let fault = |vmid| Fault {
        source: Source::Partition(Vmid::new(vmid)),
        ..fault(0)
    };
    let linux = world.hypervisor.partitions[LINUX].config.vmid.get();
    let many = (0..MOST_HEARD).map(|_| fault(linux));
    driver.0.borrow_mut().faults.extend(many);
    settle(&unit, world.hypervisor);
    assert_eq!(driver.take_asked(), [Asked::Mute(8, 4), Asked::Mute(32, 2)]);
    let first = Event::Dma(DmaEvent::Fault {
        partition: Some(PartitionId::new(LINUX as u8)),
        device: "/smmu",
        fault: fault(linux),
        count: 1,
    });
    assert_eq!(fake::events()[0], first);
}

#[test]
fn fault_of_the_partitions_only_device_is_told_by_the_devices_path() {
    let world = World::new();
    let (unit, driver) = unit();
    let fault = Fault {
        source: Source::Partition(world.hypervisor.partitions[RT].config.vmid),
        ..fault(0)
    };
    driver.0.borrow_mut().faults.push_back(fault);
    settle(&unit, world.hypervisor);
    let told = Event::Dma(DmaEvent::Fault {
        partition: Some(PartitionId::new(RT as u8)),
        device: "/device",
        fault,
        count: 1,
    });
    assert_eq!(fake::events(), [told]);
}

#[test]
fn fault_of_nobody_knows_which_stream_is_told_once_and_mutes_nothing() {
    let world = World::new();
    let (unit, driver) = unit();
    let fault = Fault {
        source: Source::Nobody,
        ..fault(0)
    };
    driver.0.borrow_mut().faults.push_back(fault);
    settle(&unit, world.hypervisor);
    assert_eq!(told(), [(None, 1)]);
    assert_eq!(driver.take_asked(), []);
}

#[test]
fn device_is_muted_once_after_so_many_faults_and_heard_again_after_a_start() {
    let world = World::new();
    let (unit, driver) = unit();
    let mut heard = Vec::new();
    // At first, after a start a second later, and after one at once.
    for ticks in [FREQUENCY, 0, 0] {
        let before = told().len();
        let many = (0..MOST_HEARD + 4).map(|_| fault(10));
        driver.0.borrow_mut().faults.extend(many);
        settle(&unit, world.hypervisor);
        assert_eq!(driver.take_asked(), [Asked::Mute(8, 4)]);
        heard.push(told().len() - before);
        fake::advance(ticks);
        unit.admit(world.hypervisor, &world.hypervisor.partitions[LINUX]);
        driver.take_asked();
    }
    assert_eq!(heard, [MOST_HEARD as usize, MOST_HEARD as usize, 1]);
}

#[test]
fn faults_without_end_are_discarded_after_a_bounded_number() {
    let world = World::new();
    let (unit, driver) = unit();
    driver.0.borrow_mut().endless = Some(fault(9));
    settle(&unit, world.hypervisor);
    assert_eq!(told().len(), MOST_HEARD as usize);
    let linux = &world.hypervisor.partitions[LINUX];
    assert_eq!(linux.faults(), MOST_AT_ONCE as u64);
    assert_eq!(driver.take_asked(), [Asked::Mute(8, 4), Asked::Discard]);
    let ignored = Event::Dma(DmaEvent::Failure {
        iommu: "/smmu",
        failure: Failure::FaultsIgnored,
    });
    assert_eq!(fake::events().last(), Some(&ignored));
}

#[test]
fn failures_are_told_with_the_iommus_path_up_to_a_bound() {
    let world = World::new();
    let (unit, driver) = unit();
    let failures = [Failure::OutOfService; 5];
    driver.0.borrow_mut().failures.extend(failures);
    settle(&unit, world.hypervisor);
    assert_eq!(fake::events().len(), MOST_FAILURES);
}

#[test]
fn error_of_the_iommu_is_told_but_not_that_nothing_was_attached() {
    let world = World::new();
    let linux = &world.hypervisor.partitions[LINUX];
    let (unit, driver) = unit();
    driver.0.borrow_mut().error = Some(IommuError::NotAttached(StreamId::new(8)));
    unit.deny(world.hypervisor, linux);
    assert_eq!(fake::events(), []);
    let error = IommuError::Stuck(0x9c);
    driver.0.borrow_mut().error = Some(error);
    unit.deny(world.hypervisor, linux);
    let iommu = "/smmu";
    let told = Event::Dma(DmaEvent::Error { iommu, error });
    assert_eq!(fake::events(), [told, told]);
}

#[test]
fn fault_stops_a_partition_from_another_pcpu_by_its_policy() {
    for (on_fault, kicked) in [
        (FaultPolicy::Inject, false),
        (FaultPolicy::Stop, true),
        (FaultPolicy::Restart, true),
    ] {
        let world = World::with(|linux| linux.on_fault = on_fault);
        let mut linux = world.guest(LINUX, 0);
        linux.bring_up();
        let (unit, driver) = unit();
        driver.0.borrow_mut().faults.extend([fault(9), fault(9)]);
        take_done();
        run_on(2, || settle(&unit, world.hypervisor));
        let kicks = take_done()
            .into_iter()
            .filter(|done| matches!(done, Done::Kick(_)));
        // Both virtual CPUs, once.
        assert_eq!(kicks.count(), if kicked { 2 } else { 0 }, "{on_fault:?}");
    }
}

#[test]
fn fault_ends_the_system_where_the_policy_says_so() {
    let world = World::with(|linux| linux.on_fault = FaultPolicy::StopSystem);
    let (unit, driver) = unit();
    driver.0.borrow_mut().faults.push_back(fault(9));
    let outcome = run_on(2, || settle(&unit, world.hypervisor));
    assert_eq!(outcome, Outcome::Ended(world.hypervisor.system.end));
}

#[test]
fn one_told_fault_is_served_and_the_rest_comes_on_the_cpu_of_its_author() {
    let world = World::new();
    let (unit, driver) = unit();
    let home = |partition: usize| world.hypervisor.partitions[partition].vcpus[0].home.get();
    let faults = [fault(16), fault(16), fault(9)];
    driver.0.borrow_mut().faults.extend(faults);
    take_done();
    let mut served = Vec::new();
    while unit.serve(world.hypervisor) {
        let told = told().len();
        let done = take_done().into_iter();
        let hardware = done.filter(|done| !matches!(done, Done::Record(_)));
        served.push((told, hardware.collect::<Vec<Done>>()));
    }
    let route = |partition| [106, 109].map(|intid| Done::Route(intid, home(partition)));
    let again = Done::SetPending(106);
    let [one, two] = route(RT);
    let [three, four] = route(LINUX);
    let expected = [
        (1, vec![one, two, again]),
        (1, vec![again]),
        (1, vec![three, four, again]),
    ];
    assert_eq!(served, expected);
    assert_eq!(take_done(), []);
}

#[test]
fn faults_of_a_muted_device_are_served_a_few_at_a_time() {
    let world = World::new();
    let (unit, driver) = unit();
    let many = (0..MOST_HEARD as usize + 2 * MOST_UNTOLD + 1).map(|_| fault(16));
    driver.0.borrow_mut().faults.extend(many);
    let left = || driver.0.borrow().faults.len();
    for _ in 0..MOST_HEARD {
        unit.serve(world.hypervisor);
    }
    let steps = [MOST_UNTOLD + 1, 1, 0].map(|expected| {
        unit.serve(world.hypervisor);
        left() == expected
    });
    assert_eq!(steps, [true; 3]);
}
