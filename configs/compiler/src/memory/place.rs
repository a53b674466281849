//! Where memory goes in the board's RAM.
//!
//! What the system file fixes comes first. Then the compiler places what it sees as it lies (`identity`), which has fewer places to go;
//! then the rest of the partitions' memory, larger regions first, each at the lowest place that lets large blocks map it; then channels.

use std::collections::BTreeMap;

use model::memory::PAGE;

use super::address_space::{place_behind, settle, settle_channels};
use super::{Arrangement, BLOCK, ChannelMemory, MOST_CHANNELS, Region, Seen, form, seen};
use crate::board::Board;
use crate::check::Context;
use crate::codes;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::layout::TREE_ROOM;
use crate::payload::Payload;
use crate::range::{AddressRange, align_up, human_size};
use crate::resolve::Resolved;
use crate::separate::{SeparateFile, pieces};
use crate::stage2::address_bits;

/// From this size on a place that allows blocks of level 1 is preferred.
const GIB: u64 = 1 << 30;
/// Room for the hypervisor itself: its code, data, stacks and tables.
const HYPERVISOR_ROOM: u64 = 4 << 20;
/// How many holes an error shows.
const HOLES_SHOWN: usize = 3;

/// Finds a place for everything that has none. What has no place is reported.
pub(crate) fn arrange(context: &Context<'_>, findings: &mut Diagnostics) -> Arrangement {
    let system = context.system;
    let mut partitions: Vec<Vec<Region>> = system
        .partitions
        .iter()
        .map(|partition| form::regions(partition, context.source, findings))
        .collect();
    let mut channels: Vec<Option<ChannelMemory>> = system
        .channels
        .iter()
        .take(MOST_CHANNELS)
        .map(|channel| form::channel(channel, context.source, findings))
        .collect();
    let Some(board) = context.board else {
        // A PC has calls instead of pages.
        let rings = channels.iter_mut().flatten().flat_map(|one| &mut one.rings);
        rings.for_each(|rings| *rings = false);
        return Arrangement {
            image: None,
            partitions,
            channels,
            pages: Vec::new(),
        };
    };
    let registers: Vec<Vec<Seen>> = context
        .partitions()
        .map(|(partition, resolved)| seen(board, partition, resolved))
        .collect();
    for (regions, registers) in partitions.iter_mut().zip(&registers) {
        settle(regions, board.ram_base(), registers);
    }
    let payload = payload_room(context.resolved);
    let image = image_room(board, payload);
    if image.is_none() {
        findings.push(no_room_for_image(context, payload));
    }
    let mut holes = Holes::of(board, image, &partitions, &channels);
    let files = context.resolved.iter().filter_map(Resolved::separate);
    files
        .filter_map(SeparateFile::lies)
        .for_each(|file| holes.take(file));
    holes.place_partitions(&mut partitions, &registers, context, findings);
    holes.place_channels(&mut channels, context, findings);
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, partition) in system.partitions.iter().enumerate() {
        if let Some(name) = &partition.name {
            names.entry(name.get_ref()).or_insert(index);
        }
    }
    let mut taken = settle_channels(&mut channels, &partitions, &registers, |channel, end| {
        let end = system.channels.get(channel)?.ends().get(end)?;
        names.get(end.partition.get_ref().as_str()).copied()
    });
    let pages = system.partitions.iter().zip(&partitions).zip(&mut taken);
    let pages = pages.map(|((raw, regions), taken)| {
        let place = || place_behind(regions, PAGE, taken);
        let base = raw.has_control_page().then(place)?;
        AddressRange::new(base, PAGE)
    });
    Arrangement {
        image,
        pages: pages.collect(),
        partitions,
        channels,
    }
}

