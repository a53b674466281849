//! DMA at run time: devices of a partition reach its memory while its image is in place, and what they try beyond it is named, counted
//! and answered as the partition's configuration says.
//!
//! What a storm of faults costs is bounded: a device is heard as often as its [`Attention`] lasts, a stream of nobody once, and then muted
//! at the IOMMU. It stays as confined as before. So a partition that starts again and again to make faults is heard [`MOST_HEARD`] times
//! in a row, then [`PER_SECOND`] times a second, and once more for each start.
//!
//! And the storm costs its author: an IOMMU's interrupts go to the CPU of the partition whose device was refused last. Another partition
//! loses the time in which one fault is told, when the author changes.

mod attention;
#[cfg(feature = "measure")]
pub mod measure;

pub use attention::{Attention, MOST_HEARD, PER_SECOND};

use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use gic::InterruptController;
use model::iommu::{Iommu as Config, OwnedStreams, Streams};
use model::memory::Mapping;
use model::partition::FaultPolicy;
use model::{IntId, PartitionId};
use smmu::{Domain, Failure, Fault, Iommu, IommuError, Source};

use crate::event::Event;
use crate::machine::{Cpu, Machine};
use crate::partition::{Partition, request};
use crate::power::Then;
use crate::sync::{Rank, TicketLock};
use crate::vcpu::Hypervisor;

/// Faults that are served until there is none; what is more is forgotten.
const MOST_AT_ONCE: u32 = 128;
/// Faults that one interrupt serves when none of them is told. It serves one that is.
const MOST_UNTOLD: usize = 8;
/// Failures that one interrupt serves: as many as there are kinds of them.
const MOST_FAILURES: usize = 4;

/// What an IOMMU has to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DmaEvent {
    /// An access was refused.
    Fault {
        /// Whose device it was; `None` when nobody owns the stream.
        partition: Option<PartitionId>,
        /// Path of the device; of the IOMMU when nobody owns the stream, or when it is not known which of the partition's devices it was.
        device: &'static str,
        /// The access.
        fault: Fault,
        /// How many faults the partition has had, this one included; 1 when nobody owns the stream.
        count: u64,
    },
    /// Further faults of the device are not heard before its partition starts again.
    Muted {
        /// Its path, or that of the IOMMU when nobody owns the stream.
        device: &'static str,
    },
    /// Something befell the IOMMU.
    Failure {
        /// Its path.
        iommu: &'static str,
        /// What.
        failure: Failure,
    },
    /// The IOMMU did not do what it was to do.
    Error {
        /// Its path.
        iommu: &'static str,
        /// Why.
        error: IommuError,
    },
}

/// What a look at the faults of an IOMMU has found.
#[derive(Default)]
struct Look {
    /// How many it has served.
    faults: usize,
    /// There may be more.
    is_left: bool,
    /// Whose device made the last one.
    author: Option<PartitionId>,
}

/// An IOMMU, shared by all pCPUs.
pub struct Unit<D> {
    config: &'static Config,
    driver: TicketLock<D>,
    /// How often each of the owned streams is heard.
    attention: &'static [Attention],
    /// Ticks of the system counter in a second.
    frequency: u64,
    /// Faults that were served since there was none.
    served: AtomicU32,
    /// The partition on whose CPU its interrupts come: the place in the system's list, or more than there are.
    listener: AtomicU8,
}

impl<D: Iommu> Unit<D> {
    /// The IOMMU with its driver, the attention for each of [`Config::owned`], and the frequency of the system counter in Hz.
    pub fn new(
        config: &'static Config,
        driver: D,
        attention: &'static [Attention],
        frequency: u64,
    ) -> Self {
        Self {
            config,
            driver: TicketLock::new(Rank::Iommu, driver),
            attention,
            frequency,
            served: AtomicU32::new(0),
            listener: AtomicU8::new(u8::MAX),
        }
    }

