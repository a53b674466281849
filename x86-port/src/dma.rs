//! DMA of the PCI functions that partitions own: the VT-d units that confine them are turned on before anybody starts, let a function reach its
//! partition's memory while the partition's image is in place, and tell what they refused.
//!
//! Faults come as NMIs of one CPU, that of the first partition with a function that runs. What a storm of them costs it is bounded: a function
//! is heard as often as its [`Attention`] lasts, and then muted at the unit. A partition answers for its functions on its own CPU.

use core::sync::atomic::AtomicU64;

use hv::dma::{Attention, DmaEvent};
use hv::event::Event;
use hv::sync::{BootCell, Rank, TicketLock};
use model::iommu::{OwnedStreams, Streams};
use model::memory::{PAGE, PhysicalRange};
use model::x86::{Dma, Function};
use model::{Pa, PartitionId, Vmid};
use smmu::memory::PAGE_WORDS;
use smmu::vtd::{VtD, pages};
use smmu::{Domain, Fault, Iommu, IommuError, Mmio, RegisterFrame, SharedMemory, Source};

use crate::{SYSTEM, apic, cpu, early, log, pci, seat, start, storage};

/// Faults that one look serves; what is more is forgotten.
const MOST_AT_ONCE: usize = 64;
/// Register: the unit's version, never 0 (Intel 671081, 11.4.1).
const VERSION: usize = 0;
/// Width of the addresses of nested tables.
const ADDRESS_BITS: u8 = 48;

const DMA: Dma = match SYSTEM.dma {
    Some(dma) => dma,
    None => Dma {
        units: &[],
        owned: &[],
        functions: &[],
    },
};
const OWNED: &[OwnedStreams] = DMA.owned;
const UNITS: usize = DMA.units.len();
/// Pages for the units' tables: any function may be behind any of them.
const PAGES: usize = UNITS * pages(OWNED);
/// Pieces of the hypervisor's map that [`uncached`] tells.
pub const PIECES: usize = 1 + UNITS + DMA.functions.len();

#[repr(align(4096))]
struct Memory([AtomicU64; PAGES * PAGE_WORDS]);

/// What the units read and write by themselves. None needs to look into caches for it: it is mapped as uncacheable.
#[unsafe(link_section = ".uncached")]
static MEMORY: Memory = Memory([const { AtomicU64::new(0) }; PAGES * PAGE_WORDS]);
/// How often each function is heard.
static ATTENTION: [Attention; OWNED.len()] = [const { Attention::new() }; OWNED.len()];
static REACH: BootCell<TicketLock<Reach>> = BootCell::new();

/// What reaches the functions: the units before them, and their configuration spaces.
struct Reach {
    units: [VtD<'static, Mmio<'static>>; UNITS],
    spaces: pci::Spaces,
}

/// What the hypervisor's map has beside memory that is cached: the units' tables and registers, and functions' tables of messages, each as whole
/// pages from its first byte to behind its last.
pub fn uncached() -> impl Iterator<Item = (u64, u64)> {
    let tables = &raw const MEMORY as u64;
    let tables = (tables, tables + size_of::<Memory>() as u64);
    let messages = DMA.functions.iter().filter_map(Function::message_table);
    let devices = DMA.units.iter().copied().chain(messages).map(|one| {
        let base = one.base.get();
        (base & !(PAGE - 1), (base + one.size).next_multiple_of(PAGE))
    });
    devices.chain([tables])
}

/// Turns the units on, with everything denied, and puts the functions in place. Called on the provisional map, when all nested tables are built.
pub fn bring_up() {
    let Some(dma) = &SYSTEM.dma else { return };
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
    let mut registers = dma.units.iter().copied();
    let units = core::array::from_fn(|_| match registers.next() {
        Some(registers) => turn_on(registers, &mut memory),
        None => early::stop(format_args!("the system table is inconsistent")),
    });
    // Set once, here.
    drop(REACH.set(TicketLock::new(Rank::Iommu, Reach { units, spaces })));
    listen();
}

