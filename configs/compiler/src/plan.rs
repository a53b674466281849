//! A checked system with a place for everything.

use std::collections::BTreeSet;
use std::rc::Rc;

use model::device::PassedInterrupt;
use model::ids::{Ipa, Pa, PartitionId};
use model::memory::{Mapping, MemoryKind, PAGE};
use model::partition::Segment;

use crate::board::{Device, Dma, GicKind, HostMsi};
use crate::bridges::{self, Bridge};
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};
use crate::emit::proven_tree;
use crate::guest_gic;
use crate::iommus::{self, Driven};
use crate::layout::TREE_ROOM;
use crate::payload::Payload;
use crate::range::{AddressRange, human_size, merge};
use crate::separate::SeparateFile;
use crate::stage2::{self, Extent};
use crate::system::{Console, Partition, Region, System};

/// A system with a place for everything.
#[derive(Debug)]
pub(crate) struct Plan {
    pub system: System,
    pub payload: Payload,
    /// In the order of the system's partitions.
    pub partitions: Vec<Planned>,
    pub iommus: Vec<Driven>,
    pub bridges: Vec<Bridge>,
    pub ipa_bits: u8,
    pub stage2_pages: usize,
}

impl Plan {
    /// Images that are files of their own, with their partitions.
    pub fn separate(&self) -> impl Iterator<Item = (&Partition, &SeparateFile)> {
        let partitions = self.system.partitions.iter();
        partitions.filter_map(|one| Some((one, one.image.separate.as_ref()?)))
    }

    /// True when a partition has the registers of the board's console: then the image must leave them alone.
    pub fn gives_console_away(&self) -> bool {
        let console = Pa::new(self.system.board.console.registers.base);
        let mut mappings = self.partitions.iter().flat_map(|one| &one.mappings);
        mappings.any(|one| {
            let offset = console.offset_from(one.pa);
            offset.is_some_and(|offset| offset < one.size)
        })
    }
}

/// A partition with a place for everything.
#[derive(Debug)]
pub(crate) struct Planned {
    /// Sorted by IPA.
    pub mappings: Vec<Mapping>,
    /// What its devices reach behind an IOMMU, if not the same; sorted by IPA.
    pub dma: Vec<Mapping>,
    pub segments: Vec<Segment>,
    /// Sorted by number.
    pub interrupts: Vec<PassedInterrupt>,
    pub spis: u16,
    /// Which share of the ITS it has, if its devices signal there.
    pub its_share: Option<u8>,
    pub tree: Rc<[u8]>,
}

impl Planned {
    /// What its devices reach behind an IOMMU. `hv::dma::reached_by_devices` has the same rule.
    pub fn reached_by_devices(&self) -> &[Mapping] {
        match self.dma.as_slice() {
            [] => &self.mappings,
            own => own,
        }
    }
}

/// Finds a place for everything.
///
/// # Errors
/// What does not fit, at the partition that asks for it.
pub(crate) fn plan(system: System, source: &SourceText) -> Result<Plan, Diagnostics> {
    let mut payload = Payload::default();
    let contents = fill(&system, source, &mut payload)?;
    let end = system
        .partitions
        .iter()
        .flat_map(|one| ends(&system, one))
        .max()
        .unwrap_or(0);
    let ipa_bits = stage2::address_bits(end).ok_or_else(|| {
        Diagnostic::error(
            codes::ADDRESS_SPACE,
            "registers that a partition sees lie beyond 48 bits of address",
        )
        .at(source, 0..0)
        .found(format!("{end:#x}"))
        .help("remove the device that lies there from `devices`")
    })?;
    // The rules allow no more than there are.
    let mut shares = 0_u8;
    let mut partitions = Vec::new();
    for (partition, contents) in system.partitions.iter().zip(contents) {
        let mut interrupts: Vec<PassedInterrupt> = partition.interrupts().collect();
        interrupts.sort_by_key(|one| one.intid);
        interrupts.dedup_by_key(|one| one.intid);
        partitions.push(Planned {
            dma: dma(&system, partition),
            mappings: mappings(&system, partition),
            segments: contents.segments,
            its_share: match partition.its_devices().is_empty() {
                true => None,
                false => {
                    shares += 1;
                    Some(shares - 1)
                }
            },
            spis: guest_gic::spis(partition.spis(&system.board)),
            interrupts,
            tree: contents.tree,
        });
    }
    let iommus = iommus::driven(&system);
    let own_tables = (0..).zip(&partitions).filter_map(|(index, one)| {
        iommus::ipmmu::own_table(&iommus, PartitionId::new(index), one.reached_by_devices())
    });
    for (index, (partition, planned)) in (0..).zip(system.partitions.iter().zip(&partitions)) {
        let end = planned
            .mappings
            .iter()
            .filter(|one| one.kind == MemoryKind::Ram);
        let end = end.map(|one| one.ipa.get() + one.size).max().unwrap_or(0);
        let most = iommus::ipmmu::reach(&iommus, PartitionId::new(index));
        if let Some(most) = most.filter(|most| end > *most) {
            let message = format!(
                "the image of this version cannot let the devices of partition `{}` reach memory above {}",
                partition.name,
                human_size(most)
            );
            return Err(Diagnostic::error(codes::LIMIT_IOMMU, message)
                .at(source, partition.memory_span())
                .found(format!("memory up to {end:#x}"))
                .expected(format!("none from {most:#x} on, which the IPMMU of this board cannot reach"))
                .help("give it less memory, at a lower address, or leave the devices behind the IPMMU out")
                .into());
        }
    }
    let own_pages: usize = own_tables.map(|table| stage2::pages(&table, 32)).sum();
    Ok(Plan {
        stage2_pages: own_pages
            + partitions
                .iter()
                .map(|one| table_pages(one, ipa_bits))
                .sum::<usize>(),
        iommus,
        bridges: bridges::bridges(&system),
        system,
        payload,
        partitions,
        ipa_bits,
    })
}

