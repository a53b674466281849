//! Boot in Rust: on the boot CPU once, then the same on every pCPU.

use core::sync::atomic::{AtomicUsize, Ordering};

use gic::InterruptController;
use gic::virt::{Geometry, Version, Vgic};
use hv::arch::aarch64::boot::{enter_real_map, physical};
use hv::arch::aarch64::el2::El2;
use hv::arch::aarch64::{cache, firmware, guest};
use hv::machine::Cpu;
use hv::memory::stage2::{Stage2, stage2_control};
use hv::memory::{FramePool, MapError, Table};
use hv::partition::{Partition, VcpuShared};
use hv::pool::Common;
use hv::sync::{Rank, TicketLock};
use hv::terminal::Terminal;
use hv::vcpu::{Hypervisor, Vcpu};
#[cfg(not(feature = "silent"))]
use model::device::Trigger;
use model::device::VirtualGic;
use model::memory::PhysicalRange;
use model::time::TimeShare;
use model::{Pa, PartitionId, VcpuId};

use crate::early::{self, stop};
#[cfg(feature = "its")]
use crate::interrupts;
use crate::interrupts::Gic;
use crate::machine::Board;
use crate::serial::{self, Serial};
use crate::storage::{self, PCPUS};
use crate::{SYSTEM, bring_up, map, shared};

/// Pieces that come before the data of the payload.
const PAYLOAD_MAGIC: &[u8; 8] = b"BHPAYLD1";

/// pCPUs whose interrupt controller is ready.
static READY: AtomicUsize = AtomicUsize::new(0);

/// Called by the first instructions on the boot CPU, on the provisional map, with the physical addresses of the device tree and of the image.
#[unsafe(no_mangle)]
extern "C" fn bulkhead_boot(tree: u64, load: u64) -> ! {
    let root = match map::build(load, tree) {
        Ok(root) => root,
        Err(error) => stop(format_args!(
            "the hypervisor's own map cannot be built: {error}"
        )),
    };
    // SAFETY: `build` maps the image where it is linked and the trampoline at its physical address.
    unsafe { enter_real_map(root.get(), load) };

    let mut early = early::Early::new();
    early.init();
    early::line(format_args!(
        "Bulkhead {} system {} for {}",
        env!("CARGO_PKG_VERSION"),
        SYSTEM.name,
        SYSTEM.board.name
    ));
    // SAFETY: `build` maps 4 MiB around the device tree for reading, and partitions are not loaded yet.
    unsafe { bring_up::compare(map::device_tree(tree), image(load)) };
    #[cfg(feature = "iommu")]
    crate::dma::bring_up(load);
    #[cfg(feature = "pci")]
    crate::pci::bring_up();
    check_payload();
    let gic = Gic;
    if let Err(error) = gic.init_distributor() {
        stop(format_args!("{error}"));
    }
    #[cfg(feature = "self-check")]
    crate::self_check::interrupt_controller(gic);
    #[cfg(feature = "its")]
    if let Err(error) = interrupts::its::init(load) {
        stop(format_args!("{error}"));
    }
    prepare(load, gic);

    let own = El2::affinity();
    let mut own_index = None;
    for (index, pcpu) in SYSTEM.pcpus.iter().enumerate() {
        if pcpu.mpidr == own {
            own_index = Some(index);
        } else if let Err(status) = firmware::cpu_on(pcpu, load, index as u64) {
            stop(format_args!(
                "firmware does not start the CPU with affinity {:#x}: PSCI CPU_ON returns {status}",
                pcpu.mpidr.get()
            ));
        }
    }
    match own_index {
        Some(index) => run(index),
        // The system does not use the CPU that booted.
        None => firmware::cpu_off(),
    }
}

/// Where the image with its payload lies.
fn image(load: u64) -> PhysicalRange {
    PhysicalRange {
        base: Pa::new(load),
        size: physical(map::payload(), load) - load + SYSTEM.payload_size,
    }
}

