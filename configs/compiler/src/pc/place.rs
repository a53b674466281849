//! Where partitions' memory lies in a PC's RAM, and where they see it.

use super::PcBoard;
use super::channels::{self, Channel};
use crate::check::Context;
use crate::codes::{self, Code};
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::layout::{Layout, lay_out};
use crate::memory::{Region, payload_room};
use crate::range::{AddressRange, align_up, human_size};

/// Room for the hypervisor itself: its code, data, stacks and tables.
const HYPERVISOR_ROOM: u64 = 4 << 20;
/// The image and whatever lies on it end at a multiple of this.
const BLOCK: u64 = 2 << 20;

/// A place for everything.
pub(super) struct Places {
    /// RAM kept for the image with its payload.
    pub image: AddressRange,
    /// For each partition of the file its regions, and where its image goes.
    pub partitions: Vec<(Vec<Placed>, Layout)>,
    /// Channels, in the order of the file.
    pub channels: Vec<Channel>,
}

/// A region with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    /// What the partition sees.
    pub seen: AddressRange,
    /// Where it lies.
    pub pa: u64,
}

/// Finds a place for everything. `None` when something has none, which is reported.
pub(super) fn arrange(
    context: &Context<'_>,
    board: &PcBoard,
    functions: &[Vec<usize>],
    findings: &mut Diagnostics,
) -> Option<Places> {
    let before = findings.len();
    let report = |code: Code, message: String, region: &Region| {
        Diagnostic::error(code, message).at(context.source, region.span.clone())
    };
    let mut free = Free(board.banks().collect());
    let payload = payload_room(context.resolved);
    let image = align_up(
        board
            .load
            .checked_add(HYPERVISOR_ROOM)?
            .checked_add(payload)?,
        BLOCK,
    )
    .and_then(|end| AddressRange::between(board.load, end))?;
    if !free.take(image) {
        let message = format!(
            "the image with a payload of {} does not fit the board's memory at {:#x}",
            human_size(payload),
            board.load
        );
        findings.push(
            Diagnostic::error(codes::NOT_PLACEABLE, message)
                .at(context.source, context.board_span())
                .help("correct `[[memory]]` in the board's file, or use smaller images"),
        );
        return None;
    }
    // Whatever lies below the image is firmware's and the boot loader's.
    free.drop_below(image.base);

    let partitions = context.system.partitions.iter();
    let titles: Vec<String> = partitions.map(|partition| partition.title()).collect();
    let mut regions: Vec<Vec<Region>> = context.memory.partitions.clone();
    // What the file fixes comes first.
    for (title, regions) in titles.iter().zip(&regions) {
        for region in regions {
            if let Some(lies) = region.lies()
                && !free.take(lies)
            {
                let message = format!("the memory of {title} is not free where it is asked for");
                findings.push(
                    report(codes::OUTSIDE_RAM, message, region)
                        .found(lies.to_string())
                        .note(format!("the hypervisor has {image}"))
                        .help("leave `address` out: the compiler finds a place"),
                );
            }
        }
    }
    let mut shared = channels::fixed(context, &mut free, findings);
    let mut placed = Vec::new();
    let parts = titles.iter().zip(&mut regions).zip(context.resolved);
    for (((title, regions), resolved), own) in parts.zip(functions) {
        for region in regions.iter_mut().filter(|region| region.pa.is_none()) {
            region.pa = free.find(region.size, region.alignment());
            if region.pa.is_none() {
                let message = format!("the memory of {title} has no place on the board");
                findings.push(
                    report(codes::NOT_PLACEABLE, message, region)
                        .found(human_size(region.size))
                        .help("ask for less memory here or in another partition"),
                );
            }
        }
        let Some(seen) = settle(regions) else {
            if let Some(region) = regions.first().filter(|_| findings.len() == before) {
                let message = format!("{title} would see two regions at one place");
                findings.push(
                    report(codes::REGIONS_OVERLAP, message, region)
                        .help("correct `at`, or leave it out"),
                );
            }
            continue;
        };
        let mut bars = board.bars(own);
        let under = |bar: &AddressRange| seen.iter().any(|region| region.seen.overlaps(*bar));
        if let (Some(bar), Some(region)) = (bars.find(under), regions.first()) {
            let message = format!("the memory of {title} would cover its device's registers");
            findings.push(
                report(codes::MEMORY_COVERS_DEVICE, message, region)
                    .found(bar.to_string())
                    .help("give it less memory, or place regions with `at`"),
            );
            continue;
        }
        let (Some(image), Some(first)) = (&resolved.image, seen.first()) else {
            continue;
        };
        match lay_out(&image.image, image.initrd.as_ref(), first.seen) {
            Ok(layout) => placed.push((seen, layout)),
            Err(error) => {
                let message = format!("{title} cannot hold its image: {error}");
                let finding = regions
                    .first()
                    .map(|region| report(error.code(), message, region));
                findings.extend(finding.map(|finding| {
                    finding
                        .note(format!("the partition sees its memory at {}", first.seen))
                        .help(error.help())
                }));
            }
        }
    }
    if findings.len() > before {
        return None;
    }
    let bars: Vec<Vec<AddressRange>> = functions
        .iter()
        .map(|own| board.bars(own).collect())
        .collect();
    let seen = placed.iter().map(|(regions, _)| regions.as_slice());
    let channels = channels::arrange(
        context,
        &mut shared,
        &mut free,
        (seen.collect(), &bars),
        findings,
    );
    (findings.len() == before).then_some(Places {
        image,
        partitions: placed,
        channels,
    })
}