/// What a partition's memory is filled with.
struct Contents {
    segments: Vec<Segment>,
    tree: Rc<[u8]>,
}

/// Makes every partition's device tree and puts what it is filled with into the payload.
fn fill(
    system: &System,
    source: &SourceText,
    payload: &mut Payload,
) -> Result<Vec<Contents>, Diagnostics> {
    let mut findings = Diagnostics::default();
    let mut contents = Vec::new();
    for partition in &system.partitions {
        let tree = match proven_tree(&system.board, partition, source) {
            Ok(tree) => tree,
            Err(more) => {
                findings.extend(more);
                continue;
            }
        };
        let tree: Rc<[u8]> = tree.write().into();
        if tree.len() as u64 > TREE_ROOM {
            let message = format!(
                "the device tree of partition `{}` is too large",
                partition.name
            );
            findings.push(
                Diagnostic::error(codes::GUEST_TREE_TOO_LARGE, message)
                    .at(source, partition.memory_span())
                    .found(format!("{} bytes", tree.len()))
                    .expected(format!("at most {TREE_ROOM}"))
                    .help("shorten `cmdline`, or give it fewer devices"),
            );
        }
        contents.push(Contents {
            segments: segments(partition, &tree, payload),
            tree,
        });
    }
    if findings.has_errors() {
        Err(findings)
    } else {
        Ok(contents)
    }
}

fn table_pages(planned: &Planned, ipa_bits: u8) -> usize {
    let extent = |mapping: &Mapping| Extent {
        ipa: mapping.ipa.get(),
        pa: mapping.pa.get(),
        size: mapping.size,
    };
    let tables = [&planned.mappings, &planned.dma];
    let tables = tables.into_iter().filter(|table| !table.is_empty());
    let pages = tables.map(|table| {
        let extents: Vec<Extent> = table.iter().map(extent).collect();
        stage2::pages(&extents, ipa_bits)
    });
    pages.sum()
}

/// Puts a partition's bytes into the payload, but for those that are in a file of its own.
fn segments(partition: &Partition, tree: &Rc<[u8]>, payload: &mut Payload) -> Vec<Segment> {
    let mut segments = Vec::new();
    for (piece, _) in &partition.layout.pieces {
        let size = piece.bytes.len() as u64;
        segments.push(Segment {
            ipa: Ipa::new(piece.address),
            // A piece of zeros alone takes no place in the payload.
            offset: if size == 0 {
                0
            } else {
                let file = partition.image.separate.as_ref();
                let in_file = file.and_then(|file| file.offset(&piece.bytes));
                in_file.unwrap_or_else(|| payload.add(&piece.bytes))
            },
            size,
            zeros: piece.zeros,
        });
    }
    segments.push(Segment {
        ipa: Ipa::new(partition.layout.tree),
        offset: payload.add(tree),
        size: tree.len() as u64,
        zeros: 0,
    });
    segments
}

