//! What a partition is and has.

use model::memory::{Mapping, MemoryKind};
use model::partition::FaultPolicy;

use super::super::dts;
use super::super::facts::{
    DeviceEntry, FunctionEntry, ImageEntry, InterruptEntry, MappingEntry, MappingKind, Owner,
    PartitionEntry, ProviderEntry, SegmentEntry, Share, TreeEntry, VcpuEntry, Window,
};
use super::super::units::frequency;
use super::{board, range, terms};
use crate::board::{Device, Dma, PciFunction};
use crate::devicetree::Tree;
use crate::image::sha256;
use crate::plan::{Plan, Planned};
use crate::processors::TimeShare;
use crate::raw::{RawPartition, RawSystem};
use crate::supply::{Lack, Need, Resolution};
use crate::system::{Console, Partition};

/// All partitions, in the order of the system file.
pub(super) fn partitions(plan: &Plan, raw: &RawSystem) -> Vec<PartitionEntry> {
    let planned = plan.system.partitions.iter().zip(&plan.partitions);
    planned
        .zip(&raw.partitions)
        .enumerate()
        .map(|(index, ((one, planned), raw))| partition(plan, index, one, planned, raw))
        .collect()
}

fn partition(
    plan: &Plan,
    index: usize,
    partition: &Partition,
    planned: &Planned,
    raw: &RawPartition,
) -> PartitionEntry {
    let images = partition.image.files.iter().map(|file| ImageEntry {
        role: file.role.to_owned(),
        source: file.source.clone(),
        size: file.size,
        sha256: file.sha256.clone(),
    });
    PartitionEntry {
        name: partition.name.clone(),
        vmid: index as u16 + 1,
        vcpus: vcpus(plan, partition),
        mappings: planned
            .mappings
            .iter()
            .map(|one| mapping(partition, one))
            .collect(),
        virtual_devices: board::played(plan, partition),
        segments: segments(partition, planned),
        images: images.collect(),
        command_line: partition.image.cmdline.clone(),
        entry: partition.layout.entry,
        console: match partition.console {
            Console::Virtual => "virtual",
            Console::None => "none",
            Console::Device => "device",
        }
        .to_owned(),
        devices: partition
            .devices
            .iter()
            .enumerate()
            .map(|(index, one)| device(plan, partition, index, one))
            .collect(),
        interrupts: interrupts(partition, planned),
        dma_trusted: partition.dma_trusted,
        psci: terms::psci(raw),
        cpu_policy: None,
        firmware_calls: terms::firmware_calls(raw).to_owned(),
        firmware_resources: terms::firmware_resources(partition),
        on_fault: match partition.on_fault {
            FaultPolicy::Inject => "inject",
            FaultPolicy::Stop => "stop",
            FaultPolicy::Restart => "restart",
            FaultPolicy::StopSystem => "stop-system",
        }
        .to_owned()
            + &terms::restarts(raw)
            + &terms::classes(raw)
            + &terms::notices(raw),
        may_control: terms::names(&raw.may_control),
        may_watch: terms::names(&raw.may_watch),
        may_read_console: terms::names(&raw.may_read_console),
        watchdog_ns: raw.watchdog.as_ref().map(|time| *time.get_ref()),
        start: terms::start(raw),
        tree: TreeEntry {
            size: planned.tree.len() as u64,
            sha256: sha256(&planned.tree),
            source: Tree::read(&planned.tree).map_or(String::new(), |tree| dts::source(&tree)),
        },
    }
}

fn vcpus(plan: &Plan, partition: &Partition) -> Vec<VcpuEntry> {
    let seen = partition.vcpus.iter().zip(&plan.system.board.cpus);
    seen.map(|(vcpu, seen)| VcpuEntry {
        pool: plan.system.pool_name(vcpu).to_owned(),
        cpus: vcpu.cpus.clone(),
        mpidr: seen.mpidr.get(),
        share: share(&vcpu.time),
    })
    .collect()
}

/// The time of a virtual CPU, as reports say it.
pub(crate) fn share(time: &TimeShare) -> Share {
    match time {
        TimeShare::Always => Share::Dedicated,
        TimeShare::Budget {
            period,
            budget,
            extra_time,
            priority,
        } => Share::Rtds {
            period_ns: *period,
            budget_ns: *budget,
            extra_time: *extra_time,
            priority: *priority,
        },
        TimeShare::Windows(windows) => Share::Cyclic {
            windows: windows
                .iter()
                .map(|(start, length)| Window {
                    start_ns: *start,
                    length_ns: *length,
                })
                .collect(),
        },
    }
}

