//! DMA of the PCI functions that partitions own: the VT-d unit that confines them is turned on before anybody starts, lets a function reach its
//! partition's memory while the partition's image is in place, and tells what it refused. A function begins requests once its partition has made it
//! a master: what it was told to do before a start anew, it cannot do after it.
//!
//! Faults come as NMIs of one CPU, that of the first partition with a function that runs. What a storm of them costs it is bounded: a function
//! is heard as often as its [`Attention`] lasts, and then muted at the unit. A partition answers for its functions on its own CPU.

use core::sync::atomic::AtomicU64;

use hv::dma::{Attention, DmaEvent};
use hv::event::Event;
use hv::sync::{BootCell, Rank, TicketLock};
use model::iommu::{OwnedStreams, Streams};
use model::{Pa, PartitionId, StreamId, Vmid};
use smmu::memory::PAGE_WORDS;
use smmu::vtd::{VtD, pages};
use smmu::{Domain, Fault, Iommu, IommuError, Mmio, RegisterFrame, SharedMemory, Source};

use crate::{SYSTEM, apic, cpu, early, log, pci, start, storage};

/// Faults that one look serves; what is more is forgotten.
const MOST_AT_ONCE: usize = 64;
/// Register: the unit's version, never 0 (Intel 671081, 11.4.1).
const VERSION: usize = 0;
/// Width of the addresses of nested tables.
const ADDRESS_BITS: u8 = 48;

const OWNED: &[OwnedStreams] = match &SYSTEM.dma {
    Some(dma) => dma.owned,
    None => &[],
};
/// Pages for the unit's tables.
const PAGES: usize = match &SYSTEM.dma {
    Some(_) => pages(OWNED),
    None => 0,
};

#[repr(align(4096))]
struct Memory([AtomicU64; PAGES * PAGE_WORDS]);

/// What the unit reads and writes by itself. No unit needs to look into caches for it: it is mapped as uncacheable.
#[unsafe(link_section = ".uncached")]
static MEMORY: Memory = Memory([const { AtomicU64::new(0) }; PAGES * PAGE_WORDS]);
/// How often each function is heard.
static ATTENTION: [Attention; OWNED.len()] = [const { Attention::new() }; OWNED.len()];
static UNIT: BootCell<TicketLock<Unit>> = BootCell::new();

/// What reaches the functions: the unit before them, and their configuration spaces.
struct Unit {
    remapping: VtD<'static, Mmio<'static>>,
    spaces: pci::Spaces,
}

/// What the hypervisor's map has beside memory that is cached: the unit's tables and its registers, each from its first byte to behind its last.
pub fn uncached() -> impl Iterator<Item = (u64, u64)> {
    let tables = &raw const MEMORY as u64;
    let unit = SYSTEM.dma.as_ref().map(|dma| dma.registers);
    let registers = unit.map(|unit| (unit.base.get(), unit.base.get() + unit.size));
    let all = [
        Some((tables, tables + size_of::<Memory>() as u64)),
        registers,
    ];
    all.into_iter().flatten()
}

/// Turns the unit on, with everything denied, and puts the functions in place. Called on the provisional map, when all nested tables are built.
pub fn bring_up() {
    let Some(dma) = &SYSTEM.dma else { return };
    let base = dma.registers.base.get();
    // SAFETY: the board says that the unit is there; the provisional map and later the hypervisor's own have it, and nobody else drives it.
    let mut registers = unsafe { Mmio::new(base as usize, dma.registers.size as usize) };
    if matches!(registers.read(VERSION), 0 | u32::MAX) {
        early::stop(format_args!("there is no VT-d unit at {base:#x}"));
    }
    // SAFETY: this is the one call; guests do not reach the ports.
    let mut spaces = unsafe { pci::Spaces::new() };
    for (function, owned) in dma.functions.iter().zip(dma.owned) {
        if let Err(what) = spaces.place(function) {
            early::stop(format_args!("PCI function {}: {what}", owned.device));
        }
    }
    // What was written to tables so far is seen past the caches from here on.
    cpu::write_back_caches();
    let mut memory = SharedMemory::new(&MEMORY.0, Pa::new(&raw const MEMORY as u64));
    match VtD::new(registers, dma.owned, &mut memory) {
        // Set once, here.
        Ok(remapping) => {
            let unit = Unit { remapping, spaces };
            drop(UNIT.set(TicketLock::new(Rank::Iommu, unit)));
        }
        Err(error) => early::stop(format_args!("the VT-d unit at {base:#x}: {error}")),
    }
    listen();
}

/// Has faults told to the CPU of the first partition with a function that has not stopped for good.
fn listen() {
    let runs = |owned: &&OwnedStreams| {
        let state = storage::PARTITION_STATE.get(usize::from(owned.partition.get()));
        state.is_some_and(|state| state.lifecycle() != hv::power::Lifecycle::Stopped)
    };
    let first = OWNED.iter().find(runs);
    if let (Some(unit), Some(apic)) = (UNIT.get(), first.and_then(|owned| apic_of(owned.partition)))
    {
        unit.lock().remapping.tell(apic);
    }
}

/// The CPU of a partition.
fn apic_of(partition: PartitionId) -> Option<u32> {
    let config = SYSTEM.partitions.get(usize::from(partition.get()))?;
    let first = config.pcpus.first()?;
    let pcpu = SYSTEM.pcpus.get(usize::from(first.get()))?;
    Some(pcpu.apic)
}

/// A partition's functions, each with its place in the list.
fn owned_by(partition: PartitionId) -> impl Iterator<Item = (usize, &'static OwnedStreams)> {
    let all = OWNED.iter().enumerate();
    all.filter(move |(_, owned)| owned.partition == partition)
}

