//! The board's IOMMUs: found, turned on with everything denied, and handed to the core.

use core::sync::atomic::{AtomicU32, AtomicU64};

use fdt::Fdt;
use gic::InterruptController;
use hv::arch::aarch64::boot::physical;
use hv::dma::Unit;
use hv::machine::Dma;
use hv::partition::Partition;
use hv::sync::BootCell;
use hv::vcpu::Hypervisor;
use model::device::Trigger;
use model::iommu::{Iommu as Config, IommuKind};
use model::{IntId, Pa};
use smmu::memory::PAGE_WORDS;
use smmu::v3::{self, SmmuV3};
use smmu::{IommuError, Mmio, SharedMemory};

use crate::early::{line, stop};
use crate::interrupts::Gic;
use crate::machine::Board;
use crate::{SYSTEM, storage};

type Units = heapless::Vec<Unit<SmmuV3<'static, Mmio<'static>>>, { SYSTEM.iommus.len() }>;

/// Pages for the tables and queues of all IOMMUs, and counters for the streams that somebody owns.
const SIZES: (usize, usize) = sizes();
/// What IOMMUs read and write by themselves.
static MEMORY: Memory = Memory([const { AtomicU64::new(0) }; SIZES.0 * PAGE_WORDS]);
/// Faults heard of each device.
static HEARD: [AtomicU32; SIZES.1] = [const { AtomicU32::new(0) }; SIZES.1];
/// IOMMUs behind which somebody owns a stream. The others stay as they are after boot: off, denying everything.
static UNITS: BootCell<Units> = BootCell::new();

#[repr(align(4096))]
struct Memory([AtomicU64; SIZES.0 * PAGE_WORDS]);

const fn sizes() -> (usize, usize) {
    let (mut pages, mut owned) = (0, 0);
    let mut i = 0;
    while i < SYSTEM.iommus.len() {
        #[allow(clippy::indexing_slicing, reason = "evaluated when compiled")]
        let iommu = &SYSTEM.iommus[i];
        pages += match iommu.kind {
            IommuKind::SmmuV3 => v3::pages(iommu.owned),
        };
        owned += iommu.owned.len();
        i += 1;
    }
    (pages, owned)
}

/// Stops the boot when an IOMMU is not where the system expects it.
pub fn compare(tree: &Fdt<'_>) {
    for iommu in SYSTEM.iommus {
        let wanted = match iommu.kind {
            IommuKind::SmmuV3 => "arm,smmu-v3",
        };
        let found = tree.all_nodes().any(|node| {
            let is_one = node
                .compatible()
                .is_some_and(|list| list.all().any(|name| name == wanted));
            let first = node.reg().and_then(|mut regions| regions.next());
            let base = first.map(|region| region.starting_address as u64);
            is_one && base == Some(iommu.registers.base.get())
        });
        if !found {
            stop(format_args!(
                "this image expects the IOMMU {} ({wanted}) at {:#x}, and the device tree has none there",
                iommu.path,
                iommu.registers.base.get()
            ));
        }
    }
}

/// Turns all IOMMUs on, or off where nobody owns a stream: every access of every device behind them is denied from here on. `load` is the
/// physical address of the image.
pub fn bring_up(load: u64) {
    let base = Pa::new(physical(&raw const MEMORY as u64, load));
    let mut memory = SharedMemory::new(&MEMORY.0, base);
    let mut heard: &'static [AtomicU32] = &HEARD;
    let mut units = Units::new();
    for iommu in SYSTEM.iommus {
        let (own, rest) = heard
            .split_at_checked(iommu.owned.len())
            .unwrap_or_default();
        heard = rest;
        match driver(iommu, &mut memory) {
            Ok(None) => line(format_args!("{}: nobody's, denies everything", iommu.path)),
            // There is room for all of them.
            Ok(Some(driver)) => drop(units.push(Unit::new(iommu, driver, own))),
            Err(error) => stop(format_args!(
                "the IOMMU {} cannot be used: {error}",
                iommu.path
            )),
        }
    }
    // Set once, here.
    let _ = UNITS.set(units);
}

fn driver(
    iommu: &Config,
    memory: &mut SharedMemory<'static>,
) -> Result<Option<SmmuV3<'static, Mmio<'static>>>, IommuError> {
    let base = iommu.registers.base.get() as usize;
    // SAFETY: the device tree says that an IOMMU is there, `map` maps its registers where they are, for ever, and nobody else drives it.
    let mut registers = unsafe { Mmio::new(base, iommu.registers.size as usize) };
    if iommu.owned.is_empty() {
        v3::deny_all(&mut registers)?;
        return Ok(None);
    }
    SmmuV3::new(registers, iommu.owned, memory).map(Some)
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
            // They are pulses: a level that is gone before it is acknowledged would be lost.
            gic.set_trigger(*intid, Trigger::Edge);
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
fn each(
    mut f: impl FnMut(&'static Unit<SmmuV3<'static, Mmio<'static>>>, &'static Hypervisor<Board>),
) {
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
                unit.serve(hypervisor);
                served = true;
            }
        });
        served
    }
}