/// Turns a unit on, with everything denied.
fn turn_on(
    range: PhysicalRange,
    memory: &mut SharedMemory<'static>,
) -> VtD<'static, Mmio<'static>> {
    let base = range.base.get();
    // SAFETY: the board says that the unit is there; the provisional map and later the hypervisor's own have it, and nobody else drives it.
    let mut registers = unsafe { Mmio::new(base as usize, range.size as usize) };
    if matches!(registers.read(VERSION), 0 | u32::MAX) {
        early::stop(format_args!("there is no VT-d unit at {base:#x}"));
    }
    match VtD::new(registers, OWNED, memory) {
        Ok(unit) => unit,
        Err(error) => early::stop(format_args!("the VT-d unit at {base:#x}: {error}")),
    }
}

/// Has faults told to the CPU of the first partition with a function that has not stopped for good.
fn listen() {
    let runs = |owned: &&OwnedStreams| {
        let state = storage::PARTITION_STATE.get(usize::from(owned.partition.get()));
        state.is_some_and(|state| state.lifecycle() != hv::power::Lifecycle::Stopped)
    };
    let first = OWNED.iter().find(runs);
    if let (Some(reach), Some(apic)) = (
        REACH.get(),
        first.and_then(|owned| apic_of(owned.partition)),
    ) {
        reach
            .lock()
            .units
            .iter_mut()
            .for_each(|unit| unit.tell(apic));
    }
}

/// The CPU of a partition.
fn apic_of(partition: PartitionId) -> Option<u32> {
    seat::of(partition, 0)?.physical()
}

/// A partition's functions, each with its place in the list.
fn owned_by(partition: PartitionId) -> impl Iterator<Item = (usize, &'static OwnedStreams)> {
    let all = OWNED.iter().enumerate();
    all.filter(move |(_, owned)| owned.partition == partition)
}

/// The partition's functions reach its memory from here on, once it has made them masters, and are heard again.
pub fn admit(partition: PartitionId, vmid: Vmid) {
    let (Some(reach), Some(root)) = (
        REACH.get(),
        start::nested_root(usize::from(partition.get())),
    ) else {
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
        let mut reach = reach.lock();
        let unit = reach.unit_of(index);
        let done = unit.map(|(unit, _)| unit.attach(owned.streams, &domain));
        drop(reach);
        check(done.unwrap_or(Ok(())));
    }
}

/// Lets a function of the partition begin requests of its own, or not. False: it has no such function.
pub fn make_master(partition: PartitionId, number: u64, on: bool) -> bool {
    let (Some(reach), Some((_, function))) = (REACH.get(), function(partition, number)) else {
        return false;
    };
    reach.lock().spaces.master(function.stream, on);
    true
}

impl Reach {
    /// The unit before the function at this place in the list, and the function.
    fn unit_of(
        &mut self,
        index: usize,
    ) -> Option<(&mut VtD<'static, Mmio<'static>>, &'static Function)> {
        let function = DMA.functions.get(index)?;
        Some((self.units.get_mut(usize::from(function.unit))?, function))
    }

    /// The function at this place in the list interrupts a CPU by one of its messages. False: it has no messages.
    fn allow(
        &mut self,
        (index, message): (usize, u16),
        apic: u32,
        vector: u8,
    ) -> Result<bool, IommuError> {
        let entry = first_entry(index) + message;
        let Some((unit, function)) = self.unit_of(index) else {
            return Ok(false);
        };
        unit.allow_interrupt(entry, function.stream, apic, vector)?;
        Ok(self.spaces.send(function, message, entry))
    }

    /// The function at this place in the list interrupts nobody by one of its messages from here on.
    fn refuse(&mut self, (index, message): (usize, u16)) -> Result<(), IommuError> {
        let entry = first_entry(index) + message;
        let Some((unit, function)) = self.unit_of(index) else {
            return Ok(());
        };
        let done = unit.refuse_interrupts(entry..entry + 1);
        self.spaces.mask(function, message);
        done
    }

    /// The function at this place in the list interrupts nobody from here on.
    fn silence(&mut self, index: usize) -> Result<(), IommuError> {
        let first = first_entry(index);
        let Some((unit, function)) = self.unit_of(index) else {
            return Ok(());
        };
        let done = unit.refuse_interrupts(first..first + function.message_count());
        self.spaces.silence(function);
        done
    }
}

