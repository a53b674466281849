//! Which part of its host bridge's memory each PCI function gets for its BARs, and where its partition sees it.
//!
//! A function's window is a power of two and aligned to its size, so all sets of BARs that fit it by their sum fit it by their alignment, and no
//! two partitions share a page. What is behind a PCI-to-PCI bridge lies together in a block that is such a power of two, too, and at least as large as
//! the bridge's granule.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::{Resolved, Resolver};
use crate::board::{Device, FunctionAddress, FunctionPath, Pci, PciFunction, Window};
use crate::codes;
use crate::devicetree::NodeId;
use crate::devicetree::addresses::PciWindow;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::range::{AddressRange, align_up, human_size};

/// What a PCI-to-PCI bridge passes on is a multiple of this (PCI-to-PCI Bridge 1.2, 3.2.5.8).
const GRANULE: u64 = 1 << 20;
/// Devices of a bus.
const DEVICES: u8 = 32;

/// A function's window of a kind, or the other one.
type Pick = fn(&mut PciFunction) -> Option<&mut Window>;

impl Resolver<'_> {
    /// Gives each function its windows and its place, bridge by bridge: the largest window first, those of one size in the order of the system file.
    /// One for which there is no room is reported and has none.
    pub fn place_functions(&self, partitions: &mut [Resolved], findings: &mut Diagnostics) {
        let mut bridges: BTreeMap<NodeId, Vec<(&Range<usize>, &mut Device)>> = BTreeMap::new();
        let all = partitions.iter_mut().flat_map(|one| &mut one.devices);
        for (span, device) in all.filter(|(_, device)| device.function().is_some()) {
            bridges.entry(device.node).or_default().push((span, device));
        }
        let picks: [(Pick, &str); 2] = [
            (|function| Some(&mut function.window), "window"),
            (|function| function.high.as_mut(), "high_window"),
        ];
        for functions in bridges.values_mut() {
            let mut taken = Vec::new();
            for (pick, name) in picks {
                for index in place(functions, pick, &mut taken) {
                    if let Some((span, device)) = functions.get_mut(index) {
                        findings.push(self.no_room(span, device, pick, name));
                    }
                }
            }
            for index in show(functions) {
                if let Some((span, device)) = functions.get(index) {
                    let message = format!("no device number is left for {}", device.path);
                    findings.push(
                        Diagnostic::error(codes::BRIDGE_FULL, message)
                            .at(self.source, (*span).clone())
                            .expected(format!("at most {DEVICES} devices behind a host bridge"))
                            .help("give fewer functions"),
                    );
                }
            }
        }
    }

    fn no_room(
        &self,
        span: &Range<usize>,
        device: &mut Device,
        pick: Pick,
        name: &str,
    ) -> Diagnostic {
        let message = format!("the bridge has no room for the BARs of {}", device.path);
        let window = function_mut(device).and_then(pick);
        let size = window.map_or(0, |window| window.size);
        Diagnostic::error(codes::BRIDGE_FULL, message)
            .at(self.source, span.clone())
            .found(format!("a window of {}", human_size(size)))
            .help(format!(
                "give smaller windows, as `{name} = \"64KiB\"`, or fewer functions"
            ))
    }
}

const fn function_mut(device: &mut Device) -> Option<&mut PciFunction> {
    match &mut device.pci {
        Some(Pci::Function(function)) => Some(function),
        _ => None,
    }
}

/// A function that wants a window.
struct Wish {
    /// Its number among the functions of the host bridge.
    index: usize,
    path: FunctionPath,
    size: u64,
}

/// Windows that lie together: one function's, or all behind a bridge.
struct Block {
    size: u64,
    /// Functions with the offsets of their windows.
    parts: Vec<(u64, usize)>,
}

/// Gives functions their windows of a kind; returns those for which there is no room.
fn place(
    functions: &mut [(&Range<usize>, &mut Device)],
    pick: Pick,
    taken: &mut Vec<AddressRange>,
) -> Vec<usize> {
    let mut wishes = Vec::new();
    let mut room = Vec::new();
    for (index, (_, device)) in functions.iter_mut().enumerate() {
        let Some(function) = function_mut(device) else {
            continue;
        };
        let path = function.path.clone();
        if let Some(window) = pick(function) {
            room.clone_from(&window.room);
            let size = window.size;
            wishes.push(Wish { index, path, size });
        }
    }
    let (blocks, mut without) = blocks(wishes, 0);
    for block in blocks {
        let Some(place) = find(&room, block.size, taken) else {
            without.extend(block.parts.into_iter().map(|(_, index)| index));
            continue;
        };
        taken.push(place.cpu);
        for (offset, index) in block.parts {
            let function = functions.get_mut(index);
            let Some((_, device)) = function else {
                continue;
            };
            let Some(window) = function_mut(device).and_then(pick) else {
                continue;
            };
            let cpu = AddressRange {
                base: place.cpu.base + offset,
                size: window.size,
            };
            window.place = Some(PciWindow {
                bus: place.bus + offset,
                above: place.above + offset,
                cpu,
            });
            device.registers.push(cpu);
        }
    }
    without.sort_unstable();
    without
}

