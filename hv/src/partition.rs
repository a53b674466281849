//! A partition at run time: its power, its virtual devices, its memory, and what its virtual CPUs share.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use gic::virt::{Grants, Shown, VcpuSet, Vgic};
#[cfg(any(feature = "its", feature = "iommu"))]
use model::Pa;
use model::device::PassedInterrupt;
use model::memory::MemoryKind;
use model::partition::Partition as Config;
use model::{IntId, Ipa, Mpidr, PartitionId, VcpuId};

use crate::exit::{Cost, CostSummary, ExitKind};
#[cfg(feature = "files")]
use crate::files;
use crate::machine::{Cpu, Machine};
#[cfg(feature = "iommu")]
use crate::memory::ADDRESS;
use crate::memory::place::{each_piece, place};
use crate::pool::Call;
#[cfg(feature = "shared")]
use crate::pool::Published;
use crate::power::{Power, Start};
#[cfg(feature = "pristine")]
use crate::pristine::{Damage, Progress};
use crate::sync::{Rank, TicketLock};
use crate::uart::{self, Pl011};

mod requests;

/// Atomics that a model checker replaces: see `tests/loom`.
mod atomic {
    pub use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};
}

pub use requests::{Requests, is_news, request};

/// The part of a virtual CPU that other pCPUs see.
#[derive(Debug)]
pub struct VcpuShared {
    /// Affinity of the pCPU that runs it; of one in a global pool, that to which its devices' interrupts go.
    pub home: Mpidr,
    #[cfg(feature = "global")]
    whereabouts: crate::pool::global::Whereabouts,
    /// How that is called.
    pub call: Call,
    /// What is known of its turns.
    #[cfg(feature = "shared")]
    pub turns: Published,
    /// What is known of its registers.
    #[cfg(feature = "registers")]
    pub registers: crate::inspect::Snapshot,
    requests: Requests,
    /// Interrupts of its own partition that came to it otherwise than by the vectors, and doorbells that it rang.
    #[cfg(feature = "monitor")]
    arrived: AtomicU64,
    costs: [Cost; ExitKind::ALL.len()],
}

impl VcpuShared {
    /// A virtual CPU on the pCPU with this affinity, which is shared or not.
    pub fn new(pcpu: Mpidr, shared: bool) -> Self {
        Self {
            home: pcpu,
            #[cfg(feature = "global")]
            whereabouts: crate::pool::global::Whereabouts::new(pcpu.get()),
            call: Call::new(shared),
            #[cfg(feature = "shared")]
            turns: Published::new(),
            #[cfg(feature = "registers")]
            registers: crate::inspect::Snapshot::new(),
            requests: Requests::default(),
            #[cfg(feature = "monitor")]
            arrived: AtomicU64::new(0),
            costs: [const { Cost::NEW }; ExitKind::ALL.len()],
        }
    }

    /// Affinity of the pCPU to call, after a request was left.
    #[cfg(not(feature = "global"))]
    #[inline(always)]
    pub const fn pcpu(&self) -> Mpidr {
        self.home
    }

    /// Affinity of the pCPU to call, after a request was left: where it is, or was last.
    #[cfg(feature = "global")]
    pub fn pcpu(&self) -> Mpidr {
        Mpidr::new(self.whereabouts.find())
    }

    /// It is on `pcpu` from now on, which looks for requests afterwards.
    #[cfg(feature = "global")]
    pub fn arrive(&self, pcpu: Mpidr) {
        self.whereabouts.arrive(pcpu.get());
    }

    /// Where requests are left, for the exit vectors.
    pub const fn requests(&self) -> &Requests {
        &self.requests
    }

    /// Takes the SGIs that were sent and not yet taken: bit n is SGI n.
    pub fn take_sgis(&self) -> u32 {
        self.requests.take_sgis()
    }

    /// Takes the virtual CPUs that sent an SGI of a GICv2, bit n for CPU n, after the SGI itself was taken.
    #[cfg(feature = "virtual-v2")]
    pub fn take_sources(&self, sgi: IntId) -> u8 {
        self.requests.take_sources(sgi.get())
    }

