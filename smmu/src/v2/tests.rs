//! The driver against the model.

use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::iommu::{Iommu as Config, IommuKind, OwnedStreams, Streams};
use model::memory::PhysicalRange;
use model::{Ipa, Pa, PartitionId, StreamId, Vmid};

use super::SmmuV2;
use super::register_model::{Behaviour, Handle, MEMORY, Model, Outcome, Tlb};
use crate::memory::PAGE_WORDS;
use crate::{Access, Cause, Class, Domain, Failure, Fault, Iommu, IommuError, Source};

const fn owned(first: u32, count: u32, partition: u8) -> OwnedStreams {
    OwnedStreams {
        streams: Streams::range(StreamId::new(first), count),
        partition: PartitionId::new(partition),
        device: "/device",
    }
}

/// A device of the first partition, two of the second.
const OWNED: &[OwnedStreams] = &[owned(0x870, 1, 4), owned(0x874, 4, 2), owned(0x880, 3, 2)];
/// Entries that lead to the first partition's context bank.
const FIRST: Streams = OWNED[0].streams;
const SECOND: Streams = OWNED[1].streams;
const THIRD: Streams = OWNED[2].streams;

const fn config(owned: &'static [OwnedStreams], kind: IommuKind) -> Config {
    Config {
        path: "/smmu",
        kind,
        registers: PhysicalRange {
            base: Pa::new(0xfd80_0000),
            size: 0x2_0000,
        },
        instances: &[],
        coherent: true,
        interrupts: &[],
        owned,
    }
}

static MMU_500: Config = config(OWNED, IommuKind::Mmu500);

/// The page that each partition sees at [`SEEN`]; the next one it may only read, the one behind has no access flag, and behind that is a
/// table that no memory answers for.
const HELD: [u64; 2] = [0x9000_0000, 0xa000_0000];
const SEEN: u64 = 0x4000_0000;
const READ_ONLY: u64 = SEEN + 0x1000;
const UNFLAGGED: u64 = SEEN + 0x2000;
const WIDE: u64 = SEEN + 0x3000;
const NO_TABLE: u64 = SEEN + 0x20_0000;

struct Machine {
    words: Rc<[AtomicU64]>,
    hardware: Handle,
}

impl Machine {
    fn new(behaviour: Behaviour) -> Self {
        Self::with_tlb(behaviour, Tlb::default())
    }

    /// An SMMU with this TLB, and the tables of two partitions.
    fn with_tlb(behaviour: Behaviour, tlb: Tlb) -> Self {
        let words: Rc<[AtomicU64]> = (0..8 * PAGE_WORDS).map(|_| AtomicU64::new(0)).collect();
        let machine = Self {
            hardware: Model::with_memory(behaviour, words.clone(), tlb),
            words,
        };
        for (partition, held) in HELD.into_iter().enumerate() {
            machine.map(partition, held);
        }
        machine
    }

    fn map(&self, partition: usize, held: u64) {
        let tables = self.tables(partition);
        let put = |page: usize, entry: usize, value: u64| {
            let index = (4 * partition + page) * PAGE_WORDS + entry;
            self.words[index].store(value, Ordering::SeqCst);
        };
        // Two tables side by side: 40 bits.
        put(0, 1, (tables + 0x2000) | 3);
        put(2, 0, (tables + 0x3000) | 3);
        put(2, 1, 0x1000 | 3);
        put(3, 0, held | 0x7ff);
        put(3, 1, (held + 0x1000) | 0x77f);
        put(3, 2, (held + 0x2000) | 0x3ff);
        put(3, 3, 1 << 45 | 0x7ff);
    }

    fn tables(&self, partition: usize) -> u64 {
        MEMORY + (4 * partition * 4096) as u64
    }

    fn domain(&self, partition: usize) -> Domain {
        Domain {
            vmid: Vmid::new(partition as u16 + 1),
            root: Pa::new(self.tables(partition)),
            ipa_bits: 40,
        }
    }

    fn driver(&self) -> SmmuV2<Handle> {
        SmmuV2::new(self.hardware.clone(), &MMU_500).unwrap()
    }

    /// A driver with all streams attached.
    fn attached(&self) -> SmmuV2<Handle> {
        let mut driver = self.driver();
        for (streams, partition) in [(FIRST, 0), (SECOND, 1), (THIRD, 1)] {
            driver.attach(streams, &self.domain(partition)).unwrap();
        }
        driver
    }

    fn write(&self, stream: u32, address: u64) -> Outcome {
        self.hardware.0.borrow_mut().access(stream, address, true)
    }

    fn read(&self, stream: u32, address: u64) -> Outcome {
        self.hardware.0.borrow_mut().access(stream, address, false)
    }

    fn interrupts(&self) -> bool {
        self.hardware.0.borrow().interrupts()
    }

    fn bypassed(&self) -> bool {
        self.hardware.0.borrow().bypassed
    }
}

fn fault(stream: u32, cause: Cause, address: u64, access: Access, class: Option<Class>) -> Fault {
    Fault {
        source: Source::Stream(StreamId::new(stream)),
        cause,
        address: Some(Ipa::new(address)),
        access: Some(access),
        class,
    }
}

mod attaching;
mod costs;
mod faults;
mod limits;
mod start;
