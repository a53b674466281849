//! A checked system with a place for everything.

use std::rc::Rc;

use model::device::PassedInterrupt;
use model::ids::{IntId, Ipa, Pa};
use model::memory::{Mapping, MemoryKind, PAGE};
use model::partition::Segment;

use crate::board::GicKind;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics, SourceText};
use crate::emit::proven_tree;
use crate::guest_gic;
use crate::layout::TREE_ROOM;
use crate::payload::Payload;
use crate::place::{PlaceError, image_room, place};
use crate::range::{AddressRange, human_size, merge};
use crate::stage2::{self, Extent};
use crate::system::{Console, Partition, System};

/// A system with a place for everything.
#[derive(Debug)]
pub(crate) struct Plan {
    pub system: System,
    /// Room for the hypervisor's image with its payload.
    pub image: AddressRange,
    pub payload: Payload,
    /// In the order of the system's partitions.
    pub partitions: Vec<Planned>,
    pub ipa_bits: u8,
    pub stage2_pages: usize,
}

/// A partition with a place for everything.
#[derive(Debug)]
pub(crate) struct Planned {
    /// Sorted by IPA.
    pub mappings: Vec<Mapping>,
    pub segments: Vec<Segment>,
    /// Sorted by number.
    pub interrupts: Vec<PassedInterrupt>,
    pub spis: u16,
    pub tree: Rc<[u8]>,
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
    let image = image_room(&system.board, payload.size())
        .map_err(|error| unplaced(&error, &system, source))?;
    let sizes: Vec<u64> = system
        .partitions
        .iter()
        .map(|partition| partition.memory.size)
        .collect();
    let bases = place(&system.board, image, system.board.ram_base(), &sizes);
    let bases = bases.map_err(|error| unplaced(&error, &system, source))?;

    let mut partitions = Vec::new();
    for ((partition, base), contents) in system.partitions.iter().zip(bases).zip(contents) {
        let interrupts = passed_interrupts(partition);
        let uart =
            (partition.console == Console::Virtual).then_some(system.board.virtual_uart.intid);
        partitions.push(Planned {
            mappings: mappings(&system, partition, base),
            segments: contents.segments,
            spis: guest_gic::spis(interrupts.iter().map(|one| one.intid).chain(uart)),
            interrupts,
            tree: contents.tree,
        });
    }
    Ok(Plan {
        stage2_pages: partitions
            .iter()
            .map(|one| table_pages(one, ipa_bits))
            .sum(),
        system,
        image,
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
                    .at(source, partition.memory_span.clone())
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
    let extents: Vec<Extent> = planned.mappings.iter().map(extent).collect();
    stage2::pages(&extents, ipa_bits)
}

/// Puts a partition's bytes into the payload.
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
                payload.add(&piece.bytes)
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
        guest_gic::distributor(board),
        guest_gic::cpu_interface(board),
        guest_gic::redistributors(board, partition.vcpus.len() as u64),
    ];
    let uart = (partition.console == Console::Virtual).then_some(board.virtual_uart.page);
    let seen = devices
        .chain(gic.into_iter().flatten())
        .chain(uart)
        .chain([partition.memory]);
    seen.map(|range| range.outward(PAGE).map_or(u64::MAX, AddressRange::end))
        .collect()
}

/// Memory, the virtual CPU interface of a GICv2, and the registers of devices. The virtual UART is not mapped: it traps.
fn mappings(system: &System, partition: &Partition, base: u64) -> Vec<Mapping> {
    let mut mappings = vec![Mapping {
        ipa: Ipa::new(partition.memory.base),
        pa: Pa::new(base),
        size: partition.memory.size,
        kind: MemoryKind::Ram,
    }];
    if let GicKind::V2 {
        cpu, virtual_cpu, ..
    } = &system.board.gic.kind
    {
        mappings.push(Mapping {
            ipa: Ipa::new(*cpu),
            pa: Pa::new(*virtual_cpu),
            size: guest_gic::CPU_INTERFACE_SIZE,
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

fn passed_interrupts(partition: &Partition) -> Vec<PassedInterrupt> {
    let all = partition
        .devices
        .iter()
        .flat_map(|device| &device.interrupts);
    let passed = all.map(|one| PassedInterrupt {
        intid: one.intid,
        trigger: one.trigger,
    });
    let mut interrupts: Vec<PassedInterrupt> = passed.collect();
    interrupts.sort_by_key(|one| one.intid);
    interrupts.dedup_by_key(|one: &mut PassedInterrupt| -> IntId { one.intid });
    interrupts
}

fn unplaced(error: &PlaceError, system: &System, source: &SourceText) -> Diagnostic {
    let finding = Diagnostic::error(codes::NOT_PLACEABLE, error.to_string());
    let PlaceError::Partition { index, holes } = error else {
        let first = system
            .partitions
            .first()
            .map_or(0..0, |partition| partition.memory_span.clone());
        return finding
            .at(source, first)
            .help("use smaller images, or a board with more memory");
    };
    let partition = &system.partitions[*index];
    let total: u64 = system.board.memory.banks.iter().map(|bank| bank.size).sum();
    let mut finding = Diagnostic::error(
        codes::NOT_PLACEABLE,
        format!(
            "the memory of partition `{}` has no place on the board",
            partition.name
        ),
    )
    .at(source, partition.memory_span.clone())
    .found(format!(
        "{} wanted; the board has {}",
        human_size(partition.memory.size),
        human_size(total)
    ));
    for hole in holes {
        finding = finding.note(format!("free: {} at {hole}", human_size(hole.size)));
    }
    if holes.is_empty() {
        finding = finding.note("nothing is free");
    }
    finding.help("ask for less memory here or in another partition")
}
