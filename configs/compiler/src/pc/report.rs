//! The facts of a PC's system, in the same report as everywhere. What a PC does not have is an empty list.

use model::memory::{Mapping, MemoryKind};
use model::partition::FaultPolicy;
use model::x86::cpu::{CpuPolicy, FEATURES, Msrs};

use super::channels::{Channel, End};
use super::functions::PcFunction;
use super::plan::{ADDRESS_BITS, Plan, Planned};
use crate::diagnostics::Diagnostics;
use crate::processors::Vcpu;
use crate::report::{
    ChannelEndEntry, ChannelEntry, CpuEntry, CpuPolicyEntry, DeviceEntry, ImageEntry, MapEntry,
    MapKind, MappingEntry, MappingKind, Owner, PartitionEntry, PoolEntry, RangeEntry, Report,
    SegmentEntry, StreamEntry, TreeEntry, VERSION, VcpuEntry, VcpuName, Verdict, conclude, share,
};
use crate::system::Console;

/// The report of a planned system.
pub(super) fn report(plan: &Plan, warnings: &Diagnostics) -> Report {
    let board = &plan.board;
    let range = |name: &str, base, size| RangeEntry {
        name: name.to_owned(),
        base,
        size,
    };
    let banks = board.banks();
    conclude(Report {
        version: VERSION,
        system: plan.name.clone(),
        description: plan.description.clone(),
        board: board.name.clone(),
        board_description: board.description.clone(),
        compatible: "PC".to_owned(),
        verdict: Verdict::default(),
        risks: Vec::new(),
        memory: banks
            .map(|bank| range("RAM", bank.base, bank.size))
            .collect(),
        reserved: Vec::new(),
        memory_map: memory_map(plan),
        image: range("hypervisor", plan.image.base, plan.image.size),
        payload_size: plan.payload.size(),
        ipa_bits: ADDRESS_BITS,
        stage2_pages: plan.nested_pages,
        console: "hypervisor".to_owned(),
        cpus: cpus(plan),
        parked_cpus: (0..board.cpus.len())
            .filter(|cpu| !plan.cpus.contains(cpu))
            .collect(),
        pools: plan
            .pools
            .iter()
            .map(|pool| PoolEntry {
                name: pool.name.clone(),
                policy: pool.policy.word().to_owned(),
                cpus: pool.cpus.clone(),
                major_frame_ns: pool.major_frame,
                admission: pool.admission.clone(),
            })
            .collect(),
        interrupts: Vec::new(),
        streams: streams(plan),
        channels: plan.channels.iter().map(|one| channel(plan, one)).collect(),
        partitions: (1..)
            .zip(&plan.partitions)
            .map(|(asid, partition)| entry(plan, asid, partition))
            .collect(),
        warnings: warnings.clone(),
    })
}

/// RAM, piece by piece: whose it is.
fn memory_map(plan: &Plan) -> Vec<MapEntry> {
    let ram = |base, size, owner, what: &str| MapEntry {
        base,
        size,
        kind: MapKind::Ram,
        owner,
        what: what.to_owned(),
    };
    let image = plan.image;
    let mut map = vec![ram(
        image.base,
        image.size,
        Owner::Hypervisor,
        "image and payload",
    )];
    for channel in &plan.channels {
        let owner = Owner::Channel(channel.name.clone());
        map.push(ram(
            channel.memory.base,
            channel.memory.size,
            owner,
            "shared memory",
        ));
    }
    for partition in &plan.partitions {
        let own = partition.mappings.iter();
        for piece in own.filter(|piece| channel_of(plan, piece).is_none()) {
            let owner = Owner::Partition(partition.name.clone());
            let entry = ram(piece.pa.get(), piece.size, owner, "memory");
            map.push(match piece.kind {
                MemoryKind::Ram => entry,
                _ => MapEntry {
                    kind: MapKind::Registers,
                    what: "BAR".to_owned(),
                    ..entry
                },
            });
        }
    }
    map.sort_by_key(|entry| entry.base);
    let mut free = Vec::new();
    for bank in plan.board.banks() {
        let mut at = bank.base;
        let taken = map
            .iter()
            .filter(|entry| (bank.base..bank.end()).contains(&entry.base));
        for entry in taken {
            if entry.base > at {
                free.push(ram(at, entry.base - at, Owner::Nobody, "free"));
            }
            at = entry.end();
        }
        if bank.end() > at {
            free.push(ram(at, bank.end() - at, Owner::Nobody, "free"));
        }
    }
    map.extend(free);
    map.sort_by_key(|entry| entry.base);
    map
}

/// The channel that a mapping is an end of.
fn channel_of<'a>(plan: &'a Plan, mapping: &Mapping) -> Option<&'a Channel> {
    let mut channels = plan.channels.iter();
    channels.find(|channel| channel.memory.base == mapping.pa.get())
}

fn channel(plan: &Plan, channel: &Channel) -> ChannelEntry {
    let end = |end: &End| {
        let partition = plan.partitions.get(end.partition);
        let access = if end.writable {
            "read-write"
        } else {
            "read-only"
        };
        ChannelEndEntry {
            partition: partition.map_or(String::new(), |one| one.name.clone()),
            access: access.to_owned(),
            ipa: end.seen.base,
            doorbell: end.doorbell,
            // Its guest chooses a vector.
            doorbell_intid: None,
        }
    };
    ChannelEntry {
        name: channel.name.clone(),
        base: channel.memory.base,
        size: channel.memory.size,
        ends: channel.ends.iter().map(end).collect(),
    }
}