/// Called by the first instructions on every other CPU.
#[unsafe(no_mangle)]
extern "C" fn bulkhead_secondary_main(index: u64) -> ! {
    run(index as usize)
}

/// The payload is there, all of it: a loader that cut the image off is found here, not in a guest.
fn check_payload() {
    let start = map::payload() as *const [u8; 8];
    // SAFETY: `map` maps the payload, whose length is never 0.
    let (magic, length) = unsafe { (&*start, u64::from_le_bytes(*start.add(1))) };
    if magic != PAYLOAD_MAGIC || length != SYSTEM.payload_size {
        stop(format_args!(
            "the image is not complete: what loads it must copy all of the file"
        ));
    }
}

/// Builds every partition, from the boot CPU.
fn prepare(load: u64, gic: Gic) {
    let system = &SYSTEM;
    let built = build(load, gic, system);
    let Some(machine) = built.and_then(|built| assign(built).map(|()| &built.machine)) else {
        stop(format_args!("the system table is inconsistent"));
    };
    clear_channels(system, machine);
    cache::publish_tables();
    #[cfg(feature = "iommu")]
    crate::dma::publish_tables();
    #[cfg(feature = "measure")]
    crate::dma::measure::boot(load);
}

#[cfg(feature = "channels")]
fn clear_channels(system: &model::system::System, machine: &Board) {
    hv::channel::clear(system.channels, machine);
}

#[cfg(not(feature = "channels"))]
const fn clear_channels(_: &model::system::System, _: &Board) {}

/// Gives every virtual CPU to the pCPU that runs it. `None` when the table contradicts itself.
fn assign(hypervisor: &'static Hypervisor<Board>) -> Option<()> {
    let vcpus = storage::VCPU_STATE.init(heapless::Vec::new());
    for partition in hypervisor.partitions {
        for index in 0..partition.config.vcpus.len() {
            let id = VcpuId::new(index as u8);
            let vcpu = Vcpu::new(hypervisor, partition, id, guest::handlers::<Board>())?;
            vcpus.push(vcpu).ok()?;
        }
    }
    let owns = |vcpu: &'static mut Vcpu<Board>| {
        let index = usize::from(vcpu.id.get());
        let pcpu = vcpu.partition.config.vcpus.get(index)?.pcpu;
        let assigned = storage::ASSIGNED.get(usize::from(pcpu.get()))?;
        // Nobody else has it.
        let free = core::ptr::null_mut();
        let set = assigned.compare_exchange(free, vcpu, Ordering::Release, Ordering::Relaxed);
        set.is_ok().then_some(())
    };
    shared::prepare(hypervisor, vcpus.iter_mut(), owns)
}