fn mapping(partition: &Partition, mapping: &Mapping) -> MappingEntry {
    let pa = mapping.pa.get();
    let device = || {
        let here = |device: &&Device| {
            let mut registers = device.registers.iter();
            registers.any(|one| one.base < pa.saturating_add(mapping.size) && pa < one.end())
        };
        let paths = partition.devices.iter().filter(here);
        paths
            .map(|one| one.path.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let channel = || {
        let mut ends = partition.channels.iter();
        let end = ends.find(|end| end.seen.base == mapping.ipa.get())?;
        let how = if end.uncached { ", uncached" } else { "" };
        Some(format!("channel {}{how}", end.name))
    };
    let (kind, what) = match (mapping.kind, channel()) {
        (_, Some(channel)) => (MappingKind::Channel, channel),
        (MemoryKind::Ram, None) => (MappingKind::Memory, "memory".to_owned()),
        (MemoryKind::Shared | MemoryKind::ReadOnly, None) => (MappingKind::Channel, String::new()),
        (MemoryKind::Device, None) => (MappingKind::Registers, device()),
        (MemoryKind::DeviceReadOnly, None) => (MappingKind::ReadOnlyRegisters, device()),
    };
    // The only registers that are mapped without a device are those of a GICv2 (Arm IHI 0048B, section 5.5).
    let (kind, what) = match (kind, what.as_str()) {
        (MappingKind::Registers, "") => (
            MappingKind::InterruptController,
            "virtual CPU interface of the GIC".to_owned(),
        ),
        _ => (kind, what),
    };
    MappingEntry {
        kind,
        ipa: mapping.ipa.get(),
        pa,
        size: mapping.size,
        what,
    }
}

fn segments(partition: &Partition, planned: &Planned) -> Vec<SegmentEntry> {
    // The device tree is the last segment and no piece of the image.
    let names = partition
        .layout
        .pieces
        .iter()
        .map(|(_, name)| *name)
        .chain(["device tree"]);
    let segments = planned.segments.iter().zip(names);
    segments
        .map(|(segment, name)| SegmentEntry {
            name: name.to_owned(),
            ipa: segment.ipa.get(),
            size: segment.size,
            zeros: segment.zeros,
        })
        .collect()
}

fn device(plan: &Plan, partition: &Partition, index: usize, device: &Device) -> DeviceEntry {
    let board = &plan.system.board;
    let needs = partition
        .supply
        .needs
        .iter()
        .filter(|need| need.device == index);
    DeviceEntry {
        name: board.tree.name(device.node).to_owned(),
        path: device.path.clone(),
        compatible: board.tree.strings(device.node, "compatible").join(", "),
        registers: device
            .registers
            .iter()
            .map(|one| range("registers", *one))
            .collect(),
        interrupts: device
            .interrupts
            .iter()
            .map(|one| one.intid.get())
            .collect(),
        dma_unconfined: board.dma(device) == Dma::Unconfined,
        read_only: device.read_only,
        function: device.function().map(function),
        providers: needs
            .map(|need| ProviderEntry {
                owner: other_owner(plan, partition, need),
                ..provider(&board.tree, device, need)
            })
            .collect(),
    }
}

fn function(function: &PciFunction) -> FunctionEntry {
    let id = |(vendor, device)| format!("{vendor:04x}:{device:04x}");
    let windows = [Some(&function.window), function.high.as_ref()];
    let places = windows.into_iter().flatten().filter_map(|one| one.place);
    let (bus, device) = function.group();
    FunctionEntry {
        id: function.id.map_or(String::new(), id),
        messages: match function.msi {
            Some(_) => function.vectors,
            None => 0,
        },
        pin: function.pin.map_or(String::new(), |pin| {
            char::from(b'A' + (pin.number & 3)).to_string()
        }),
        bars: places.map(|place| range("BARs", place.cpu)).collect(),
        group: format!("{bus:02x}:{device:02x}"),
        access_control: function.acs,
    }
}

fn provider(tree: &Tree, device: &Device, need: &Need) -> ProviderEntry {
    let entry = match &need.name {
        Some(name) => format!("{} \"{name}\"", need.property),
        None => format!("{}[{}]", need.property, need.index),
    };
    let (resolution, detail) = resolution(need.resolution);
    ProviderEntry {
        property: entry,
        consumer: if need.consumer == device.node {
            String::new()
        } else {
            tree.path(need.consumer)
        },
        provider: tree.path(need.provider),
        resolution: resolution.to_owned(),
        detail,
        owner: String::new(),
    }
}

/// The name of another partition that owns what a need names, or nothing.
fn other_owner(plan: &Plan, partition: &Partition, need: &Need) -> String {
    let owns = |one: &&Partition| {
        let mut devices = one.devices.iter().filter(|device| !device.read_only);
        devices.any(|device| device.members.iter().any(|own| own.node == need.provider))
    };
    let others = plan.system.partitions.iter();
    let mut others = others.filter(|one| one.name != partition.name);
    others
        .find(owns)
        .map_or(String::new(), |one| one.name.clone())
}

/// The stable word for a resolution, and what it means.
fn resolution(resolution: Resolution) -> (&'static str, String) {
    let (word, detail) = match resolution {
        Resolution::GivenToo => ("given-too", "the partition owns it"),
        Resolution::Copied => ("copied", "only data: the partition's tree has a copy"),
        Resolution::SharedReadOnly => ("shared-read-only", "several partitions may read it"),
        Resolution::FixedClock(hertz) => {
            return (
                "fixed-clock",
                format!("a fixed clock of {} stands for it", frequency(hertz)),
            );
        }
        Resolution::LeftAsFirmwareSetIt => (
            "left-as-firmware-set-it",
            "the system file leaves the property out",
        ),
        Resolution::Firmware => ("firmware", "the firmware does it when the partition asks"),
        Resolution::Missing(lack) => (
            "missing",
            match lack {
                Lack::NotGiven => "the partition does not own it",
                Lack::FirmwareCalls => "the partition may not call the firmware",
                Lack::Disabled => "it is disabled",
                Lack::Kept => "the hypervisor keeps it",
            },
        ),
    };
    (word, detail.to_owned())
}

fn interrupts(partition: &Partition, planned: &Planned) -> Vec<InterruptEntry> {
    let interrupt = |one: &model::device::PassedInterrupt| {
        let raises = |device: &&Device| device.interrupts.iter().any(|own| own.intid == one.intid);
        let source = partition.devices.iter().find(raises);
        let source = source.map_or("named in the system file".to_owned(), |device| {
            device.path.clone()
        });
        board::interrupt(one, source, Owner::Partition(partition.name.clone()))
    };
    planned.interrupts.iter().map(interrupt).collect()
}
