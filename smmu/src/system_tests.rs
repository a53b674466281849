//! The image's start-up with the table of a whole system, as the configuration compiler wrote it for a board: every IOMMU against its register
//! model, at the table's own addresses, with its streams. For the feature `system`, with the table's path in `BULKHEAD_SYSTEM`.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::iommu::{Iommu as Config, IommuKind};
use model::ipmmu::{Generation, Ipmmu, Tables};
use model::memory::PhysicalRange;
use model::{Pa, PartitionId};

use crate::driver::{Driver, pages};
use crate::ipmmu::register_model as ipmmu;
use crate::memory::PAGE_WORDS;
use crate::v2::register_model as two;
use crate::v3::register_model as three;
use crate::{Domain, Iommu, RegisterFrame, SharedMemory};

mod table {
    include!(env!("BULKHEAD_SYSTEM"));
}
use table::SYSTEM;

/// Memory of the models: the drivers' own, then two pages of tables for each partition.
const MEMORY: u64 = 0x8000_0000;
/// Behind what any driver takes; aligned to the largest root.
const TABLES: usize = 64;
/// The first gigabyte of a partition's memory, as it sees it.
const SEEN: u64 = 0x4000_0000;
const INSIDE: u64 = 0x1234_5640;

/// Where that gigabyte lies.
const fn held(partition: PartitionId) -> u64 {
    (4 + partition.get() as u64) << 30
}

/// A root is aligned to its size: 8 pages at most.
const fn root(partition: PartitionId) -> usize {
    TABLES + 8 * partition.get() as usize
}

/// Memory with a table for each partition, a block of 1 GiB in it.
fn memory(tables: Tables) -> Rc<[AtomicU64]> {
    let total = (TABLES + 8 * SYSTEM.partitions.len()) * PAGE_WORDS;
    let words: Rc<[AtomicU64]> = (0..total).map(|_| AtomicU64::new(0)).collect();
    for index in 0..SYSTEM.partitions.len() {
        let partition = PartitionId::new(index as u8);
        let root = root(partition);
        let put = |page: usize, entry: usize, value: u64| {
            words[page * PAGE_WORDS + entry].store(value, Ordering::SeqCst);
        };
        match tables {
            Tables::Stage1 => put(root, 1, held(partition) | 0x661),
            Tables::Stage2 if SYSTEM.ipa_bits <= 42 => put(root, 1, held(partition) | 0x7fd),
            Tables::Stage2 => {
                let next = MEMORY + (root as u64 + 1) * 4096;
                put(root, 0, next | 3);
                put(root + 1, 1, held(partition) | 0x7fd);
            }
        }
    }
    words
}

/// Starts the IOMMU as the image does; then each owner's streams reach its memory while they are attached, and nothing before and after.
/// `access`: where a write of a stream goes.
fn starts_and_serves<R: RegisterFrame>(
    config: &'static Config,
    words: &Rc<[AtomicU64]>,
    mut frame: impl FnMut(PhysicalRange) -> R,
    access: impl Fn(u32, u64) -> Option<u64>,
) {
    // The memory that an image has for ever.
    let kept: &'static [AtomicU64] = Box::leak(Box::new(words.clone()));
    let own = pages(config.kind, config.owned);
    assert!(own <= TABLES, "{}", config.path);
    let mut memory = SharedMemory::new(&kept[..own * PAGE_WORDS], Pa::new(MEMORY));
    let driver = Driver::start(&mut frame, config, &mut memory).unwrap();
    assert_eq!(driver.is_none(), config.owned.is_empty(), "{}", config.path);
    let Some(mut driver) = driver else {
        return assert_eq!(access(0, SEEN), None, "{}", config.path);
    };
    for owned in config.owned {
        let domain = Domain {
            vmid: SYSTEM.partitions[usize::from(owned.partition.get())].vmid,
            root: Pa::new(MEMORY + root(owned.partition) as u64 * 4096),
            ipa_bits: SYSTEM.ipa_bits,
        };
        for stream in [owned.streams.first, owned.streams.last()] {
            let write = || access(stream.get(), SEEN + INSIDE);
            assert_eq!(write(), None, "{} before its start", owned.device);
            driver.attach(owned.streams, &domain).unwrap();
            let place = held(owned.partition) + INSIDE;
            assert_eq!(write(), Some(place), "{} inside", owned.device);
            let outside = access(stream.get(), SEEN + (1 << 30));
            assert_eq!(outside, None, "{} outside", owned.device);
            driver.detach(owned.streams).unwrap();
            assert_eq!(write(), None, "{} after its stop", owned.device);
        }
    }
}