/// Puts the hypervisor together. `None` when the table contradicts itself.
fn build(
    load: u64,
    gic: Gic,
    system: &'static model::system::System,
) -> Option<&'static Hypervisor<Board>> {
    let pages = storage::STAGE2.take();
    let base = Pa::new(physical(pages.as_ptr() as u64, load));
    let mut pool = FramePool::new(pages, base)?;
    let shared = storage::SHARED.init(heapless::Vec::new());
    for vcpu in system
        .partitions
        .iter()
        .flat_map(|partition| partition.vcpus)
    {
        let pcpu = system.pcpus.get(usize::from(vcpu.pcpu.get()))?;
        let shares = vcpu.time != TimeShare::Always;
        shared.push(VcpuShared::new(pcpu.mpidr, shares)).ok()?;
    }
    let mut shared: &'static [VcpuShared] = shared;
    let mut interfaces: &'static mut [_] = storage::VIRTUAL_CPU_INTERFACES.take();
    let mut grants: &'static [_] = &storage::GRANTS;
    let mut spis: &'static mut [_] = storage::VIRTUAL_SPIS.take();
    #[cfg(feature = "its")]
    let mut its_shares = interrupts::its::Shares::take();
    let partitions = storage::PARTITION_STATE.init(heapless::Vec::new());
    for (index, config) in system.partitions.iter().enumerate() {
        let count = config.vcpus.len();
        let (own_shared, rest) = shared.split_at_checked(count)?;
        shared = rest;
        let (own_interfaces, rest) = interfaces.split_at_mut_checked(count)?;
        interfaces = rest;
        let shown = storage::SHOWN.get(index)?;
        let (own_grants, rest) = grants.split_at_checked(count)?;
        grants = rest;
        let (own_spis, rest) = spis.split_at_mut_checked(usize::from(config.spis))?;
        spis = rest;
        let geometry = Geometry {
            version: match config.gic {
                #[cfg(any(feature = "v2", feature = "legacy"))]
                VirtualGic::V2 { .. } => Version::V2,
                #[cfg(feature = "v3")]
                VirtualGic::V3 { .. } => Version::V3,
                #[cfg(not(feature = "v3"))]
                VirtualGic::V3 { .. } => return None,
            },
            vcpus: config.vcpus,
            interrupts: config.interrupts,
            timers: [system.board.virtual_timer, system.board.physical_timer],
            spis: config.spis,
        };
        let vgic = Vgic::new(geometry, own_interfaces, own_spis, own_grants, shown);
        #[cfg(feature = "its")]
        let vgic = its_shares.give(vgic, config.its.as_ref())?;
        let mut table = |mappings| match translate(mappings, system.ipa_bits, &mut pool) {
            Ok(root) => root,
            Err(error) => stop(format_args!("partition {}: {error}", config.name)),
        };
        let root = table(config.memory);
        let partition = Partition::new(
            PartitionId::new(index as u8),
            config,
            own_shared,
            own_grants,
            shown,
            vgic,
            root.get() | u64::from(config.vmid.get()) << 48,
        );
        #[cfg(feature = "iommu")]
        let partition = {
            let mut partition = partition;
            if !config.dma.is_empty() {
                partition.dma_root = table(config.dma);
            }
            partition
        };
        #[cfg(feature = "ipmmu")]
        let partition = match crate::dma::tables::give(partition, &mut pool) {
            Ok(partition) => partition,
            Err(error) => stop(format_args!("partition {}: {error}", config.name)),
        };
        partitions.push(partition).ok()?;
    }
    storage::TERMINAL.set(terminal(system)).ok()?;
    storage::HYPERVISOR
        .set(Hypervisor {
            system,
            partitions,
            machine: Board { gic },
            report: TicketLock::new(Rank::Report, None),
            common: Common::default(),
            #[cfg(feature = "monitor")]
            watch: hv::monitor::Watch::new(El2::frequency(), crate::records::find(image(load))),
        })
        .ok()?;
    storage::HYPERVISOR.get()
}

/// A stage-2 table of a partition.
fn translate(
    mappings: &[model::memory::Mapping],
    ipa_bits: u8,
    pool: &mut FramePool,
) -> Result<Pa, MapError> {
    let mut table = Table::<Stage2>::new(pool, u32::from(ipa_bits))?;
    for mapping in mappings {
        table.map(
            mapping.ipa.get(),
            mapping.pa,
            mapping.size,
            mapping.kind,
            pool,
        )?;
    }
    Ok(table.root())
}

/// The console with all its sources.
fn terminal(system: &'static model::system::System) -> Terminal<Serial, { storage::SOURCES }> {
    let mut names = system.partitions.iter().map(|partition| partition.name);
    let names = core::array::from_fn(|_| names.next().unwrap_or("hv"));
    let readers = system
        .partitions
        .iter()
        .enumerate()
        .filter(|(_, partition)| partition.console.is_some())
        .map(|(index, _)| PartitionId::new(index as u8));
    // A source that says nothing for 50 ms loses its unfinished line to another.
    let patience = El2::frequency() / 20;
    Terminal::new(
        serial::of_system(),
        names,
        &storage::RINGS,
        readers,
        patience,
        #[cfg(feature = "shared")]
        hv::pool::wanted::<El2>(),
    )
}