/// The partition's functions reach its memory from here on, once it has made them masters, and are heard again.
pub fn admit(partition: PartitionId, vmid: Vmid) {
    let (Some(unit), Some(root)) = (UNIT.get(), start::nested_root(usize::from(partition.get())))
    else {
        return;
    };
    let domain = Domain {
        vmid,
        root,
        ipa_bits: ADDRESS_BITS,
    };
    for (index, owned) in owned_by(partition) {
        if let Some(attention) = ATTENTION.get(index) {
            attention.renew(cpu::now(), u64::from(cpu::tsc_khz()) * 1000);
        }
        let done = unit.lock().remapping.attach(owned.streams, &domain);
        check(done);
    }
}

/// Lets a function of the partition begin requests of its own, or not. False: it has no such function.
pub fn make_master(partition: PartitionId, number: u64, on: bool) -> bool {
    let (Some(unit), Some((_, stream))) = (UNIT.get(), function(partition, number)) else {
        return false;
    };
    unit.lock().spaces.master(stream, on);
    true
}

impl Unit {
    /// The function at this place in the list interrupts nobody from here on.
    fn silence(&mut self, index: usize, function: StreamId) -> Result<(), IommuError> {
        self.spaces.interrupt(function, None);
        self.remapping.refuse_interrupt(index as u16)
    }
}

/// A function of the partition, with its place in the list, by bus, device and function in 16 bits.
fn function(partition: PartitionId, number: u64) -> Option<(usize, StreamId)> {
    let mut all = owned_by(partition).map(|(index, owned)| (index, owned.streams.first));
    all.find(|(_, stream)| u64::from(stream.get()) == number)
}

/// Has a function of the partition interrupt the CPU `apic` by `vector`. False: it has no such function, or that one no messages.
pub fn bind(partition: PartitionId, number: u64, apic: u32, vector: u8) -> bool {
    let (Some(unit), Some((index, stream))) = (UNIT.get(), function(partition, number)) else {
        return false;
    };
    let mut unit = unit.lock();
    let entry = index as u16;
    let allowed = unit.remapping.allow_interrupt(entry, stream, apic, vector);
    let bound = allowed.is_ok() && unit.spaces.interrupt(stream, Some(entry));
    let undone = if bound {
        Ok(())
    } else {
        unit.silence(index, stream)
    };
    drop(unit);
    check(allowed.and(undone));
    bound
}

/// Has a function of the partition interrupt nobody. False: it has no such function.
pub fn unbind(partition: PartitionId, number: u64) -> bool {
    let (Some(unit), Some((index, stream))) = (UNIT.get(), function(partition, number)) else {
        return false;
    };
    let done = unit.lock().silence(index, stream);
    check(done);
    true
}

/// The partition's functions reach and interrupt nobody from here on. What they tried before is told now.
pub fn deny(partition: PartitionId) {
    let Some(unit) = UNIT.get() else { return };
    for (index, owned) in owned_by(partition) {
        let mut unit = unit.lock();
        let silenced = unit.silence(index, owned.streams.first);
        unit.spaces.master(owned.streams.first, false);
        let done = unit.remapping.detach(owned.streams);
        drop(unit);
        check(silenced);
        // Before the first start they reach nothing anyway.
        if !matches!(done, Err(IommuError::NotAttached(_))) {
            check(done);
        }
    }
    if owned_by(partition).next().is_some() {
        serve();
        listen();
    }
}

/// Tells and answers what the unit has refused since the last look.
pub fn serve() {
    let Some(unit) = UNIT.get() else { return };
    for _ in 0..MOST_AT_ONCE {
        let fault = unit.lock().remapping.next_fault();
        match fault {
            Some(fault) => refused(&fault),
            None => break,
        }
    }
    let lost = unit.lock().remapping.discard_faults();
    let failure = unit.lock().remapping.next_failure();
    for failure in lost.into_iter().chain(failure) {
        log::event(Event::Dma(DmaEvent::Failure {
            iommu: "VT-d",
            failure,
        }));
    }
}

fn refused(fault: &Fault) {
    let Source::Stream(stream) = fault.source else {
        return;
    };
    let mut all = OWNED.iter().enumerate();
    let owner = all.find(|(_, owned)| owned.streams.contains(stream));
    let device = owner.map_or("VT-d", |(_, owned)| owned.device);
    let partition = owner.map(|(_, owned)| owned.partition);
    let state = partition.and_then(|one| storage::PARTITION_STATE.get(usize::from(one.get())));
    let count = state.map_or(1, |state| state.count_fault());
    let left = match owner.and_then(|(index, _)| ATTENTION.get(index)) {
        Some(attention) => attention.take(),
        None => Some(0),
    };
    if left.is_some() {
        log::event(Event::Dma(DmaEvent::Fault {
            partition,
            device,
            fault: *fault,
            count,
        }));
    }
    if left == Some(0) {
        if let Some(unit) = UNIT.get() {
            check(unit.lock().remapping.mute(Streams::one(stream)));
        }
        log::event(Event::Dma(DmaEvent::Muted { device }));
    }
    if let (Some(state), Some(partition)) = (state, partition) {
        state.accuse();
        if let Some(apic) = apic_of(partition).filter(|apic| apic::own() != Some(*apic)) {
            apic::send_nmi(apic);
        }
    }
}

fn check(done: Result<(), IommuError>) {
    if let Err(error) = done {
        log::event(Event::Dma(DmaEvent::Error {
            iommu: "VT-d",
            error,
        }));
    }
}