/// Bytes of the payload, with the largest device tree that each partition may have.
pub(crate) fn payload_room(resolved: &[Resolved]) -> u64 {
    let mut payload = Payload::default();
    let images = resolved.iter().filter_map(|one| one.image.as_ref());
    for image in images.filter(|image| image.separate.is_none()) {
        for piece in pieces(&image.image, image.initrd.as_ref()) {
            payload.add(piece);
        }
    }
    let trees = (resolved.len() as u64).saturating_mul(TREE_ROOM);
    payload.size().saturating_add(trees)
}

/// The room kept for the hypervisor's image: from the start of its memory bank up to the end of the payload, as firmware may use
/// what lies below the image.
fn image_room(board: &Board, payload: u64) -> Option<AddressRange> {
    let banks = &board.memory.banks;
    let bank = banks
        .iter()
        .find(|bank| (bank.base..bank.end()).contains(&board.load))?;
    let size = payload.checked_add(HYPERVISOR_ROOM)?;
    let end = align_up(board.load.checked_add(size)?, BLOCK)?;
    AddressRange::between(bank.base, end).filter(|room| bank.contains(*room))
}

fn no_room_for_image(context: &Context<'_>, payload: u64) -> Diagnostic {
    let first = context.system.partitions.first();
    let message = format!(
        "the image with a payload of {} does not fit the board's memory at its load address",
        human_size(payload)
    );
    Diagnostic::error(codes::NOT_PLACEABLE, message)
        .at(
            context.source,
            first.map_or(0..0, |partition| partition.span.clone()),
        )
        .help("use smaller images, or a board with more memory")
}

/// True when a partition can see memory there.
fn visible(memory: AddressRange, registers: &[Seen]) -> bool {
    let covers = |seen: &Seen| seen.pages.overlaps(memory);
    address_bits(memory.end()).is_some() && !registers.iter().any(covers)
}

/// RAM that nobody has, by address.
struct Holes(Vec<AddressRange>);

impl Holes {
    /// The board's RAM without the image, what firmware reserves, and what the system file fixes.
    fn of(
        board: &Board,
        image: Option<AddressRange>,
        partitions: &[Vec<Region>],
        channels: &[Option<ChannelMemory>],
    ) -> Self {
        let mut holes = Self(board.memory.banks.clone());
        let reserved = board.memory.reserved.iter().map(|(range, _)| *range);
        let regions = partitions.iter().flatten().filter_map(Region::lies);
        let channels = channels.iter().flatten().filter_map(ChannelMemory::lies);
        for range in image
            .into_iter()
            .chain(reserved)
            .chain(regions)
            .chain(channels)
        {
            holes.take(range);
        }
        holes
    }

    fn take(&mut self, range: AddressRange) {
        self.0 = self.0.iter().flat_map(|hole| hole.without(range)).collect();
    }

    fn place_partitions(
        &mut self,
        partitions: &mut [Vec<Region>],
        registers: &[Vec<Seen>],
        context: &Context<'_>,
        findings: &mut Diagnostics,
    ) {
        let mut order: Vec<(usize, usize)> = Vec::new();
        for (partition, (regions, registers)) in partitions.iter().zip(registers).enumerate() {
            // What the partition cannot see has no need of a place; that is reported.
            let free = |index: &usize| {
                regions.get(*index).is_some_and(|one| {
                    let visible = one.seen().is_some_and(|seen| visible(seen, registers));
                    one.pa.is_none() && (one.identity || visible)
                })
            };
            let free = (0..regions.len()).filter(free);
            order.extend(free.map(|region| (partition, region)));
        }
        // The sort is stable: equals stay in the order of the file.
        order.sort_by_key(|(partition, region)| {
            let region = &partitions[*partition][*region];
            (!region.identity, std::cmp::Reverse(region.size))
        });
        for (partition, index) in order {
            let region = &partitions[partition][index];
            let place = if region.identity {
                let beside = partitions[partition].iter().filter_map(Region::seen);
                let pages = registers.get(partition).into_iter().flatten();
                let mut free = Self(self.0.clone());
                for range in beside.chain(pages.map(|seen| seen.pages)) {
                    free.take(range);
                }
                free.find(region.size, region.alignment(), None)
            } else {
                self.find(region.size, region.alignment(), region.ipa)
            };
            let Some(place) = place else {
                let what = context.system.partitions.get(partition);
                let what = what.map_or(String::new(), |partition| partition.title());
                let finding = self.nothing_fits(
                    &format!("the memory of {what}"),
                    region.size,
                    region.alignment(),
                    context,
                );
                findings.push(finding.at(context.source, region.span.clone()));
                continue;
            };
            self.take(place);
            let region = &mut partitions[partition][index];
            region.pa = Some(place.base);
            if region.identity {
                region.ipa = region.pa;
            }
        }
    }