/// A mapping of a partition.
fn mapping(plan: &Plan, mapping: &Mapping) -> MappingEntry {
    let (kind, what) = match (channel_of(plan, mapping), mapping.kind) {
        (Some(channel), _) => (MappingKind::Channel, channel.name.as_str()),
        (None, MemoryKind::Ram) => (MappingKind::Memory, "memory"),
        (None, _) => (MappingKind::Registers, "BAR"),
    };
    MappingEntry {
        kind,
        ipa: mapping.ipa.get(),
        pa: mapping.pa.get(),
        size: mapping.size,
        what: what.to_owned(),
    }
}

/// What the VT-d unit lets through.
fn streams(plan: &Plan) -> Vec<StreamEntry> {
    let entry = |(function, partition): (&PcFunction, usize)| {
        let stream = function.stream().get();
        let owner = plan.partitions.get(partition);
        StreamEntry {
            iommu: "VT-d".to_owned(),
            first: stream,
            last: stream,
            ignored: 0,
            device: function.address.to_string(),
            owner: owner.map_or(Owner::Nobody, |one| Owner::Partition(one.name.clone())),
        }
    };
    plan.owned().into_iter().map(entry).collect()
}

fn devices(plan: &Plan, partition: &Planned) -> Vec<DeviceEntry> {
    let functions = partition.functions.iter();
    let functions = functions.filter_map(|index| plan.board.functions.get(*index));
    let entry = |function: &PcFunction| {
        let bars = function.bars.iter().enumerate();
        let bars = bars.filter(|(_, bar)| bar.size > 0);
        let bars = bars.map(|(index, bar)| RangeEntry {
            name: format!("BAR {index}"),
            base: bar.base,
            size: bar.size,
        });
        DeviceEntry {
            name: function.address.to_string(),
            path: function.address.to_string(),
            compatible: "PCI function".to_owned(),
            registers: bars.collect(),
            interrupts: Vec::new(),
            dma_unconfined: false,
            read_only: false,
            function: None,
            providers: Vec::new(),
        }
    };
    functions.map(entry).collect()
}

fn cpus(plan: &Plan) -> Vec<CpuEntry> {
    let entry = |(cpu, apic): (usize, &u32)| {
        let pool = plan.pools.iter().find(|pool| pool.cpus.contains(&cpu));
        let runs = plan.partitions.iter().flat_map(|one| {
            let places = one.cpus.iter().enumerate();
            let here = places.filter(move |(_, own)| **own == cpu);
            here.map(|(vcpu, _)| VcpuName {
                partition: one.name.clone(),
                vcpu,
            })
        });
        CpuEntry {
            cpu,
            mpidr: u64::from(*apic),
            pool: pool.map(|pool| pool.name.clone()),
            runs: runs.collect(),
        }
    };
    plan.board.cpus.iter().enumerate().map(entry).collect()
}

fn entry(plan: &Plan, asid: u16, partition: &Planned) -> PartitionEntry {
    let vcpu = |((cpu, apic), vcpu): ((&usize, &u32), &Vcpu)| VcpuEntry {
        pool: plan
            .pools
            .get(vcpu.pool)
            .map_or(String::new(), |pool| pool.name.clone()),
        cpus: vec![*cpu],
        mpidr: u64::from(*apic),
        share: share(&vcpu.time),
    };
    let on_fault = match partition.on_fault {
        FaultPolicy::Inject => "inject",
        FaultPolicy::Stop => "stop",
        FaultPolicy::Restart => "restart",
        FaultPolicy::StopSystem => "stop-system",
    };
    let segments = partition.segments.iter().zip(&partition.segment_names);
    PartitionEntry {
        name: partition.name.clone(),
        vmid: asid,
        vcpus: partition
            .cpus
            .iter()
            .zip(&partition.apics)
            .zip(&partition.vcpus)
            .map(vcpu)
            .collect(),
        mappings: partition
            .mappings
            .iter()
            .map(|one| mapping(plan, one))
            .collect(),
        virtual_devices: Vec::new(),
        segments: segments
            .map(|(segment, name)| SegmentEntry {
                name: (*name).to_owned(),
                ipa: segment.ipa.get(),
                size: segment.size,
                zeros: segment.zeros,
            })
            .collect(),
        images: partition
            .files
            .iter()
            .map(|file| ImageEntry {
                role: file.role.to_owned(),
                source: file.source.clone(),
                size: file.size,
                sha256: file.sha256.clone(),
            })
            .collect(),
        command_line: partition.command_line.clone(),
        entry: partition.entry,
        console: match partition.console {
            Console::Virtual => "virtual",
            Console::None | Console::Device => "none",
        }
        .to_owned(),
        devices: devices(plan, partition),
        interrupts: Vec::new(),
        dma_trusted: false,
        psci: Vec::new(),
        cpu_policy: Some(cpu_policy(&partition.cpu_policy)),
        firmware_calls: "none".to_owned(),
        firmware_resources: Vec::new(),
        on_fault: on_fault.to_owned(),
        may_control: Vec::new(),
        may_watch: Vec::new(),
        may_read_console: Vec::new(),
        watchdog_ns: None,
        start: String::new(),
        tree: TreeEntry {
            size: 0,
            sha256: String::new(),
            source: String::new(),
        },
    }
}

fn cpu_policy((name, policy): &(String, CpuPolicy)) -> CpuPolicyEntry {
    let hidden = FEATURES.iter().filter(|one| policy.hides(one));
    let denied = Msrs::ALL.into_iter().filter(|msrs| policy.denies(*msrs));
    CpuPolicyEntry {
        name: name.clone(),
        hidden: hidden.map(|one| one.name.to_owned()).collect(),
        denied_msrs: denied.map(|msrs| msrs.name().to_owned()).collect(),
    }
}