/// Where a partition sees its regions: where it asks for, else from 0 on, one after the other. `None` when they overlap.
fn settle(regions: &[Region]) -> Option<Vec<Placed>> {
    let mut placed: Vec<Placed> = Vec::new();
    for region in regions {
        let pa = region.pa?;
        let next = placed.last().map_or(0, |last| last.seen.end());
        let at = if region.identity {
            pa
        } else {
            region.ipa.unwrap_or(next)
        };
        let seen = AddressRange::new(at, region.size)?;
        if placed.iter().any(|other| other.seen.overlaps(seen)) {
            return None;
        }
        placed.push(Placed { seen, pa });
    }
    Some(placed)
}

/// RAM that nobody has.
pub(super) struct Free(Vec<AddressRange>);

impl Free {
    /// Takes a range. False when not all of it is free.
    pub fn take(&mut self, range: AddressRange) -> bool {
        let Some(index) = self.0.iter().position(|hole| hole.contains(range)) else {
            return false;
        };
        let hole = self.0.swap_remove(index);
        self.0.extend(hole.without(range));
        self.0.sort_unstable();
        true
    }

    /// Takes the lowest place of that size at a multiple of `align`.
    pub fn find(&mut self, size: u64, align: u64) -> Option<u64> {
        let fits = |hole: &AddressRange| {
            AddressRange::new(align_up(hole.base, align)?, size)
                .filter(|range| hole.contains(*range))
        };
        let range = self.0.iter().find_map(fits)?;
        self.take(range).then_some(range.base)
    }

    fn drop_below(&mut self, end: u64) {
        let above = |hole: &AddressRange| AddressRange::between(hole.base.max(end), hole.end());
        self.0 = self.0.iter().filter_map(above).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(base: u64, end: u64) -> AddressRange {
        AddressRange::between(base, end).unwrap()
    }

    #[test]
    fn lowest_aligned_hole_is_found_and_is_then_taken() {
        let mut free = Free(vec![range(0x1000, 0x9000), range(0x10000, 0x20000)]);
        assert_eq!(free.find(0x4000, 0x4000), Some(0x4000));
        assert_eq!(free.find(0x4000, 0x4000), Some(0x10000));
        assert_eq!(free.find(0x100000, 0x1000), None);
    }

    #[test]
    fn range_that_is_partly_taken_is_refused() {
        let mut free = Free(vec![range(0, 0x8000)]);
        assert!(free.take(range(0x2000, 0x4000)));
        assert!(!free.take(range(0x3000, 0x5000)));
        assert!(free.take(range(0x4000, 0x8000)));
    }

    #[test]
    fn what_lies_below_the_image_is_not_given_away() {
        let mut free = Free(vec![range(0, 0x8000)]);
        free.drop_below(0x4000);
        assert_eq!(free.find(0x1000, 0x1000), Some(0x4000));
    }
}
