//! A checked system for a PC, with a place for everything.

use std::rc::Rc;

use model::ids::{Ipa, Pa};
use model::memory::{Mapping, MemoryKind};
use model::partition::{FaultPolicy, Segment};
use model::system::EndState;
use model::x86::Handover;
use model::x86::cpu::CpuPolicy;
use toml::Spanned;

use super::channels::{Channel, End};
use super::functions::PcFunction;
use super::place::{Placed, Places};
use super::start_info::start_info;
use super::{PcBoard, acpi, linux};
use crate::image::{Image, ImageFile};
use crate::payload::Payload;
use crate::processors::{Pool, TimeShare, Vcpu, assign};
use crate::range::AddressRange;
use crate::raw::{PoolPolicy, RawConsole, RawPartition, RawSystem};
use crate::resolve::Resolved;
use crate::stage2::{Extent, pages};
use crate::system::Console;

/// Every nested table has four levels.
pub(super) const ADDRESS_BITS: u8 = 48;

/// The system.
pub(super) struct Plan {
    pub name: String,
    pub description: Option<String>,
    pub board: PcBoard,
    pub end: EndState,
    pub pools: Vec<Pool>,
    /// Board indices of the CPUs that the system uses, ascending.
    pub cpus: Vec<usize>,
    pub image: AddressRange,
    pub partitions: Vec<Planned>,
    pub channels: Vec<Channel>,
    pub payload: Payload,
    pub nested_pages: usize,
}

impl Plan {
    /// What the image needs beside what every one has.
    pub fn image_features(&self) -> Vec<&'static str> {
        let has = |policy| self.pools.iter().any(|pool| pool.policy == policy);
        let parts = [
            (has(PoolPolicy::Rtds), "rtds"),
            (has(PoolPolicy::Cyclic), "cyclic"),
            (!self.channels.is_empty(), "channels"),
        ];
        let needed = parts.into_iter().filter(|(needed, _)| *needed);
        needed.map(|(_, feature)| feature).collect()
    }

    /// Nanoseconds after which windows on this CPU of the board come again.
    pub fn major_frame(&self, cpu: usize) -> Option<u64> {
        let mut pools = self.pools.iter();
        pools.find(|pool| pool.cpus.contains(&cpu))?.major_frame
    }

    /// Functions that partitions own, each with the partition's number, sorted by their streams.
    pub fn owned(&self) -> Vec<(&PcFunction, usize)> {
        let partitions = self.partitions.iter().enumerate();
        let all = partitions
            .flat_map(|(number, one)| one.functions.iter().map(move |own| (*own, number)));
        let all = all.filter_map(|(own, number)| Some((self.board.functions.get(own)?, number)));
        let mut all: Vec<_> = all.collect();
        all.sort_by_key(|(function, _)| function.stream());
        all
    }
}

/// A partition.
pub(super) struct Planned {
    pub name: String,
    pub vcpus: Vec<Vcpu>,
    /// Board index of each virtual CPU's CPU.
    pub cpus: Vec<usize>,
    /// The x2APIC identifier of each, as the partition sees it.
    pub apics: Vec<u32>,
    /// Sorted by address.
    pub mappings: Vec<Mapping>,
    pub segments: Vec<Segment>,
    /// What each segment is, in the same order.
    pub segment_names: Vec<&'static str>,
    pub files: Vec<ImageFile>,
    pub entry: u64,
    pub start_info: u64,
    pub handover: Handover,
    pub command_line: Option<String>,
    pub console: Console,
    pub on_fault: FaultPolicy,
    /// Its PCI functions, as places in the board's list.
    pub functions: Vec<usize>,
    /// What it is shown of its CPUs, by the policy's name.
    pub cpu_policy: (String, CpuPolicy),
}

impl Planned {
    /// Its memory in bytes.
    pub fn memory_size(&self) -> u64 {
        let ram = self
            .mappings
            .iter()
            .filter(|mapping| mapping.kind == MemoryKind::Ram);
        ram.map(|mapping| mapping.size).sum()
    }
}

