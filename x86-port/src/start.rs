//! Boot in Rust, on the boot CPU: the machine is compared with what the image was built for, and everything is built.

use core::sync::atomic::{AtomicU64, Ordering};

use hv::memory::{Format, FramePool, MapError, Table};
use hv::sync::{Rank, TicketLock};
use hv::terminal::Terminal;
use model::memory::{Mapping, MemoryKind, PAGE};
use model::{Pa, PartitionId};
use x86_64::PhysAddr;
use x86_64::registers::control::{Cr3, Cr3Flags};
use x86_64::structures::paging::PhysFrame;
use x86_port::memory_map::is_ram;
use x86_port::npt::Npt;
use x86_port::policy::serial::Serial;
use x86_port::vendor::{self, Cpu, Virtualization};
use x86_port::vmx::ept::Ept;

use crate::console::Port;
use crate::early::{self, stop};
use crate::storage::{self, PARTITIONS};
use crate::{SYSTEM, apic, boot, cpu, dma, loader, map, processors, run, world};

/// First bytes of the payload.
const PAYLOAD_MAGIC: &[u8; 8] = b"BHPAYLD1";

/// Nested page tables of each partition.
static NESTED_ROOTS: [AtomicU64; PARTITIONS] = [const { AtomicU64::new(0) }; PARTITIONS];
/// Root of the hypervisor's own map.
static OWN_ROOT: AtomicU64 = AtomicU64::new(0);

/// Called by the first instructions on the boot CPU, on the provisional map: the magic number of the boot loader's protocol, and the physical
/// address of what the loader left.
#[unsafe(no_mangle)]
extern "C" fn bulkhead_boot(protocol: u32, loaded: u64) -> ! {
    Port::of_system().init();
    early::line(format_args!(
        "Bulkhead {} system {} for {}",
        env!("CARGO_PKG_VERSION"),
        SYSTEM.name,
        SYSTEM.board.name
    ));
    compare_cpu();
    compare_memory(protocol, loaded);
    check_payload();
    apic::silence_legacy();
    let own = apic::enable();
    if !cpu::calibrate() {
        stop(format_args!(
            "the interval timer (8254) or the APIC's timer does not count"
        ));
    }
    match map::build() {
        Ok(root) => OWN_ROOT.store(root.get(), Ordering::Release),
        Err(error) => stop(format_args!(
            "the hypervisor's own map cannot be built: {error}"
        )),
    }
    build_partitions();
    dma::bring_up();
    #[cfg(feature = "channels")]
    crate::channel::bring_up();
    build_console();
    match processors::start(own) {
        Some(index) => run::run(index),
        // The system does not use the CPU that booted.
        None => cpu::halt(),
    }
}

/// Nested page tables of a partition.
pub fn nested_root(partition: usize) -> Option<Pa> {
    let root = NESTED_ROOTS.get(partition)?;
    Some(Pa::new(root.load(Ordering::Acquire)))
}

/// Leaves the provisional map on the calling CPU.
pub fn enter_own_map() {
    let root = PhysAddr::new(OWN_ROOT.load(Ordering::Acquire));
    // SAFETY: the map has the image where it lies, with the stack that the caller runs on.
    unsafe { Cr3::write(PhysFrame::containing_address(root), Cr3Flags::empty()) };
}

/// Does `what` on the hypervisor's own map, and returns to the provisional one. Only for the boot CPU while it starts.
#[cfg(feature = "channels")]
pub fn on_own_map(what: impl FnOnce()) {
    let (provisional, flags) = Cr3::read();
    enter_own_map();
    what();
    // SAFETY: the map that the CPU came from has all of the first 4 GiB.
    unsafe { Cr3::write(provisional, flags) };
}

/// The CPU can run partitions.
fn compare_cpu() {
    /// Leaf 1, ECX: x2APIC. Leaf 8000_0007h, EDX: invariant time stamp counter.
    const X2APIC: u32 = 1 << 21;
    const INVARIANT: u32 = 1 << 8;
    match vendor::detect(&cpu::This) {
        Ok(Virtualization::Svm(svm)) => early::line(format_args!(
            "SVM: {} address spaces, next RIP {}, decode assists {}",
            svm.asids, svm.next_rip, svm.decode_assists
        )),
        Ok(Virtualization::Vmx(_)) => {
            let controls = world::vmx::controls();
            early::line(format_args!(
                "VMX: revision {:#x}, tagged translations {}",
                controls.revision,
                controls.has_vpid()
            ));
        }
        Err(why) => stop(format_args!("this CPU cannot run partitions: {why:?}")),
    }
    if cpu::This.cpuid(1).ecx & X2APIC == 0 {
        stop(format_args!("this CPU has no x2APIC"));
    }
    let last = cpu::This.cpuid(0x8000_0000).eax;
    if last < 0x8000_0007 || cpu::This.cpuid(0x8000_0007).edx & INVARIANT == 0 {
        early::line(format_args!(
            "note: CPUID does not promise that the time stamp counter keeps its rate"
        ));
    }
}