    /// No guest has a GICv2.
    #[cfg(not(feature = "virtual-v2"))]
    pub const fn take_sources(&self, _sgi: IntId) -> u8 {
        0
    }

    /// Forgets all SGIs that were sent and not yet taken. Nobody sends any.
    pub fn forget_sgis(&self) {
        self.take_sgis();
        #[cfg(feature = "virtual-v2")]
        for sgi in 0..16 {
            self.take_sources(IntId::new(sgi));
        }
    }

    /// Leaves an SGI of a GICv2 from virtual CPU `source`; otherwise as [`request`](Self::request).
    #[cfg(feature = "virtual-v2")]
    #[inline]
    pub fn request_from(&self, source: VcpuId, sgi: IntId) -> u32 {
        self.requests.leave_sgi(source.get(), sgi.get())
    }

    /// Counts interrupts of its own partition that came to it, or doorbells that it rang. Told by its own pCPU alone.
    #[cfg(feature = "monitor")]
    #[inline]
    pub(crate) fn count_arrived(&self, interrupts: u32) {
        let before = self.arrived.load(Ordering::Relaxed);
        let after = before.wrapping_add(u64::from(interrupts));
        self.arrived.store(after, Ordering::Relaxed);
    }

    /// Counts an exit whose path is fixed.
    #[inline]
    pub fn count_short(&self, kind: ExitKind) {
        if let Some(cost) = self.costs.get(kind as usize) {
            cost.add_short();
        }
    }

    /// Leaves a request; whoever does so calls the pCPU afterwards. Returns what was asked for before.
    #[inline]
    pub fn request(&self, what: u32) -> u32 {
        self.requests.leave(what)
    }

    /// True when something was asked for.
    #[inline]
    pub fn has_requests(&self) -> bool {
        self.requests.any()
    }

    /// Takes what was asked for.
    pub fn take_requests(&self) -> u32 {
        self.requests.take()
    }

    /// Counts an exit.
    #[inline]
    pub fn count(&self, kind: ExitKind, ticks: u64) {
        if let Some(cost) = self.costs.get(kind as usize) {
            cost.add(ticks);
        }
    }
}

/// The virtual devices of a partition, behind one lock: an interrupt line must reach the interrupt controller in the order in which it changed.
pub struct Devices {
    /// The interrupt controller.
    pub gic: Vgic,
    /// The serial port.
    pub uart: Pl011,
}

/// How far a partition's image has been put into place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loading {
    segment: usize,
    /// Bytes of that segment, zeros behind it included.
    done: u64,
    #[cfg(feature = "pristine")]
    pub(crate) pristine: Progress,
    #[cfg(feature = "files")]
    pub(crate) file: files::Progress,
}

/// A partition.
pub struct Partition {
    /// What the system says about it.
    pub config: &'static Config,
    /// Which one it is.
    pub id: PartitionId,
    /// Its life.
    pub power: TicketLock<Power>,
    /// Its virtual devices.
    pub devices: TicketLock<Devices>,
    /// What its virtual CPUs share.
    pub vcpus: &'static [VcpuShared],
    /// What the exit vectors may deliver to each of them.
    pub grants: &'static [Grants],
    /// Registers of its virtual interrupt controller that are read without the lock.
    pub shown: &'static Shown,
    /// `VTTBR_EL2`: its stage-2 table and VMID.
    pub translation: u64,
    /// The table by which its devices reach memory: its stage 2, unless they have one of their own.
    #[cfg(feature = "iommu")]
    pub dma_root: Pa,
    /// Its UART waits for room in the console's ring.
    pub waits_for_room: AtomicBool,
    /// What `UARTFR` says of its UART but for the room in the console's ring, as [`uart::flags`] wants it.
    uart_status: AtomicU32,
    #[cfg(feature = "monitor")]
    pub(crate) health: crate::monitor::Health,
    #[cfg(feature = "pristine")]
    pub(crate) damage: Damage,
    #[cfg(feature = "files")]
    pub(crate) proven: files::Proven,
    faults: AtomicU64,
    unknown_registers: AtomicU64,
    loads: AtomicU64,
    counter_offset: AtomicU64,
}

