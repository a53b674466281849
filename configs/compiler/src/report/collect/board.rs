//! What the whole board is: its address space, CPUs and interrupts.

use std::collections::BTreeSet;

use model::device::{PassedInterrupt, Trigger};
use model::ids::IntId;
use model::memory::PAGE;

use super::super::facts::{
    CpuEntry, InterruptEntry, MapEntry, MapKind, Owner, PartitionEntry, StreamEntry, VcpuName,
    VirtualDevice,
};
use super::map::Map;
use crate::board::Device;
use crate::devicetree::addresses::registers;
use crate::devicetree::streams::{Ids, Stream};
use crate::devicetree::{NodeId, Tree};
use crate::guest_gic::GuestGic;
use crate::plan::Plan;
use crate::range::AddressRange;
use crate::system::{Console, Partition};

/// Who has the console UART.
pub(super) fn console(plan: &Plan) -> String {
    let board = &plan.system.board;
    let owner = plan.system.partitions.iter().find(|one| {
        let mut devices = one.devices.iter();
        devices.any(|device| device.node == board.console.node)
    });
    owner.map_or("hypervisor".to_owned(), |owner| owner.name.clone())
}

/// All CPUs with what runs on them.
pub(super) fn cpus(plan: &Plan) -> Vec<CpuEntry> {
    let system = &plan.system;
    let entry = |(cpu, seen): (usize, &crate::board::Cpu)| CpuEntry {
        cpu,
        mpidr: seen.mpidr.get(),
        pool: system
            .pools
            .iter()
            .find(|pool| pool.cpus.contains(&cpu))
            .map(|pool| pool.name.clone()),
        runs: runs(plan, cpu),
    };
    system.board.cpus.iter().enumerate().map(entry).collect()
}

fn runs(plan: &Plan, cpu: usize) -> Vec<VcpuName> {
    let names = plan.system.partitions.iter().flat_map(|partition| {
        let vcpus = partition.vcpus.iter().enumerate();
        let own = vcpus.filter(|(_, vcpu)| vcpu.cpus.contains(&cpu));
        own.map(|(vcpu, _)| VcpuName {
            partition: partition.name.clone(),
            vcpu,
        })
    });
    names.collect()
}

/// Interrupts of partitions, and those that the hypervisor keeps.
pub(super) fn interrupts(plan: &Plan, partitions: &[PartitionEntry]) -> Vec<InterruptEntry> {
    let board = &plan.system.board;
    let kept = |intid, trigger, source: &str| {
        interrupt(
            &PassedInterrupt::new(intid, trigger),
            source.to_owned(),
            Owner::Hypervisor,
        )
    };
    let mut all = vec![
        kept(board.gic.maintenance, Trigger::Level, "GIC maintenance"),
        kept(board.timers.hypervisor, Trigger::Level, "EL2 timer"),
    ];
    if console(plan) == "hypervisor"
        && let Some(one) = board.console.interrupt
    {
        let source = board.tree.path(board.console.node);
        all.push(kept(one.intid, one.trigger, &source));
    }
    for iommu in board.iommus.iter().filter(|iommu| iommu.enabled) {
        let interrupts = iommu.interrupts.iter();
        all.extend(interrupts.map(|one| kept(one.intid, one.trigger, &iommu.path)));
    }
    all.extend(
        partitions
            .iter()
            .flat_map(|one| one.interrupts.iter().cloned()),
    );
    all.sort_by_key(|one| one.intid);
    // An IOMMU may name one line for many purposes.
    all.dedup();
    all
}

/// Streams of partitions' devices, and those of devices that nobody has: they reach nothing.
pub(super) fn streams(plan: &Plan) -> Vec<StreamEntry> {
    let board = &plan.system.board;
    let tree = &board.tree;
    let entry = |stream: &Stream, device: &str, owner: Owner| {
        let (first, ignored) = match stream.ids {
            Ids::Range { first, .. } => (first, 0),
            Ids::Masked { id, ignored } => (id & !ignored, ignored),
        };
        StreamEntry {
            iommu: tree.path(stream.iommu),
            first,
            last: stream.ids.last(),
            ignored,
            device: device.to_owned(),
            owner,
        }
    };
    let mut given: BTreeSet<NodeId> = BTreeSet::new();
    let mut entries = Vec::new();
    for partition in &plan.system.partitions {
        for device in &partition.devices {
            given.extend(device.members.iter().map(|member| member.node));
            let owner = || Owner::Partition(partition.name.clone());
            entries.extend(
                device
                    .streams
                    .iter()
                    .map(|stream| entry(stream, &device.path, owner())),
            );
        }
    }
    for node in tree
        .nodes()
        .filter(|node| tree.has(*node, "iommus") && !given.contains(node))
    {
        // What a node says that cannot be read is no device anybody could have.
        let streams = board.streams(node).unwrap_or_default();
        entries.extend(
            streams
                .iter()
                .map(|stream| entry(stream, &tree.path(node), Owner::Nobody)),
        );
    }
    entries.sort_by(|one, other| {
        (&one.iommu, one.first, one.last).cmp(&(&other.iommu, other.first, other.last))
    });
    entries
}

/// An interrupt with its number in both ways.
pub(super) fn interrupt(one: &PassedInterrupt, source: String, owner: Owner) -> InterruptEntry {
    let number = one.intid.get();
    // SGIs, PPIs, SPIs: Arm IHI 0069H, section 2.2.1.
    let (class, first) = match number {
        0..=15 => ("SGI", 0),
        16..=31 => ("PPI", 16),
        IntId::FIRST_EXTENDED_SPI.. => ("extended SPI", IntId::FIRST_EXTENDED_SPI),
        _ => ("SPI", IntId::FIRST_SPI),
    };
    InterruptEntry {
        intid: number,
        number: number - first,
        class: class.to_owned(),
        seen: (one.seen != one.intid).then(|| one.seen.get()),
        trigger: match one.trigger {
            Trigger::Level => "level",
            Trigger::Edge => "edge",
        }
        .to_owned(),
        source,
        owner,
    }
}