    /// What the system says about it.
    pub const fn config(&self) -> &'static Config {
        self.config
    }

    /// True when it signals by this interrupt.
    pub fn has_interrupt(&self, intid: IntId) -> bool {
        self.config.interrupts.contains(&intid)
    }

    /// The streams here that the partition owns, with their places in the list.
    fn owned_by(
        &self,
        partition: PartitionId,
    ) -> impl Iterator<Item = (usize, &'static OwnedStreams)> {
        let all = self.config.owned.iter().enumerate();
        all.filter(move |(_, owned)| owned.partition == partition)
    }

    /// The partition's devices reach its memory from here on, and are heard again.
    pub fn admit<M: Machine>(&self, hypervisor: &Hypervisor<M>, partition: &Partition) {
        let domain = Domain {
            vmid: partition.config.vmid,
            root: partition.dma_root,
            ipa_bits: hypervisor.system.ipa_bits,
        };
        for (index, owned) in self.owned_by(partition.id) {
            if let Some(attention) = self.attention.get(index) {
                attention.renew(M::Cpu::now(), self.frequency);
            }
            let done = self.driver.lock().attach(owned.streams, &domain);
            self.check(hypervisor, done);
        }
    }

    /// The partition's devices reach nothing from here on. What they tried before is told now: it must not be held against the partition
    /// when it has started again.
    pub fn deny<M: Machine>(&self, hypervisor: &Hypervisor<M>, partition: &Partition) {
        let mut any = false;
        for (_, owned) in self.owned_by(partition.id) {
            let done = self.driver.lock().detach(owned.streams);
            // Before the first start they reach nothing anyway.
            if !matches!(done, Err(IommuError::NotAttached(_))) {
                self.check(hypervisor, done);
            }
            any = true;
        }
        if any {
            while self.look(hypervisor).is_left {}
        }
    }

    /// Serves an interrupt: tells what was refused, and what befell the IOMMU. Others whose interrupts wait come after one fault that is told:
    /// what is left is served by an interrupt of its own, on the CPU of the partition whose device was refused. True when a fault was served.
    pub fn serve<M: Machine>(&self, hypervisor: &Hypervisor<M>) -> bool {
        let look = self.look(hypervisor);
        if look.is_left {
            if let Some(author) = look.author {
                self.listen_at(hypervisor, author);
            }
            if let Some(intid) = self.config.interrupts.first() {
                hypervisor.machine.gic().set_pending(*intid);
            }
        }
        look.faults != 0
    }

    /// Serves some faults, and after the last one what befell the IOMMU.
    fn look<M: Machine>(&self, hypervisor: &Hypervisor<M>) -> Look {
        let mut look = Look::default();
        while look.faults < MOST_UNTOLD {
            let fault = self.driver.lock().next_fault();
            let Some(fault) = fault else {
                break;
            };
            look.faults += 1;
            let told;
            (look.author, told) = self.refused(hypervisor, &fault);
            if self.served.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_AT_ONCE {
                let failure = self.driver.lock().discard_faults();
                if let Some(failure) = failure {
                    self.failed(hypervisor, failure);
                }
                break;
            }
            if told || look.faults == MOST_UNTOLD {
                look.is_left = true;
                return look;
            }
        }
        self.served.store(0, Ordering::Relaxed);
        self.serve_failures(hypervisor);
        look
    }

    /// Has the interrupts come to the CPU of the author's first virtual CPU from here on.
    fn listen_at<M: Machine>(&self, hypervisor: &Hypervisor<M>, author: PartitionId) {
        let partition = hypervisor.partitions.get(usize::from(author.get()));
        let Some(vcpu) = partition.and_then(|partition| partition.vcpus.first()) else {
            return;
        };
        if self.listener.swap(author.get(), Ordering::Relaxed) != author.get() {
            for intid in self.config.interrupts {
                hypervisor.machine.gic().route(*intid, vcpu.home);
            }
        }
    }

    fn serve_failures<M: Machine>(&self, hypervisor: &Hypervisor<M>) {
        let failures = core::iter::from_fn(|| self.driver.lock().next_failure());
        for failure in failures.take(MOST_FAILURES) {
            self.failed(hypervisor, failure);
        }
    }

    /// The owned streams of which one made the access, with the place of their first one in the list.
    fn suspects<M: Machine>(
        &self,
        hypervisor: &Hypervisor<M>,
        source: Source,
    ) -> Option<(usize, &'static OwnedStreams)> {
        match source {
            Source::Stream(stream) => self.config.owner(stream),
            Source::Partition(vmid) => {
                let mut partitions = hypervisor.partitions.iter();
                let partition = partitions.find(|one| one.config.vmid == vmid)?;
                self.owned_by(partition.id).next()
            }
            Source::Nobody => None,
        }
    }

    /// Answers a fault. Returns whose device made it, and whether it was told.
    fn refused<M: Machine>(
        &self,
        hypervisor: &Hypervisor<M>,
        fault: &Fault,
    ) -> (Option<PartitionId>, bool) {
        let owner = self.suspects(hypervisor, fault.source);
        let partition = owner.and_then(|(_, owned)| {
            hypervisor
                .partitions
                .get(usize::from(owned.partition.get()))
        });
        let device = owner.map_or(self.config.path, |(_, owned)| self.named(fault, owned));
        let attention = owner.and_then(|(index, _)| self.attention.get(index));
        let left = attention.map_or(Some(0), Attention::take);
        let count = partition.map_or(1, Partition::count_fault);
        // What came before the device was muted is counted, but no flood of text may push out what others have to tell.
        if left.is_some() {
            hypervisor.machine.record(Event::Dma(DmaEvent::Fault {
                partition: partition.map(|partition| partition.id),
                device,
                fault: *fault,
                count,
            }));
        }
        if left == Some(0) {
            match (fault.source, owner) {
                (Source::Stream(stream), None) => self.mute(hypervisor, Streams::one(stream)),
                (Source::Stream(_), Some((_, owned))) => self.mute(hypervisor, owned.streams),
                (Source::Partition(_), Some((_, first))) => {
                    for (_, owned) in self.owned_by(first.partition) {
                        self.mute(hypervisor, owned.streams);
                    }
                }
                // The driver has seen to it.
                (Source::Partition(_), None) | (Source::Nobody, _) => {}
            }
            let muted = Event::Dma(DmaEvent::Muted { device });
            hypervisor.machine.record(muted);
        }
        if let Some(partition) = partition {
            answer(hypervisor, partition, fault);
        }
        (partition.map(|partition| partition.id), left.is_some())
    }

    /// What to call the device that owns the streams of which one made the access.
    fn named(&self, fault: &Fault, owned: &OwnedStreams) -> &'static str {
        let mut devices = self.owned_by(owned.partition).map(|(_, one)| one.device);
        match fault.source {
            Source::Partition(_) if !devices.all(|one| one == owned.device) => self.config.path,
            _ => owned.device,
        }
    }

    fn mute<M: Machine>(&self, hypervisor: &Hypervisor<M>, streams: Streams) {
        let done = self.driver.lock().mute(streams);
        self.check(hypervisor, done);
    }

    fn failed<M: Machine>(&self, hypervisor: &Hypervisor<M>, failure: Failure) {
        let iommu = self.config.path;
        let event = Event::Dma(DmaEvent::Failure { iommu, failure });
        hypervisor.machine.record(event);
    }

    fn check<M: Machine>(&self, hypervisor: &Hypervisor<M>, done: Result<(), IommuError>) {
        if let Err(error) = done {
            let iommu = self.config.path;
            let event = Event::Dma(DmaEvent::Error { iommu, error });
            hypervisor.machine.record(event);
        }
    }
}

/// What a partition's devices reach behind an IOMMU.
pub const fn reached_by_devices(partition: &model::partition::Partition) -> &'static [Mapping] {
    match partition.dma {
        [] => partition.memory,
        own => own,
    }
}

/// Answers a fault of a partition's device as its policy says, from whichever pCPU heard of it. The device itself has got an error from
/// the IOMMU: that is what `inject` means here.
fn answer<M: Machine>(hypervisor: &Hypervisor<M>, partition: &Partition, fault: &Fault) {
    let then = match hypervisor.answer_to_device(partition, fault) {
        FaultPolicy::Inject => return,
        FaultPolicy::Stop => Then::Stop,
        FaultPolicy::Restart => Then::Restart,
        FaultPolicy::StopSystem => hypervisor.machine.end(hypervisor.system.end),
    };
    if partition.power.lock().begin_stop(then) {
        hypervisor.kick(partition, partition.everyone(), request::POWER);
    }
}

#[cfg(test)]
mod tests;
