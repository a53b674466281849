//! Virtual CPUs as others reach them: where each one runs, and what is left for it there.

use model::PartitionId;
use model::x86::{Partition, Vcpu};
#[cfg(feature = "shared")]
use x86_port::bell::Posted;
use x86_port::phase::Gathering;
use x86_port::signal::Mailbox;

use crate::partition::Costs;
use crate::{SYSTEM, apic};

/// Virtual CPUs of the system.
pub const VCPUS: usize = first_of(SYSTEM.partitions.len());

/// The place of a partition's first virtual CPU among all of the system; behind the last partition, how many there are.
const fn first_of(partition: usize) -> usize {
    let (mut sum, mut i) = (0, 0);
    while i < partition && i < SYSTEM.partitions.len() {
        #[allow(clippy::indexing_slicing, reason = "bounded by the loop")]
        let count = SYSTEM.partitions[i].vcpus.len();
        assert!(count <= Gathering::MOST, "the compiler refuses more than 8");
        sum += count;
        i += 1;
    }
    sum
}

/// What the exits of each have cost.
static COSTS: [Costs; VCPUS] = [const { Costs::NEW }; VCPUS];
/// What waits for each.
static MAILBOXES: [Mailbox; VCPUS] = [const { Mailbox::new() }; VCPUS];
/// Interrupts from outside of those whose local APIC is virtual.
#[cfg(feature = "shared")]
static POSTED: [Posted; VCPUS] = [const { Posted::new() }; VCPUS];

/// A virtual CPU.
#[derive(Clone, Copy)]
pub struct Seat {
    /// Its place among all of the system.
    pub index: usize,
    /// Its number within the partition.
    pub number: usize,
    /// Its partition.
    pub partition: PartitionId,
    /// Its partition as it was built.
    pub whole: &'static Partition,
    /// As it was built.
    pub config: &'static Vcpu,
}

/// A virtual CPU of a partition. `None`: there is none with that number.
pub fn of(partition: PartitionId, number: usize) -> Option<Seat> {
    all_of(partition).nth(number)
}

/// All of a partition.
pub fn all_of(partition: PartitionId) -> impl Iterator<Item = Seat> + Clone {
    let place = usize::from(partition.get());
    let first = first_of(place);
    let whole = SYSTEM.partitions.get(place).into_iter();
    whole.flat_map(move |whole| {
        let numbered = whole.vcpus.iter().enumerate();
        numbered.map(move |(number, config)| Seat {
            index: first + number,
            number,
            partition,
            whole,
            config,
        })
    })
}

/// All of the system that have this pCPU for themselves, or share it.
pub fn on(pcpu: usize, sharing: bool) -> impl Iterator<Item = Seat> {
    let partitions = (0..).zip(SYSTEM.partitions);
    let partitions = partitions.filter(move |(_, config)| config.shares() == sharing);
    let all = partitions.flat_map(|(partition, _)| all_of(PartitionId::new(partition)));
    all.filter(move |seat| usize::from(seat.config.pcpu.get()) == pcpu)
}

impl Seat {
    /// The x2APIC identifier of its physical CPU.
    pub fn physical(self) -> Option<u32> {
        let pcpu = SYSTEM.pcpus.get(usize::from(self.config.pcpu.get()));
        pcpu.map(|pcpu| pcpu.apic)
    }

    /// Has its physical CPU look around.
    pub fn call(self) {
        if let Some(apic) = self.physical() {
            apic::send_nmi(apic);
        }
    }

    /// Interrupts it by a vector from 16 on.
    pub fn interrupt(self, vector: u8) {
        #[cfg(feature = "shared")]
        if self.whole.shares() {
            if self.posted().is_some_and(|posted| posted.post(vector)) {
                self.call();
            }
            return;
        }
        if let Some(apic) = self.physical() {
            apic::send_interrupt(apic, vector);
        }
    }

    /// What waits for it.
    pub fn mailbox(self) -> Option<&'static Mailbox> {
        MAILBOXES.get(self.index)
    }

    /// What its exits have cost.
    pub fn costs(self) -> Option<&'static Costs> {
        COSTS.get(self.index)
    }

    /// Interrupts from outside, if it shares its CPU.
    #[cfg(feature = "shared")]
    pub fn posted(self) -> Option<&'static Posted> {
        POSTED.get(self.index)
    }
}
