//! Who owns what: the facts behind `report.json` and `report.html`.

use model::device::Trigger;
use model::memory::MemoryKind;
use model::partition::FaultPolicy;
use serde::Serialize;

use crate::board::Dma;
use crate::diagnostics::Diagnostics;
use crate::plan::{Plan, Planned};
use crate::range::AddressRange;
use crate::system::{Console, Partition};

/// Everything that a system gives to whom. Addresses and sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The system's name.
    pub system: String,
    /// The board's name.
    pub board: String,
    /// RAM of the board.
    pub memory: Vec<RangeEntry>,
    /// RAM that firmware keeps.
    pub reserved: Vec<RangeEntry>,
    /// RAM kept for the hypervisor's image with its payload.
    pub image: RangeEntry,
    /// Length of the payload.
    pub payload_size: u64,
    /// Width of every partition's address space.
    pub ipa_bits: u8,
    /// Pages of 4 KiB in all stage-2 tables.
    pub stage2_pages: usize,
    /// Board indices of the CPUs that stay parked.
    pub parked_cpus: Vec<usize>,
    /// Who has the console UART.
    pub console: String,
    /// Pools and their CPUs.
    pub pools: Vec<PoolEntry>,
    /// Partitions and what they own.
    pub partitions: Vec<PartitionEntry>,
    /// Warnings of the build.
    pub warnings: Diagnostics,
}

/// A named range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RangeEntry {
    /// What it is.
    pub name: String,
    /// First byte.
    pub base: u64,
    /// Length.
    pub size: u64,
}

/// A pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PoolEntry {
    /// Its name.
    pub name: String,
    /// Its policy.
    pub policy: String,
    /// Board indices of its CPUs in use.
    pub cpus: Vec<usize>,
    /// Nanoseconds after which the windows of a cyclic pool come again.
    pub major_frame_ns: Option<u64>,
    /// Why what the pool promises fits, one step a line.
    pub admission: Vec<String>,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionEntry {
    /// Its name.
    pub name: String,
    /// Its VMID.
    pub vmid: u16,
    /// Its pool.
    pub pool: String,
    /// Its virtual CPUs.
    pub vcpus: Vec<VcpuEntry>,
    /// What it sees in its address space.
    pub mappings: Vec<MappingEntry>,
    /// What is copied into its memory at each start.
    pub segments: Vec<SegmentEntry>,
    /// Source of its image.
    pub image: String,
    /// Where it starts.
    pub entry: u64,
    /// `virtual`, `none` or `device`.
    pub console: String,
    /// Its devices.
    pub devices: Vec<DeviceEntry>,
    /// Its interrupts.
    pub interrupts: Vec<InterruptEntry>,
    /// True when its devices may reach all memory.
    pub dma_trusted: bool,
    /// What happens when it does what it may not.
    pub on_fault: String,
    /// True when its firmware calls reach the firmware.
    pub firmware_calls: bool,
}

/// A virtual CPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VcpuEntry {
    /// Board index of its physical CPU.
    pub cpu: usize,
    /// Affinity that the guest reads.
    pub mpidr: u64,
    /// When it runs.
    pub time: String,
}

/// A mapping of a partition's address space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MappingEntry {
    /// `memory` or `registers`.
    pub kind: String,
    /// Where the partition sees it.
    pub ipa: u64,
    /// Where it is.
    pub pa: u64,
    /// Length.
    pub size: u64,
}

/// Bytes that are copied into a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SegmentEntry {
    /// What they are.
    pub name: String,
    /// Where they go.
    pub ipa: u64,
    /// How many.
    pub size: u64,
    /// How many zeros follow.
    pub zeros: u64,
}

/// A device that is passed through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceEntry {
    /// Its path in the board's device tree.
    pub path: String,
    /// Its registers.
    pub registers: Vec<RangeEntry>,
    /// True when nothing confines its DMA.
    pub dma_unconfined: bool,
}

/// An interrupt that is passed through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InterruptEntry {
    /// Its number at the GIC.
    pub intid: u32,
    /// `level` or `edge`.
    pub trigger: String,
}

fn entry(name: impl Into<String>, range: AddressRange) -> RangeEntry {
    RangeEntry {
        name: name.into(),
        base: range.base,
        size: range.size,
    }
}