    fn place_channels(
        &mut self,
        channels: &mut [Option<ChannelMemory>],
        context: &Context<'_>,
        findings: &mut Diagnostics,
    ) {
        for (memory, raw) in channels.iter_mut().zip(&context.system.channels) {
            let Some(memory) = memory.as_mut().filter(|memory| memory.pa.is_none()) else {
                continue;
            };
            let align = if memory.size < BLOCK { PAGE } else { BLOCK };
            let Some(place) = self.find(memory.size, align, None) else {
                let what = format!("the memory of {}", raw.title());
                let finding = self.nothing_fits(&what, memory.size, align, context);
                findings.push(finding.at(context.source, memory.span.clone()));
                continue;
            };
            self.take(place);
            memory.pa = Some(place.base);
        }
    }

    /// The lowest place for `size` bytes at a multiple of `align`, if possible one where blocks of 1 GiB or 2 MiB map it to `ipa`.
    fn find(&self, size: u64, align: u64, ipa: Option<u64>) -> Option<AddressRange> {
        let at = |granule: u64, offset: u64| {
            let fit = |hole: &AddressRange| {
                let base = align_up(hole.base.saturating_sub(offset), granule)?;
                AddressRange::new(base.checked_add(offset)?, size)
                    .filter(|range| hole.contains(*range))
            };
            self.0.iter().find_map(fit)
        };
        // A place is congruent to the intermediate address when both have the same offset in a block.
        let congruent = |granule: u64| {
            let offset = ipa.unwrap_or(0) & (granule - 1);
            match offset {
                0 => at(granule.max(align), 0),
                _ if align <= granule && offset.is_multiple_of(align) => at(granule, offset),
                _ => None,
            }
        };
        let large = if size >= GIB { congruent(GIB) } else { None };
        let blocks = || {
            if size >= BLOCK || align >= BLOCK {
                congruent(BLOCK)
            } else {
                None
            }
        };
        large.or_else(blocks).or_else(|| at(align, 0))
    }

    fn nothing_fits(&self, what: &str, size: u64, align: u64, context: &Context<'_>) -> Diagnostic {
        let banks = context.board.map_or(&[][..], |board| &board.memory.banks);
        let total = banks
            .iter()
            .fold(0u64, |sum, bank| sum.saturating_add(bank.size));
        let message = format!("{what} has no place on the board");
        let mut finding = Diagnostic::error(codes::NOT_PLACEABLE, message).found(format!(
            "{} wanted at a multiple of {}; the board has {}",
            human_size(size),
            human_size(align),
            human_size(total)
        ));
        let aligned =
            |hole: &AddressRange| AddressRange::between(align_up(hole.base, align)?, hole.end());
        let mut holes: Vec<AddressRange> = self.0.iter().filter_map(aligned).collect();
        holes.sort_by_key(|hole| std::cmp::Reverse(hole.size));
        holes.truncate(HOLES_SHOWN);
        for hole in &holes {
            finding = finding.note(format!("free: {} at {hole}", human_size(hole.size)));
        }
        if holes.is_empty() {
            finding = finding.note("nothing is free");
        }
        finding.help(
            "ask for less memory here or in another partition, or split it into several regions",
        )
    }
}
