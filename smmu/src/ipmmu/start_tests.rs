//! The image's start-up against the model: what `platforms` calls, with the model's registers at the addresses of a system's table.

use std::sync::atomic::AtomicU64;

use model::iommu::{Iommu as Config, IommuKind, OwnedStreams, Streams};
use model::ipmmu::{Generation, Ipmmu, Revision, Tables};
use model::memory::PhysicalRange;
use model::{Pa, PartitionId, StreamId, Vmid};

use super::register_model::{Behaviour, Handle, MEMORY, Model, Outcome, handles};
use crate::driver::{Driver, pages};
use crate::memory::PAGE_WORDS;
use crate::{Domain, Iommu, IommuError, RegisterFrame, SharedMemory};

const MAIN: PhysicalRange = range(0xe67b_0000);
const CACHES: &[PhysicalRange] = &[range(0xe674_0000), range(0xe774_0000)];
const PRODUCT: PhysicalRange = range(0xfff0_0000);

const fn range(base: u64) -> PhysicalRange {
    PhysicalRange {
        base: Pa::new(base),
        size: 0x1000,
    }
}

/// eMMC behind the second cache, as on R-Car H3.
const OWNED: &[OwnedStreams] = &[OwnedStreams {
    streams: Streams::one(StreamId::new(Ipmmu::stream(1, 32))),
    partition: PartitionId::new(0),
    device: "/soc/mmc@ee140000",
}];

const fn config(owned: &'static [OwnedStreams]) -> Config {
    Config {
        path: "/soc/iommu@e67b0000",
        kind: IommuKind::Ipmmu(Ipmmu {
            generation: Generation::Gen3,
            tables: Tables::Stage2,
            revision: Some(Revision {
                register: Pa::new(0xfff0_0044),
                least: 0x20,
            }),
        }),
        registers: MAIN,
        instances: CACHES,
        coherent: false,
        interrupts: &[],
        owned,
    }
}

static USED: Config = config(OWNED);
static UNUSED: Config = config(&[]);

/// Registers at an address: of an instance, or of the chip.
enum Frame {
    Instance(Handle),
    Product(u32),
}

impl RegisterFrame for Frame {
    fn read(&mut self, offset: usize) -> u32 {
        match self {
            Self::Instance(handle) => handle.read(offset),
            Self::Product(product) if offset == 0x44 => *product,
            Self::Product(_) => panic!("{offset:#x}"),
        }
    }

    fn write(&mut self, offset: usize, value: u32) {
        match self {
            Self::Instance(handle) => handle.write(offset, value),
            Self::Product(_) => panic!("{offset:#x}"),
        }
    }
}

struct Started {
    hardware: std::rc::Rc<std::cell::RefCell<Model>>,
    driver: Result<Option<Driver<Frame>>, IommuError>,
}

/// Starts it on a chip of this revision, with these pages of memory.
fn start(config: &'static Config, product: u32, pages: usize) -> Started {
    let words: std::rc::Rc<[AtomicU64]> = (0..8 * PAGE_WORDS).map(|_| AtomicU64::new(0)).collect();
    let behaviour = Behaviour {
        caches: 2,
        ..Behaviour::GEN3
    };
    let hardware = Model::new(behaviour, words.clone());
    // A partition's tables behind what the driver has: a block of 1 GiB at the same address.
    let at = |page: usize| page * PAGE_WORDS;
    words[at(2) + 2].store(0x8000_0000 | 0x7fd, std::sync::atomic::Ordering::SeqCst);
    let (main, caches) = handles(&hardware);
    let mut frame = |registers: PhysicalRange| match registers {
        MAIN => Frame::Instance(main.clone()),
        PRODUCT => Frame::Product(product),
        other => {
            let place = CACHES.iter().position(|one| *one == other).unwrap();
            Frame::Instance(caches[place].clone())
        }
    };
    let own = (0..pages * PAGE_WORDS).map(|_| AtomicU64::new(0)).collect();
    let mut memory = SharedMemory::new(Vec::leak(own), Pa::new(MEMORY));
    let driver = Driver::start(&mut frame, config, &mut memory);
    Started { hardware, driver }
}

#[test]
fn started_ipmmu_denies_until_its_stream_is_attached() {
    let started = start(&USED, 0x4f20, pages(USED.kind, USED.owned));
    let mut driver = started.driver.ok().flatten().unwrap();
    let write = || {
        started
            .hardware
            .borrow_mut()
            .access(1, 32, 0x8000_0040, true)
    };
    assert_eq!(write(), Outcome::Aborted);
    let domain = Domain {
        vmid: Vmid::new(1),
        root: Pa::new(MEMORY + 0x2000),
        ipa_bits: 36,
    };
    driver.attach(OWNED[0].streams, &domain).unwrap();
    assert_eq!(write(), Outcome::Reached(0x8000_0040));
    driver.detach(OWNED[0].streams).unwrap();
    assert_eq!(write(), Outcome::Aborted);
}

#[test]
fn ipmmu_that_nobody_uses_denies_for_ever() {
    let started = start(&UNUSED, 0x4f20, pages(UNUSED.kind, UNUSED.owned));
    assert!(matches!(started.driver, Ok(None)));
    let mut hardware = started.hardware.borrow_mut();
    for cache in [0, 1] {
        assert_eq!(
            hardware.access(cache, 32, 0x8000_0000, true),
            Outcome::Aborted
        );
    }
}

#[test]
fn chip_that_is_too_old_is_refused_before_anything_is_written() {
    let started = start(&USED, 0x4f10, 1);
    assert!(matches!(started.driver, Err(IommuError::Lacks(_))));
    assert_eq!(started.hardware.borrow().writes, 0);
}

#[test]
fn too_little_memory_is_an_error() {
    let started = start(&USED, 0x4f20, 0);
    assert!(matches!(started.driver, Err(IommuError::Memory)));
}