impl Plan {
    /// Puts a checked system together. `None` when something is missing after all, which is then reported already.
    pub fn new(
        system: &RawSystem,
        board: PcBoard,
        resolved: &[Resolved],
        places: Places,
        functions: Vec<Vec<usize>>,
    ) -> Option<Self> {
        let (pools, vcpus) = assign(system)?;
        let mut payload = Payload::default();
        let mut partitions = Vec::new();
        let parts = system.partitions.iter().zip(resolved).zip(vcpus);
        let owned = places.partitions.into_iter().zip(functions);
        let channels = places.channels;
        for (index, (((raw, resolved), vcpus), own)) in parts.zip(owned).enumerate() {
            let ends = ends_of(&channels, index);
            let cpu_policy = system.cpu_policy(raw)?;
            partitions.push(planned(
                (raw, cpu_policy),
                resolved,
                vcpus,
                own,
                (&board, &ends),
                &mut payload,
            )?);
        }
        let mut cpus: Vec<usize> = pools
            .iter()
            .flat_map(|pool| pool.cpus.iter().copied())
            .collect();
        cpus.sort_unstable();
        let nested_pages = partitions.iter().map(table_pages).sum();
        let end = system.hypervisor.end.as_ref();
        Some(Self {
            name: system.name.as_ref()?.get_ref().clone(),
            description: system
                .description
                .as_ref()
                .map(|text| text.get_ref().clone()),
            end: end.map_or(EndState::PowerOff, |end| *end.get_ref()),
            board,
            pools,
            cpus,
            image: places.image,
            partitions,
            channels,
            payload,
            nested_pages,
        })
    }
}

fn table_pages(partition: &Planned) -> usize {
    let extent = |mapping: &Mapping| Extent {
        ipa: mapping.ipa.get(),
        pa: mapping.pa.get(),
        size: mapping.size,
    };
    let extents: Vec<Extent> = partition.mappings.iter().map(extent).collect();
    // Nested tables have blocks of 2 MiB at most.
    let cut: Vec<Extent> = extents.iter().flat_map(split).collect();
    pages(&cut, ADDRESS_BITS)
}

/// Cuts an extent so that no piece is a whole gibibyte, which Arm's tables would map by one block.
fn split(extent: &Extent) -> Vec<Extent> {
    const PIECE: u64 = 512 << 20;
    let mut pieces = Vec::new();
    let mut done = 0;
    while done < extent.size {
        let size = PIECE.min(extent.size - done);
        pieces.push(Extent {
            ipa: extent.ipa + done,
            pa: extent.pa + done,
            size,
        });
        done += size;
    }
    pieces
}

/// A partition's ends of channels, each with its place among the channel's.
pub(super) fn ends_of(channels: &[Channel], partition: usize) -> Vec<(&Channel, usize)> {
    let end = |channel: &Channel| {
        channel
            .ends
            .iter()
            .position(|end| end.partition == partition)
    };
    channels
        .iter()
        .filter_map(|channel| Some((channel, end(channel)?)))
        .collect()
}

/// What a partition is told of its end.
fn flags(channel: &Channel, number: usize, end: &End) -> u32 {
    let mut others = channel
        .ends
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != number);
    [
        (end.writable, model::x86::end::WRITABLE),
        (channel.uncached, model::x86::end::UNCACHED),
        (end.doorbell, model::x86::end::HAS_BELL),
        (
            others.any(|(_, other)| other.doorbell),
            model::x86::end::RINGS,
        ),
    ]
    .into_iter()
    .filter_map(|(holds, flag)| holds.then_some(flag))
    .fold(0, |flags, flag| flags | flag)
}

