//! The board's IOMMUs: found, turned on with everything denied, and handed to the core.

#[cfg(feature = "measure")]
pub mod measure;
#[cfg(feature = "ipmmu")]
pub mod tables;

use core::sync::atomic::AtomicU64;

use gic::InterruptController;
use hv::arch::aarch64::boot::physical;
use hv::arch::aarch64::cache;
use hv::arch::aarch64::el2::El2;
use hv::dma::{Attention, Unit};
use hv::machine::Dma;
use hv::partition::Partition;
use hv::sync::BootCell;
use hv::vcpu::Hypervisor;
use model::iommu::Iommu as Config;
#[cfg(feature = "ipmmu")]
use model::iommu::IommuKind;
use model::memory::PhysicalRange;
use model::{IntId, Pa};
use platforms::device_tree::DeviceTree;
use smmu::driver::{self, Driver};
use smmu::memory::PAGE_WORDS;
use smmu::{IommuError, Mmio, SharedMemory};

use crate::bring_up::Differs;
use crate::early::{line, stop};
use crate::interrupts::Gic;
use crate::machine::Board;
use crate::{SYSTEM, storage};

type One = Driver<Mmio<'static>>;
type Units = heapless::Vec<Unit<One>, { SYSTEM.iommus.len() }>;

/// How many [`frames`] there are at most.
pub const MOST_FRAMES: usize = SIZES.2;
/// Pages for the tables and queues of all IOMMUs, and counters for the streams that somebody owns.
const SIZES: (usize, usize, usize) = sizes();
/// What IOMMUs read and write by themselves.
static MEMORY: Memory = Memory([const { AtomicU64::new(0) }; SIZES.0 * PAGE_WORDS]);
/// How often each device is heard.
static ATTENTION: [Attention; SIZES.1] = [const { Attention::new() }; SIZES.1];
/// IOMMUs behind which somebody owns a stream. The others stay as they are after boot: off, denying everything.
static UNITS: BootCell<Units> = BootCell::new();

#[repr(align(4096))]
struct Memory([AtomicU64; SIZES.0 * PAGE_WORDS]);

const fn sizes() -> (usize, usize, usize) {
    let (mut pages, mut owned, mut frames) = (0, 0, 0);
    let mut i = 0;
    while i < SYSTEM.iommus.len() {
        #[allow(clippy::indexing_slicing, reason = "evaluated when compiled")]
        let iommu = &SYSTEM.iommus[i];
        pages += driver::pages(iommu.kind, iommu.owned);
        owned += iommu.owned.len();
        // Its own, its instances', and that of the chip's revision.
        frames += 2 + iommu.instances.len();
        i += 1;
    }
    (pages, owned, frames)
}

/// All registers by which IOMMUs are driven.
pub fn frames() -> impl Iterator<Item = PhysicalRange> {
    let all = SYSTEM.iommus.iter();
    all.flat_map(|iommu| {
        let instances = iommu.instances.iter().copied();
        let others: Option<PhysicalRange> = match iommu.kind {
            #[cfg(feature = "ipmmu")]
            IommuKind::Ipmmu(ipmmu) => ipmmu.revision.map(|revision| revision.page()),
            _ => None,
        };
        [iommu.registers].into_iter().chain(instances).chain(others)
    })
}

/// Differs when an IOMMU is not where the system expects it.
pub fn compare(tree: &DeviceTree<'_>, differs: Differs) {
    for iommu in SYSTEM.iommus {
        let wanted = iommu.kind.compatible();
        for registers in [&iommu.registers].into_iter().chain(iommu.instances) {
            let expected = registers.base.get();
            let found = tree.has(wanted, expected);
            if !found {
                differs(format_args!(
                    "this image expects the IOMMU {} ({}) at {expected:#x}, and the device tree has none there",
                    iommu.path,
                    wanted.first().unwrap_or(&"")
                ));
            }
        }
    }
}