/// What every pCPU does for ever.
fn run(index: usize) -> ! {
    let gic = Gic;
    let vtcr = match stage2_control(u32::from(SYSTEM.ipa_bits), El2::pa_range()) {
        Ok(vtcr) => vtcr,
        Err(error) => stop(format_args!("{error}")),
    };
    El2::configure(vtcr);
    if let Err(error) = gic.init_cpu() {
        stop(format_args!("{error}"));
    }
    #[cfg(feature = "its")]
    if let Err(error) = interrupts::its::init_cpu(index) {
        stop(format_args!("{error}"));
    }
    #[cfg(feature = "self-check")]
    crate::self_check::cpu(index, gic);
    #[cfg(feature = "v2")]
    if gic.overlooks_levels() {
        El2::trap_waits();
    }
    check_interrupts(gic);
    gic.enable(SYSTEM.board.maintenance);
    wait_for_all();
    #[cfg(not(feature = "silent"))]
    if index == 0 {
        serve_console(gic);
        #[cfg(feature = "iommu")]
        crate::dma::listen(gic);
    }
    let vcpu = match shared::first_turn(index) {
        Some(vcpu) => vcpu,
        None => own_vcpu(index),
    };
    // SAFETY: the virtual CPU is this pCPU's own; its context is its first field, and its handlers take a pointer to it.
    unsafe { El2::first_entry(&raw mut vcpu.context, storage::stack_top(index)) }
}

/// Every interrupt that the system needs can be used on the calling pCPU. One that cannot would never come, and nobody would know why.
fn check_interrupts(gic: Gic) {
    let board = &SYSTEM.board;
    let timers = [
        board.virtual_timer,
        board.physical_timer,
        board.hypervisor_timer,
    ];
    let passed = SYSTEM
        .partitions
        .iter()
        .flat_map(|partition| partition.interrupts);
    let mut needed = timers
        .into_iter()
        .chain([hv::vcpu::KICK, board.maintenance, board.console.intid])
        .chain(passed.map(|one| one.intid));
    if let Some(intid) = needed.find(|intid| !gic.is_available(*intid)) {
        stop(format_args!(
            "interrupt {} cannot be used on the CPU with affinity {:#x}: the GIC does not have it, or secure firmware keeps it",
            intid.get(),
            El2::affinity().get()
        ));
    }
}

/// The virtual CPU that owns the calling pCPU, started.
fn own_vcpu(index: usize) -> &'static mut Vcpu<Board> {
    let vcpu = storage::ASSIGNED
        .get(index)
        .map_or(core::ptr::null_mut(), |assigned| {
            assigned.load(Ordering::Acquire)
        });
    // SAFETY: the boot CPU stored a pointer to a virtual CPU that lives for ever and belongs to this pCPU alone, or left it null.
    let Some(vcpu) = (unsafe { vcpu.as_mut() }) else {
        stop(format_args!("pCPU {index} has nothing to run"));
    };
    vcpu.bring_up();
    vcpu
}

/// Waits until every pCPU can be kicked, for at most five seconds.
fn wait_for_all() {
    let deadline = El2::now().wrapping_add(5 * El2::frequency());
    READY.fetch_add(1, Ordering::AcqRel);
    while READY.load(Ordering::Acquire) < PCPUS {
        if El2::now() > deadline {
            stop(format_args!(
                "only {} of {PCPUS} CPUs came up within 5 seconds",
                READY.load(Ordering::Acquire)
            ));
        }
        core::hint::spin_loop();
    }
}

/// The first pCPU takes the console's interrupt.
#[cfg(not(feature = "silent"))]
fn serve_console(gic: Gic) {
    let intid = SYSTEM.board.console.intid;
    gic.set_trigger(intid, Trigger::Level);
    gic.route(intid, El2::affinity());
    gic.enable(intid);
    if let Some(hypervisor) = storage::HYPERVISOR.get() {
        hypervisor.serve_console();
    }
}