/// Collects the facts of a planned system.
pub(crate) fn report(plan: &Plan, warnings: &Diagnostics) -> Report {
    let system = &plan.system;
    let board = &system.board;
    let used = system.cpus();
    let console_owner = system.partitions.iter().find(|one| {
        one.devices
            .iter()
            .any(|device| device.node == board.console.node)
    });
    let pools = system.pools.iter().map(|pool| PoolEntry {
        name: pool.name.clone(),
        policy: pool.policy.word().to_owned(),
        cpus: pool.cpus.clone(),
        major_frame_ns: pool.major_frame,
        admission: pool.admission.clone(),
    });
    let partitions = system.partitions.iter().zip(&plan.partitions).enumerate();
    Report {
        system: system.name.clone(),
        board: board.name.clone(),
        memory: board
            .memory
            .banks
            .iter()
            .map(|bank| entry("RAM", *bank))
            .collect(),
        reserved: board
            .memory
            .reserved
            .iter()
            .map(|(range, name)| entry(name, *range))
            .collect(),
        image: entry("hypervisor", plan.image),
        payload_size: plan.payload.size(),
        ipa_bits: plan.ipa_bits,
        stage2_pages: plan.stage2_pages,
        parked_cpus: (0..board.cpus.len())
            .filter(|cpu| !used.contains(cpu))
            .collect(),
        console: console_owner.map_or("hypervisor".to_owned(), |owner| owner.name.clone()),
        pools: pools.collect(),
        partitions: partitions
            .map(|(index, (one, planned))| partition(plan, index, one, planned))
            .collect(),
        warnings: warnings.clone(),
    }
}

fn partition(
    plan: &Plan,
    index: usize,
    partition: &Partition,
    planned: &Planned,
) -> PartitionEntry {
    let board = &plan.system.board;
    let vcpus = partition
        .vcpus
        .iter()
        .zip(&board.cpus)
        .map(|(vcpu, seen)| VcpuEntry {
            cpu: vcpu.cpus.first().copied().unwrap_or(0),
            mpidr: seen.mpidr.get(),
            time: vcpu.time.to_string(),
        });
    let mappings = planned.mappings.iter().map(|mapping| MappingEntry {
        kind: match mapping.kind {
            MemoryKind::Device | MemoryKind::DeviceReadOnly => "registers",
            MemoryKind::Ram | MemoryKind::Shared | MemoryKind::ReadOnly => "memory",
        }
        .to_owned(),
        ipa: mapping.ipa.get(),
        pa: mapping.pa.get(),
        size: mapping.size,
    });
    // The device tree is the last segment and no piece of the image.
    let names = partition
        .layout
        .pieces
        .iter()
        .map(|(_, name)| *name)
        .chain(["device tree"]);
    let segments = planned
        .segments
        .iter()
        .zip(names)
        .map(|(segment, name)| SegmentEntry {
            name: name.to_owned(),
            ipa: segment.ipa.get(),
            size: segment.size,
            zeros: segment.zeros,
        });
    let devices = partition.devices.iter().map(|device| DeviceEntry {
        path: device.path.clone(),
        registers: device
            .registers
            .iter()
            .map(|range| entry("registers", *range))
            .collect(),
        dma_unconfined: board.dma(device) == Dma::Unconfined,
    });
    let interrupts = planned.interrupts.iter().map(|one| InterruptEntry {
        intid: one.intid.get(),
        trigger: match one.trigger {
            Trigger::Level => "level",
            Trigger::Edge => "edge",
        }
        .to_owned(),
    });
    PartitionEntry {
        name: partition.name.clone(),
        vmid: index as u16 + 1,
        pool: partition
            .vcpus
            .first()
            .map_or("", |vcpu| plan.system.pool_name(vcpu))
            .to_owned(),
        vcpus: vcpus.collect(),
        mappings: mappings.collect(),
        segments: segments.collect(),
        image: partition.image.source.clone(),
        entry: partition.layout.entry,
        console: match partition.console {
            Console::Virtual => "virtual",
            Console::None => "none",
            Console::Device => "device",
        }
        .to_owned(),
        devices: devices.collect(),
        interrupts: interrupts.collect(),
        dma_trusted: partition.dma_trusted,
        on_fault: match partition.on_fault {
            FaultPolicy::Inject => "inject",
            FaultPolicy::Stop => "stop",
            FaultPolicy::Restart => "restart",
            FaultPolicy::StopSystem => "stop-system",
        }
        .to_owned(),
        firmware_calls: partition.firmware_calls,
    }
}