impl Partition {
    /// A partition that was never started.
    pub fn new(
        id: PartitionId,
        config: &'static Config,
        vcpus: &'static [VcpuShared],
        grants: &'static [Grants],
        shown: &'static Shown,
        gic: Vgic,
        translation: u64,
    ) -> Self {
        Self {
            config,
            id,
            power: TicketLock::new(Rank::Partition, Power::new(config.vcpus)),
            devices: TicketLock::new(
                Rank::Vcpu,
                Devices {
                    gic,
                    uart: Pl011::new(),
                },
            ),
            vcpus,
            grants,
            shown,
            uart_status: AtomicU32::new(0),
            translation,
            #[cfg(feature = "iommu")]
            dma_root: Pa::new(translation & ADDRESS),
            waits_for_room: AtomicBool::new(false),
            #[cfg(feature = "monitor")]
            health: crate::monitor::Health::new(),
            #[cfg(feature = "pristine")]
            damage: Damage::default(),
            #[cfg(feature = "files")]
            proven: files::Proven::default(),
            faults: AtomicU64::new(0),
            unknown_registers: AtomicU64::new(0),
            loads: AtomicU64::new(0),
            counter_offset: AtomicU64::new(0),
        }
    }

    /// The number by which the partition knows a physical interrupt, if it owns it. The list is short and sorted.
    pub fn owned(&self, intid: IntId) -> Option<IntId> {
        let interrupts = self.config.interrupts;
        let place = interrupts.binary_search_by_key(&intid, |one| one.intid);
        interrupts.get(place.ok()?).map(PassedInterrupt::seen)
    }

    /// True when a virtual CPU may start at `entry`: in the partition's RAM, at an instruction boundary.
    pub fn is_entry(&self, entry: u64) -> bool {
        entry.is_multiple_of(4)
            && self
                .config
                .memory
                .iter()
                .any(|m| m.kind == MemoryKind::Ram && place(m, Ipa::new(entry)).is_some())
    }

    /// Where an address of its RAM lies.
    #[cfg(feature = "its")]
    pub fn ram(&self, ipa: Ipa) -> Option<Pa> {
        let mut ram = self.config.memory.iter();
        ram.find_map(|mapping| place(mapping, ipa).filter(|_| mapping.kind == MemoryKind::Ram))
            .map(|(pa, _)| pa)
    }

    /// All its virtual CPUs.
    pub fn everyone(&self) -> VcpuSet {
        (0..self.vcpus.len()).fold(VcpuSet::EMPTY, |set, index| {
            set | VcpuSet::only(VcpuId::new(index as u8))
        })
    }

    /// Lets others know of the UART what they may know without the lock, which the caller holds.
    pub fn publish_uart(&self, uart: &Pl011) {
        self.waits_for_room
            .store(uart.waits_for_room(), Ordering::Relaxed);
        self.uart_status.store(uart.status(), Ordering::Relaxed);
    }

    /// `UARTFR` while there is room for `room` characters in the console's ring.
    #[inline]
    pub fn uart_flags(&self, room: usize) -> u32 {
        uart::flags(self.uart_status.load(Ordering::Relaxed), room)
    }