/// An SMMUv3 as this table says.
fn smmu_v3(config: &'static Config) {
    let words = memory(Tables::Stage2);
    let behaviour = three::Behaviour {
        one_page: config.kind == IommuKind::SmmuV3OnePage,
        ..three::Behaviour::USUAL
    };
    let hardware = three::Model::with_memory(behaviour, words.clone());
    let frame = |registers| {
        assert_eq!(registers, config.registers);
        hardware.clone()
    };
    starts_and_serves(config, &words, frame, |stream, address| {
        match hardware.0.borrow_mut().access(stream, address, true) {
            three::Outcome::Reached(place) => Some(place),
            three::Outcome::Aborted => None,
        }
    });
}

/// Stream numbers of 16 bits, as PCI needs them; 128 entries, 128 banks, and as many pages of 64 KiB as 32 MiB of registers hold.
const CAVIUM: two::Behaviour = two::Behaviour {
    idr0: 0xfc01_5f80,
    idr1: 0xf000_0080,
    ..two::Behaviour::USUAL
};

/// An SMMUv2.
fn smmu_v2(config: &'static Config) {
    let words = memory(Tables::Stage2);
    let behaviour = match config.kind {
        IommuKind::Mmu500 => two::Behaviour::USUAL,
        _ => CAVIUM,
    };
    let hardware = two::Model::with_memory(behaviour, words.clone(), two::Tlb::default());
    let frame = |registers| {
        assert_eq!(registers, config.registers);
        hardware.clone()
    };
    starts_and_serves(config, &words, frame, |stream, address| {
        match hardware.0.borrow_mut().access(stream, address, true) {
            two::Outcome::Reached(place) => Some(place),
            two::Outcome::Aborted => None,
        }
    });
}

/// Registers of an IPMMU's system: of an instance, or of the chip.
enum Frame {
    Instance(ipmmu::Handle),
    Product(u64, u32),
}

impl RegisterFrame for Frame {
    fn read(&mut self, offset: usize) -> u32 {
        match self {
            Self::Instance(handle) => handle.read(offset),
            Self::Product(register, value) if offset as u64 == *register => *value,
            Self::Product(..) => panic!("{offset:#x}"),
        }
    }

    fn write(&mut self, offset: usize, value: u32) {
        match self {
            Self::Instance(handle) => handle.write(offset, value),
            Self::Product(..) => panic!("{offset:#x}"),
        }
    }
}

/// An IPMMU on a chip of the oldest revision that the table allows.
fn ipmmu(config: &'static Config, what: Ipmmu) {
    let words = memory(what.tables);
    let behaviour = ipmmu::Behaviour {
        caches: config.instances.len(),
        ..match what.generation {
            Generation::Gen3 => ipmmu::Behaviour::GEN3,
            Generation::Gen4 => ipmmu::Behaviour::GEN4,
        }
    };
    let hardware = ipmmu::Model::new(behaviour, words.clone());
    let (main, caches) = ipmmu::handles(&hardware);
    let frame = |registers| {
        if registers == config.registers {
            return Frame::Instance(main.clone());
        }
        let mut instances = config.instances.iter();
        if let Some(place) = instances.position(|one| *one == registers) {
            return Frame::Instance(caches[place].clone());
        }
        let revision = what.revision.unwrap();
        assert_eq!(registers, revision.page());
        let register = revision.register.get() - registers.base.get();
        Frame::Product(register, revision.least.into())
    };
    starts_and_serves(config, &words, frame, |stream, address| {
        let (cache, number) = ((stream >> 8) as usize, (stream & 0xff) as usize);
        match hardware.borrow_mut().access(cache, number, address, true) {
            ipmmu::Outcome::Reached(place) => Some(place),
            ipmmu::Outcome::Aborted => None,
        }
    });
}

#[test]
fn every_iommu_of_the_system_starts_and_confines_its_streams() {
    let mut kinds = BTreeSet::new();
    for config in SYSTEM.iommus {
        match config.kind {
            IommuKind::SmmuV3 | IommuKind::SmmuV3OnePage => smmu_v3(config),
            IommuKind::SmmuV2 | IommuKind::Mmu500 => smmu_v2(config),
            IommuKind::Ipmmu(what) => ipmmu(config, what),
        }
        kinds.insert(config.kind.compatible());
    }
    assert!(!kinds.is_empty(), "{} has no IOMMU", SYSTEM.name);
    let streams = SYSTEM.iommus.iter().map(|one| one.owned.len());
    println!(
        "{} IOMMUs, {} owned streams",
        SYSTEM.iommus.len(),
        streams.sum::<usize>()
    );
}