fn planned(
    (raw, cpu_policy): (&RawPartition, (String, CpuPolicy)),
    resolved: &Resolved,
    vcpus: Vec<Vcpu>,
    ((memory, layout), functions): ((Vec<Placed>, crate::layout::Layout), Vec<usize>),
    (board, ends): (&PcBoard, &[(&Channel, usize)]),
    payload: &mut Payload,
) -> Option<Planned> {
    let mut mappings: Vec<Mapping> = memory
        .iter()
        .map(|region| Mapping {
            ipa: Ipa::new(region.seen.base),
            pa: Pa::new(region.pa),
            size: region.seen.size,
            kind: MemoryKind::Ram,
        })
        .collect();
    let bars: Vec<AddressRange> = board.seen_bars(&functions).collect();
    mappings.extend(bars.iter().map(|bar| Mapping {
        ipa: Ipa::new(bar.base),
        pa: Pa::new(bar.base),
        size: bar.size,
        kind: MemoryKind::Device,
    }));
    let own = |(channel, number): &(&Channel, usize)| {
        Some((*number, channel.ends.get(*number).copied()?))
    };
    mappings.extend(ends.iter().filter_map(|one| {
        let (channel, (_, end)) = (one.0, own(one)?);
        Some(Mapping {
            ipa: Ipa::new(end.seen.base),
            pa: Pa::new(channel.memory.base),
            size: channel.memory.size,
            kind: channel.kind(&end),
        })
    }));
    let seen: Vec<acpi::SeenEnd<'_>> = ends
        .iter()
        .filter_map(|one| {
            let (number, end) = own(one)?;
            Some(acpi::SeenEnd {
                name: &one.0.name,
                seen: end.seen,
                number: u32::try_from(number).ok()?,
                flags: flags(one.0, number, &end),
            })
        })
        .collect();
    mappings.sort_by_key(|mapping| mapping.ipa);
    let beside: Vec<AddressRange> = bars
        .into_iter()
        .chain(seen.iter().map(|end| end.seen))
        .collect();
    let mut segments = Vec::new();
    let mut segment_names = Vec::new();
    let mut add = |ipa: u64, bytes: &Rc<[u8]>, zeros: u64, name| {
        let offset = match bytes.is_empty() {
            true => 0,
            false => payload.add(bytes),
        };
        segments.push(Segment {
            ipa: Ipa::new(ipa),
            offset,
            size: bytes.len() as u64,
            zeros,
        });
        segment_names.push(name);
    };
    for (piece, name) in &layout.pieces {
        add(piece.address, &piece.bytes, piece.zeros, *name);
    }
    let console = match raw.console.as_ref().map(Spanned::get_ref)? {
        RawConsole::Virtual => Console::Virtual,
        RawConsole::None | RawConsole::Device(_) => Console::None,
    };
    let loaded = resolved.image.as_ref()?;
    let cpus = vcpus.iter().map(|vcpu| vcpu.cpus.first().copied());
    let cpus = cpus.collect::<Option<Vec<usize>>>()?;
    let apic = |(number, (vcpu, cpu)): (u32, (&Vcpu, &usize))| match vcpu.time {
        TimeShare::Always => board.cpus.get(*cpu).copied(),
        TimeShare::Budget { .. } | TimeShare::Windows(_) => Some(number),
    };
    let apics = (0..).zip(vcpus.iter().zip(&cpus)).map(apic);
    let apics = apics.collect::<Option<Vec<u32>>>()?;
    let machine = acpi::Machine {
        apics: &apics,
        console: console == Console::Virtual,
        ends: &seen,
    };
    let (handover, start) = match &loaded.image {
        Image::PcKernel(kernel) => {
            let boot = linux::Boot {
                kernel,
                entry: layout.entry,
                initrd: layout.initrd,
                command_line: loaded.cmdline.as_deref().unwrap_or_default(),
                memory: &memory,
                machine,
            };
            let code: Rc<[u8]> = Rc::from(linux::RESET_CODE);
            add(linux::RESET_VECTOR, &code, 0, "reset vector");
            (Handover::Linux, linux::start(&boot))
        }
        Image::Kernel(_) | Image::Program(_) => (
            Handover::Pvh,
            start_info(layout.tree, &memory, &beside, &machine),
        ),
    };
    add(layout.tree, &start.into(), 0, "start information");
    Some(Planned {
        name: raw.name.as_ref()?.get_ref().clone(),
        cpus,
        apics,
        vcpus,
        mappings,
        segments,
        segment_names,
        files: loaded.files.clone(),
        entry: layout.entry,
        start_info: layout.tree,
        handover,
        command_line: loaded.cmdline.clone(),
        console,
        on_fault: raw.fault_policy(),
        functions,
        cpu_policy,
    })
}