/// All RAM and all registers that the device tree names, each byte once.
pub(super) fn memory_map(plan: &Plan) -> Vec<MapEntry> {
    let mut map = Map::default();
    ram(plan, &mut map);
    owned_registers(plan, &mut map);
    other_registers(plan, &mut map);
    map.finish()
}

fn ram(plan: &Plan, map: &mut Map) {
    let memory = &plan.system.board.memory;
    map.claim(
        plan.system.image,
        MapKind::Ram,
        &Owner::Hypervisor,
        "image and payload",
    );
    for (partition, planned) in plan.system.partitions.iter().zip(&plan.partitions) {
        for mapping in &planned.mappings {
            if mapping.kind == model::memory::MemoryKind::Ram
                && let Some(bytes) = AddressRange::new(mapping.pa.get(), mapping.size)
            {
                map.claim(
                    bytes,
                    MapKind::Ram,
                    &Owner::Partition(partition.name.clone()),
                    "memory",
                );
            }
        }
    }
    for (partition, file) in plan.separate() {
        let what = format!("file of {}", partition.name);
        let place = file.lies().into_iter();
        place.for_each(|place| map.claim(place, MapKind::Ram, &Owner::Hypervisor, &what));
    }
    for channel in &plan.system.channels {
        let owner = Owner::Channel(channel.name.clone());
        map.claim(channel.memory, MapKind::Ram, &owner, "shared memory");
    }
    for (bytes, name) in &memory.reserved {
        map.claim(*bytes, MapKind::Ram, &Owner::Firmware, name);
    }
    for bank in &memory.banks {
        map.claim(*bank, MapKind::Ram, &Owner::Nobody, "free");
    }
}

/// Registers of partitions' devices and of what the hypervisor drives, in whole pages.
fn owned_registers(plan: &Plan, map: &mut Map) {
    let board = &plan.system.board;
    let pages = |bytes: &AddressRange| bytes.outward(PAGE);
    for partition in &plan.system.partitions {
        for device in &partition.devices {
            for bytes in device.registers.iter().filter_map(pages) {
                map.claim(
                    bytes,
                    MapKind::Registers,
                    &owner(plan, partition, device),
                    &device.path,
                );
            }
        }
    }
    let mut keep = |bytes: &[AddressRange], node: NodeId| {
        for bytes in bytes.iter().filter_map(pages) {
            map.claim(
                bytes,
                MapKind::Registers,
                &Owner::Hypervisor,
                &board.tree.path(node),
            );
        }
    };
    keep(&board.gic.registers, board.gic.node);
    for iommu in board.iommus.iter().filter(|iommu| iommu.enabled) {
        keep(&iommu.registers, iommu.node);
    }
    keep(&[board.console.registers], board.console.node);
}

/// A partition, or all that may read the device.
fn owner(plan: &Plan, partition: &Partition, device: &Device) -> Owner {
    let has = |other: &&Partition| other.devices.iter().any(|one| one.node == device.node);
    let names = plan.system.partitions.iter().filter(has);
    let names: Vec<String> = names.map(|one| one.name.clone()).collect();
    if device.read_only && names.len() > 1 {
        Owner::Shared(names)
    } else {
        Owner::Partition(partition.name.clone())
    }
}

/// Registers that the device tree names and nobody has. What a node says that cannot be read is no device anybody could have.
fn other_registers(plan: &Plan, map: &mut Map) {
    let tree = &plan.system.board.tree;
    let reserved = tree.find("/reserved-memory");
    for node in tree.nodes().filter(|node| is_device(tree, *node, reserved)) {
        for bytes in registers(tree, node).unwrap_or_default() {
            map.claim(bytes, MapKind::Registers, &Owner::Nobody, &tree.path(node));
        }
    }
}

fn is_device(tree: &Tree, node: NodeId, reserved: Option<NodeId>) -> bool {
    let kind = tree.string(node, "device_type");
    tree.has(node, "reg")
        && !matches!(kind, Some("memory" | "cpu"))
        && tree.parent(node) != reserved
}

/// The devices that the hypervisor plays for a partition: see [`crate::guest_gic`].
pub(super) fn played(plan: &Plan, partition: &Partition) -> Vec<VirtualDevice> {
    let board = &plan.system.board;
    let device = |name: &str, range: Option<AddressRange>, intid| {
        range.map(|range| VirtualDevice {
            name: name.to_owned(),
            ipa: range.base,
            size: range.size,
            intid,
        })
    };
    let cpus = partition.vcpus.len() as u64;
    let gic = partition.gic;
    let ends = partition.channels.iter();
    let doorbells = ends.map(|end| device(&format!("doorbell of {}", end.name), end.ring, None));
    let emulated = match gic {
        GuestGic::V2 {
            cpu_emulated: true, ..
        } => gic.cpu_interface(),
        _ => None,
    };
    let uart = (partition.console == Console::Virtual).then_some(board.virtual_uart);
    let devices = [
        device("GIC distributor", gic.distributor(), None),
        device("GIC CPU interface", emulated, None),
        device("GIC redistributors", gic.redistributors(cpus), None),
        device(
            "console UART",
            uart.map(|uart| uart.page),
            uart.map(|uart| uart.intid.get()),
        ),
        device(
            "page of calls",
            partition.page.as_ref().map(|page| page.range),
            partition.notices.map(|spi| spi.get()),
        ),
    ];
    devices.into_iter().chain(doorbells).flatten().collect()
}