    /// Counts a fault and returns how many there were.
    pub fn count_fault(&self) -> u64 {
        self.faults.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Faults so far.
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    /// Counts an access to a register that its interrupt controller does not have.
    pub fn count_unknown_register(&self) {
        self.unknown_registers.fetch_add(1, Ordering::Relaxed);
    }

    /// Such accesses so far.
    pub fn unknown_registers(&self) -> u64 {
        self.unknown_registers.load(Ordering::Relaxed)
    }

    /// Interrupts of its own devices, timers and virtual CPUs that came to it, and doorbells that it rang.
    #[cfg(feature = "monitor")]
    pub(crate) fn interrupts(&self) -> u64 {
        let delivered = self.grants.iter().map(|grants| &grants.delivered);
        let arrived = self.vcpus.iter().map(|vcpu| &vcpu.arrived);
        let all = delivered.chain(arrived);
        all.fold(0, |sum, one| sum.wrapping_add(one.load(Ordering::Relaxed)))
    }

    /// Counts and costs of one kind of exit, over all virtual CPUs.
    pub fn cost(&self, kind: ExitKind) -> CostSummary {
        let mut summary = Cost::sum(
            self.vcpus
                .iter()
                .filter_map(move |vcpu| vcpu.costs.get(kind as usize)),
        );
        if kind == ExitKind::Interrupt {
            let delivered = |grants: &Grants| grants.delivered.load(Ordering::Relaxed);
            summary.short += self.grants.iter().map(delivered).sum::<u64>();
        }
        summary
    }

    /// How often its image was put into place: a virtual CPU that last ran before the newest time has state from then.
    pub fn loads(&self) -> u64 {
        self.loads.load(Ordering::Relaxed)
    }

    /// Where the virtual counter of all its virtual CPUs starts.
    pub fn counter_offset(&self) -> u64 {
        self.counter_offset.load(Ordering::Relaxed)
    }

    /// Begins to put the image into place, as it was built: makes the virtual devices fresh. Nothing of the partition runs until
    /// [`load_piece`](Self::load_piece) has found the end and [`loaded`](Self::loaded) was called.
    pub fn begin_load(&self, hardware: &impl gic::virt::Hardware) -> Loading {
        {
            let mut devices = self.devices.lock();
            for vcpu in self.vcpus {
                vcpu.forget_sgis();
            }
            devices.gic.reset(hardware);
            devices.uart = Pl011::new();
            self.publish_uart(&devices.uart);
        }
        #[cfg(feature = "control")]
        self.health.answer.forget();
        self.loads.fetch_add(1, Ordering::Relaxed);
        #[cfg(feature = "pristine")]
        self.begin_pristine();
        Loading {
            segment: 0,
            done: 0,
            #[cfg(feature = "pristine")]
            pristine: Progress::BEGIN,
            #[cfg(feature = "files")]
            file: files::Progress::BEGIN,
        }
    }

    /// Puts at most `most` bytes of the image into place. Returns how far that has come; `None` at the end, or when it is not
    /// what was built.
    pub fn load_piece<M: Machine>(&self, machine: &M, at: Loading, most: u64) -> Option<Loading> {
        #[cfg(feature = "files")]
        if let Err(next) = self.prove_piece(machine, at, most) {
            return next;
        }
        #[cfg(feature = "pristine")]
        let most = self.most(most);
        #[cfg(feature = "pristine")]
        if let Some(next) = self.clear_piece(machine, at, most) {
            return Some(next);
        }
        let mut next = at;
        let Loading { segment, done, .. } = at;
        let config = self.config.segments.get(segment)?;
        let whole = config.size.saturating_add(config.zeros);
        let from = Ipa::new(config.ipa.get().wrapping_add(done));
        let copied = config.size.saturating_sub(done).min(most);
        let zeroed = if copied > 0 {
            let offset = config.offset + done;
            #[cfg(feature = "pristine")]
            next.pristine.add(machine, offset, copied);
            each_piece(self.config.memory, from, copied, |done, pa, size| {
                machine.load(offset + done, pa, size);
            });
            0
        } else {
            let zeroed = whole.saturating_sub(done).min(most);
            each_piece(self.config.memory, from, zeroed, |_, pa, size| {
                machine.zero(pa, size)
            });
            zeroed
        };
        next.done = done + copied + zeroed;
        if next.done >= whole {
            #[cfg(feature = "pristine")]
            self.end_segment(segment, &mut next.pristine);
            next.done = 0;
            next.segment += 1;
        }
        Some(next)
    }

    /// The image is in place. Returns where its first virtual CPU starts.
    pub fn loaded<M: Machine>(&self) -> Start {
        self.counter_offset.store(M::Cpu::now(), Ordering::Relaxed);
        Start {
            entry: self.config.entry.get(),
            context: self.config.device_tree.get(),
        }
    }
}

#[cfg(test)]
mod tests;