/// Turns all IOMMUs on, or off where nobody owns a stream: every access of every device behind them is denied from here on. `load` is the
/// physical address of the image.
pub fn bring_up(load: u64) {
    let base = Pa::new(physical(&raw const MEMORY as u64, load));
    let mut memory = SharedMemory::new(&MEMORY.0, base);
    memory.clear();
    clean(&MEMORY);
    let mut attention: &'static [Attention] = &ATTENTION;
    let mut units = Units::new();
    for iommu in SYSTEM.iommus {
        let (own, rest) = attention
            .split_at_checked(iommu.owned.len())
            .unwrap_or_default();
        attention = rest;
        match start(iommu, &mut memory) {
            Ok(None) => line(format_args!("{}: nobody's, denies everything", iommu.path)),
            // There is room for all of them.
            Ok(Some(driver)) => drop(units.push(Unit::new(iommu, driver, own, El2::frequency()))),
            Err(error) => stop(format_args!(
                "the IOMMU {} cannot be used: {error}",
                iommu.path
            )),
        }
    }
    // Set once, here.
    let _ = UNITS.set(units);
}

fn start(
    iommu: &'static Config,
    memory: &mut SharedMemory<'static>,
) -> Result<Option<One>, IommuError> {
    let mut frame = |registers: PhysicalRange| {
        // SAFETY: the device tree says that an IOMMU is there, `map` maps its registers where they are, for ever, and nobody else drives it.
        unsafe { Mmio::new(registers.base.get() as usize, registers.size as usize) }
    };
    Driver::start(&mut frame, iommu, memory)
}

/// Partitions' tables are written: IOMMUs that read them past the caches see them from here on.
pub fn publish_tables() {
    clean(&storage::STAGE2);
}

/// What is written there is seen by IOMMUs that read past the caches, if there are such.
fn clean<T>(tables: &'static T) {
    if SYSTEM.iommus.iter().any(|iommu| !iommu.reads_caches()) {
        cache::clean(&raw const *tables as u64, size_of::<T>() as u64);
    }
}

/// Lets the IOMMUs' interrupts come, each to the pCPU of the first partition behind it.
pub fn listen(gic: Gic) {
    for unit in UNITS.get().into_iter().flatten() {
        let first = unit.config().owned.first();
        let partition =
            first.and_then(|owned| SYSTEM.partitions.get(usize::from(owned.partition.get())));
        let vcpu = partition.and_then(|partition| partition.vcpus.first());
        let pcpu = vcpu.and_then(|vcpu| SYSTEM.pcpus.get(usize::from(vcpu.pcpu.get())));
        let Some(pcpu) = pcpu else { continue };
        for intid in unit.config().interrupts {
            gic.set_trigger(*intid, unit.config().kind.trigger());
            gic.route(*intid, pcpu.mpidr);
            gic.enable(*intid);
        }
        // What was refused while nobody listened.
        if let Some(hypervisor) = storage::HYPERVISOR.get() {
            unit.serve(hypervisor);
        }
    }
}

/// Every IOMMU in use, with the hypervisor that is to hear of it.
fn each(mut f: impl FnMut(&'static Unit<One>, &'static Hypervisor<Board>)) {
    if let (Some(units), Some(hypervisor)) = (UNITS.get(), storage::HYPERVISOR.get()) {
        units.iter().for_each(|unit| f(unit, hypervisor));
    }
}

impl Dma for Board {
    fn admit(&self, partition: &Partition) {
        each(|unit, hypervisor| unit.admit(hypervisor, partition));
    }

    fn deny(&self, partition: &Partition) {
        each(|unit, hypervisor| unit.deny(hypervisor, partition));
    }

    fn serve(&self, intid: IntId) -> bool {
        let mut served = false;
        each(|unit, hypervisor| {
            if unit.has_interrupt(intid) {
                #[cfg(feature = "measure")]
                measure::serve(unit, hypervisor);
                #[cfg(not(feature = "measure"))]
                unit.serve(hypervisor);
                served = true;
            }
        });
        served
    }
}