/// The blocks at this depth of bridges, the largest first, and the functions whose blocks are larger than any address.
fn blocks(wishes: Vec<Wish>, depth: usize) -> (Vec<Block>, Vec<usize>) {
    let mut blocks = Vec::new();
    let mut without = Vec::new();
    let mut behind: BTreeMap<FunctionAddress, Vec<Wish>> = BTreeMap::new();
    for wish in wishes {
        match wish.path.bridges.get(depth) {
            None => blocks.push(Block {
                size: wish.size,
                parts: vec![(0, wish.index)],
            }),
            Some(bridge) => behind.entry(*bridge).or_default().push(wish),
        }
    }
    for wishes in behind.into_values() {
        // As deep as bus numbers grow: 255 at most.
        let (inner, lost) = self::blocks(wishes, depth + 1);
        without.extend(lost);
        match joined(&inner) {
            Some(block) => blocks.push(block),
            None => without.extend(
                inner
                    .iter()
                    .flat_map(|one| &one.parts)
                    .map(|(_, index)| *index),
            ),
        }
    }
    // Functions that were named first come first.
    let first = |block: &Block| block.parts.iter().map(|(_, index)| *index).min();
    blocks.sort_by_key(|block| (Reverse(block.size), first(block)));
    (blocks, without)
}

/// Blocks behind one bridge, one behind the other: each is aligned to its size, as those before it are larger.
fn joined(blocks: &[Block]) -> Option<Block> {
    let (mut end, mut parts) = (0u64, Vec::new());
    for block in blocks {
        parts.extend(
            block
                .parts
                .iter()
                .map(|(offset, index)| (end + offset, *index)),
        );
        end = end.checked_add(block.size)?;
    }
    let size = end.max(GRANULE).checked_next_power_of_two()?;
    Some(Block { size, parts })
}

/// The lowest place in the host bridge's windows that is aligned on both sides and that nobody has.
fn find(room: &[PciWindow], size: u64, taken: &[AddressRange]) -> Option<PciWindow> {
    let place = |room: &PciWindow| {
        let mut base = align_up(room.bus, size)?;
        loop {
            let offset = base.checked_sub(room.bus)?;
            let cpu = AddressRange::new(room.cpu.base.checked_add(offset)?, size)?;
            if !room.cpu.contains(cpu) || base.checked_add(size).is_none() {
                return None;
            }
            let clash = taken.iter().find(|other| other.overlaps(cpu));
            let Some(clash) = clash else {
                let above = room.above.checked_add(offset)?;
                let aligned = cpu.base.is_multiple_of(model::memory::PAGE);
                return aligned.then_some(PciWindow {
                    bus: base,
                    above,
                    cpu,
                });
            };
            base = align_up(base.checked_add(clash.end() - cpu.base)?, size)?;
        }
    };
    room.iter().find_map(place)
}

/// Finds where partitions see their functions: those of the first bus where they are, devices behind bridges at numbers that are free on all
/// partitions' buses. Returns the functions for which there is none.
fn show(functions: &mut [(&Range<usize>, &mut Device)]) -> Vec<usize> {
    let on_first_bus = |function: &&PciFunction| function.path.bridges.is_empty();
    let all = functions.iter().filter_map(|(_, device)| device.function());
    let taken = all.filter(on_first_bus).map(|one| one.path.function.device);
    let taken: BTreeSet<u8> = taken.collect();
    // Number 0 is where a host bridge is looked for.
    let mut free = (1..DEVICES)
        .chain([0])
        .filter(|number| !taken.contains(number));
    let mut numbers: BTreeMap<(u8, u8), Option<u8>> = BTreeMap::new();
    let mut without = Vec::new();
    for (index, (_, device)) in functions.iter_mut().enumerate() {
        let Some(function) = function_mut(device).filter(|one| !one.path.bridges.is_empty()) else {
            continue;
        };
        let place = function.path.function;
        let number = numbers.entry(place.slot()).or_insert_with(|| free.next());
        match number {
            Some(number) => function.seen = *number << 3 | place.function,
            None => without.push(index),
        }
    }
    without
}