/// The entry of a unit's table of interrupts for the first message of the function at this place in the list. The compiler has seen that all fit.
fn first_entry(index: usize) -> u16 {
    let before = DMA.functions.iter().take(index);
    before.map(Function::message_count).sum()
}

/// A function of the partition, by bus, device and function in 16 bits, with its place in the list.
fn function(partition: PartitionId, number: u64) -> Option<(usize, &'static Function)> {
    let own = owned_by(partition);
    let mut own = own.filter_map(|(index, _)| Some((index, DMA.functions.get(index)?)));
    own.find(|(_, function)| u64::from(function.stream.get()) == number)
}

/// A message of a function of the partition: the function's place in the list, and the message's number. `number` has the function in its lower 16
/// bits, the message above them.
fn message(partition: PartitionId, number: u64) -> Option<(usize, u16)> {
    let (index, function) = function(partition, number & 0xffff)?;
    let message = u16::try_from(number >> 16).ok()?;
    (message < function.message_count()).then_some((index, message))
}

/// Has a message of a function of the partition interrupt the CPU `apic` by `vector`. False: there is no such message.
pub fn bind(partition: PartitionId, number: u64, apic: u32, vector: u8) -> bool {
    let (Some(reach), Some(message)) = (REACH.get(), message(partition, number)) else {
        return false;
    };
    let mut reach = reach.lock();
    let bound = reach.allow(message, apic, vector);
    let undone = match bound {
        Ok(true) => Ok(()),
        _ => reach.refuse(message),
    };
    drop(reach);
    check(bound.map(drop).and(undone));
    bound == Ok(true)
}

/// Has a message of a function of the partition interrupt nobody. False: there is no such message.
pub fn unbind(partition: PartitionId, number: u64) -> bool {
    let (Some(reach), Some(message)) = (REACH.get(), message(partition, number)) else {
        return false;
    };
    let done = reach.lock().refuse(message);
    check(done);
    true
}

/// The partition's functions reach and interrupt nobody from here on. What they tried before is told now.
pub fn deny(partition: PartitionId) {
    let Some(reach) = REACH.get() else { return };
    for (index, owned) in owned_by(partition) {
        let mut reach = reach.lock();
        let silenced = reach.silence(index);
        reach.spaces.master(owned.streams.first, false);
        let unit = reach.unit_of(index);
        let done = unit.map(|(unit, _)| unit.detach(owned.streams));
        drop(reach);
        check(silenced);
        // Before the first start they reach nothing anyway.
        if let Some(done) = done
            && !matches!(done, Err(IommuError::NotAttached(_)))
        {
            check(done);
        }
    }
    if owned_by(partition).next().is_some() {
        serve();
        listen();
    }
}

/// Tells and answers what the units have refused since the last look.
pub fn serve() {
    let Some(reach) = REACH.get() else { return };
    for (number, _) in DMA.units.iter().enumerate() {
        for _ in 0..MOST_AT_ONCE {
            let mut reach = reach.lock();
            let fault = reach.units.get_mut(number).and_then(VtD::next_fault);
            drop(reach);
            match fault {
                Some(fault) => refused(number, &fault),
                None => break,
            }
        }
        let mut reach = reach.lock();
        let unit = reach.units.get_mut(number);
        let failures = unit.map_or([None; 2], |unit| {
            [unit.discard_faults(), unit.next_failure()]
        });
        drop(reach);
        for failure in failures.into_iter().flatten() {
            log::event(Event::Dma(DmaEvent::Failure {
                iommu: "VT-d",
                failure,
            }));
        }
    }
}

/// The unit with this number has refused something.
fn refused(number: usize, fault: &Fault) {
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
        if let Some(reach) = REACH.get() {
            let mut reach = reach.lock();
            let unit = reach.units.get_mut(number);
            let done = unit.map(|unit| unit.mute(Streams::one(stream)));
            drop(reach);
            check(done.unwrap_or(Ok(())));
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