/// The machine has the memory that the system was built for.
fn compare_memory(protocol: u32, loaded: u64) {
    let map = loader::memory_map(protocol, loaded);
    let edges = boot::edges();
    let image = edges.payload + SYSTEM.payload_size - edges.start;
    let own = [
        ("the image", edges.start, image),
        ("the start of other CPUs", boot::TRAMPOLINE, PAGE),
    ];
    let partitions = SYSTEM.partitions.iter().flat_map(|partition| {
        let pieces = partition.memory.iter();
        let pieces = pieces.filter(|piece| piece.kind == MemoryKind::Ram);
        pieces.map(|piece| (partition.name, piece.pa.get(), piece.size))
    });
    let channels = SYSTEM.channels.iter();
    let channels = channels.map(|one| (one.name, one.memory.base.get(), one.memory.size));
    for (name, base, size) in own.into_iter().chain(partitions).chain(channels) {
        if !is_ram(map, base, size) {
            stop(format_args!(
                "the machine has no RAM at {base:#x}, {size:#x} bytes, for {name}"
            ));
        }
    }
}

/// The payload is there, all of it.
fn check_payload() {
    let start = boot::edges().payload as *const [u8; 8];
    // SAFETY: the provisional map has the payload, whose length is never 0.
    let (magic, length) = unsafe { (&*start, u64::from_le_bytes(*start.add(1))) };
    if magic != PAYLOAD_MAGIC || length != SYSTEM.payload_size {
        stop(format_args!(
            "the image is not complete: what loads it must copy all of the file"
        ));
    }
}

/// Builds every partition's translation, and what all of them may do.
fn build_partitions() {
    let pages = storage::NESTED.take();
    let base = Pa::new(pages.as_ptr() as u64);
    let Some(mut pool) = FramePool::new(pages, base) else {
        stop(format_args!("the system table is inconsistent"));
    };
    for (partition, root) in SYSTEM.partitions.iter().zip(&NESTED_ROOTS) {
        let translated = match vendor::detect(&cpu::This) {
            Ok(Virtualization::Vmx(_)) => translate::<Ept>(partition.memory, &mut pool),
            _ => translate::<Npt>(partition.memory, &mut pool),
        };
        match translated {
            Ok(table) => root.store(table.get(), Ordering::Release),
            Err(error) => stop(format_args!("partition {}: {error}", partition.name)),
        }
    }
    world::prepare();
}

fn translate<F: Format<Attributes = MemoryKind>>(
    mappings: &[Mapping],
    pool: &mut FramePool,
) -> Result<Pa, MapError> {
    let mut table = Table::<F>::new(pool, 48)?;
    for piece in mappings {
        table.map(piece.ipa.get(), piece.pa, piece.size, piece.kind, pool)?;
    }
    Ok(table.root())
}

/// The console with all its sources.
fn build_console() {
    let mut names = SYSTEM.partitions.iter().map(|partition| partition.name);
    let names = core::array::from_fn(|_| names.next().unwrap_or("hv"));
    let readers = (0..)
        .zip(SYSTEM.partitions)
        .filter(|(_, partition)| partition.console)
        .map(|(index, _)| PartitionId::new(index));
    for cell in &storage::SERIALS {
        // One that is set already would be the same.
        let _ = cell.set(TicketLock::new(Rank::Vcpu, Serial::NEW));
    }
    // A source that says nothing for 50 ms loses its unfinished line to another.
    let patience = u64::from(cpu::tsc_khz()) * 50;
    let terminal = Terminal::new(
        Port::of_system(),
        names,
        &storage::RINGS,
        readers,
        patience,
        #[cfg(feature = "shared")]
        crate::shared::is_wanted,
    );
    if storage::TERMINAL.set(terminal).is_err() {
        stop(format_args!("the console was built twice"));
    }
}