/// Ends of everything that a partition has in its address space, emulated registers included.
fn ends(system: &System, partition: &Partition) -> Vec<u64> {
    let board = &system.board;
    let devices = partition
        .devices
        .iter()
        .flat_map(|device| device.registers.iter().copied());
    let gic = [
        partition.gic.distributor(),
        partition.gic.cpu_interface(),
        partition.gic.redistributors(partition.vcpus.len() as u64),
    ];
    let uart = (partition.console == Console::Virtual).then_some(board.virtual_uart.page);
    let configuration = partition.devices.iter().filter_map(Device::function);
    let seen = devices
        .chain(configuration.map(|function| function.configuration))
        .chain(gic.into_iter().flatten())
        .chain(uart)
        .chain(partition.memory.iter().map(|region| region.seen))
        .chain(partition.channels.iter().map(|end| end.seen))
        .chain(partition.channels.iter().filter_map(|end| end.ring))
        .chain(board.gic.its().map(|its| its.registers));
    seen.map(|range| range.outward(PAGE).map_or(u64::MAX, AddressRange::end))
        .collect()
}

/// Memory, channels, the virtual CPU interface of a GICv2, and the registers of devices. The virtual UART is not mapped: it traps.
fn mappings(system: &System, partition: &Partition) -> Vec<Mapping> {
    let region = |region: &Region| Mapping {
        ipa: Ipa::new(region.seen.base),
        pa: Pa::new(region.pa),
        size: region.seen.size,
        kind: MemoryKind::Ram,
    };
    let mut mappings: Vec<Mapping> = partition.memory.iter().map(region).collect();
    mappings.extend(partition.channels.iter().map(|end| Mapping {
        ipa: Ipa::new(end.seen.base),
        pa: Pa::new(end.pa),
        size: end.seen.size,
        // Stage 2 makes Device memory of what stage 1 says of Normal memory, never the other way round (Arm DDI 0487 K.a, D8.6.6).
        kind: match (end.uncached, end.writable) {
            (false, true) => MemoryKind::Shared,
            (false, false) => MemoryKind::ReadOnly,
            (true, true) => MemoryKind::Device,
            (true, false) => MemoryKind::DeviceReadOnly,
        },
    }));
    if let GicKind::V2 {
        cpu, virtual_cpu, ..
    } = &system.board.gic.kind
    {
        // The second page of the CPU interface is emulated.
        mappings.push(Mapping {
            ipa: Ipa::new(*cpu),
            pa: Pa::new(*virtual_cpu),
            size: PAGE,
            kind: MemoryKind::Device,
        });
    }
    for (read_only, kind) in [
        (false, MemoryKind::Device),
        (true, MemoryKind::DeviceReadOnly),
    ] {
        let devices = partition.devices.iter();
        let devices = devices.filter(|device| device.read_only == read_only);
        let registers = devices.flat_map(|device| &device.registers);
        let pages = registers.filter_map(|range| range.outward(PAGE));
        mappings.extend(merge(pages.collect()).into_iter().map(|range| Mapping {
            ipa: Ipa::new(range.base),
            pa: Pa::new(range.base),
            size: range.size,
            kind,
        }));
    }
    mappings.sort_by_key(|mapping| mapping.ipa);
    mappings
}

/// The frame of an ITS that devices write to, behind the one with its registers (Arm IHI 0069H, 12.18).
const TRANSLATION_FRAME: u64 = 0x1_0000;

/// What a partition's devices reach behind an IOMMU: its memory, and the page to which they write messages. Its virtual CPUs must not reach that
/// page: nobody would tell what they write there from what its devices write. Nothing when no device has messages, or none is confined.
fn dma(system: &System, partition: &Partition) -> Vec<Mapping> {
    let board = &system.board;
    let devices = partition.devices.iter();
    let confined = devices.filter(|device| board.dma(device) == Dma::Confined);
    let doorbells = confined
        .filter_map(Device::msi)
        .filter_map(|msi| match msi {
            HostMsi::V2m { registers, .. } => Some(registers.base),
            HostMsi::Its { .. } => Some(board.gic.its()?.registers.base + TRANSLATION_FRAME),
        });
    let doorbells: BTreeSet<u64> = doorbells.collect();
    if doorbells.is_empty() {
        return Vec::new();
    }
    let is_channel = |mapping: &Mapping| {
        let mut ends = partition.channels.iter();
        ends.any(|end| end.seen.base == mapping.ipa.get())
    };
    let is_memory = |mapping: &Mapping| mapping.kind == MemoryKind::Ram || is_channel(mapping);
    let mut all = mappings(system, partition);
    all.retain(is_memory);
    all.extend(doorbells.into_iter().map(|doorbell| Mapping {
        ipa: Ipa::new(doorbell),
        pa: Pa::new(doorbell),
        size: PAGE,
        kind: MemoryKind::Device,
    }));
    all.sort_by_key(|mapping| mapping.ipa);
    all
}
