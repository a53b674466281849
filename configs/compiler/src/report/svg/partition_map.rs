//! A partition's address space beside the physical one: which IPA is which PA.

use super::super::facts::{MappingEntry, MappingKind, PartitionEntry, VirtualDevice};
use super::super::markup::Markup;
use super::super::owners::Owners;
use super::super::units::{address, count, size};
use super::axis::{SHORTEST, Scale, Shape};
use super::shapes::{Anchor, Look, Rect, drawing, piece, tail, text, zigzag};

const ROOM: u64 = 420;
/// Height of a hole between pieces, whatever its length.
const HOLE: u64 = 14;
const TOP: u64 = 30;
const BASELINE: u64 = 12;
const IPA_X: u64 = 112;
const PA_X: u64 = 506;
const BAR_WIDTH: u64 = 240;

/// Something in one of the two address spaces.
struct Block<'a> {
    base: u64,
    size: u64,
    what: Content<'a>,
}

#[derive(Clone, Copy)]
enum Content<'a> {
    Mapped(&'a MappingEntry),
    Played(&'a VirtualDevice),
}

/// A block with its place.
struct Placed<'a> {
    block: Block<'a>,
    y: u64,
    height: u64,
    shape: Shape,
    /// Length of the hole behind it.
    hole: u64,
}

/// Draws a partition's mappings, and the devices that the hypervisor plays for it.
pub(in crate::report) fn partition_map(
    out: &mut Markup,
    partition: &PartitionEntry,
    owners: &Owners<'_>,
) {
    let mapped = || partition.mappings.iter().filter(|one| one.size > 0);
    let played = partition.virtual_devices.iter().filter(|one| one.size > 0);
    let seen = mapped().map(|one| Block {
        base: one.ipa,
        size: one.size,
        what: Content::Mapped(one),
    });
    let seen: Vec<Block<'_>> = seen
        .chain(played.map(|one| Block {
            base: one.ipa,
            size: one.size,
            what: Content::Played(one),
        }))
        .collect();
    let real = mapped().map(|one| Block {
        base: one.pa,
        size: one.size,
        what: Content::Mapped(one),
    });
    let sizes: Vec<(u64, bool)> = seen.iter().map(|one| (one.size, true)).collect();
    let scale = Scale::choose(&sizes, ROOM.max(sizes.len() as u64 * SHORTEST * 3 / 2));
    let seen = place(seen, scale);
    let real = place(real.collect(), scale);
    let bottom = |column: &[Placed<'_>]| column.last().map_or(TOP, |last| last.y + last.height);
    let height = bottom(&seen).max(bottom(&real)) + 40;
    let title = format!("Address space of partition {}", partition.name);
    let description = format!(
        "{}, from intermediate to physical addresses.",
        count(partition.mappings.len(), "mapping")
    );
    drawing(out, height, &title, &description, |out| {
        let heads = [
            (IPA_X, "what the partition sees (IPA)"),
            (PA_X, "where it is (PA)"),
        ];
        for (x, head) in heads {
            text(out, (x + BAR_WIDTH / 2, 16), Anchor::Middle, "head", head);
        }
        bands(out, &seen, &real, &partition.name, owners);
        for one in &seen {
            block(out, one, IPA_X, &partition.name, owners);
            text(
                out,
                (IPA_X - 10, one.y + BASELINE),
                Anchor::End,
                "address",
                address(one.block.base),
            );
        }
        for one in &real {
            block(out, one, PA_X, &partition.name, owners);
            text(
                out,
                (PA_X + BAR_WIDTH + 10, one.y + BASELINE),
                Anchor::Start,
                "address",
                address(one.block.base),
            );
        }
        let legend = "hatched white: the hypervisor plays this device   ·   ↕ enlarged to a line of text   ·   ≈ cut";
        text(out, (IPA_X, height - 8), Anchor::Start, "legend", legend);
    });
}

fn place(mut blocks: Vec<Block<'_>>, scale: Scale) -> Vec<Placed<'_>> {
    blocks.sort_by_key(|one| (one.base, one.size));
    let mut placed: Vec<Placed<'_>> = Vec::new();
    let mut y = TOP;
    for block in blocks {
        if let Some(before) = placed.last_mut() {
            before.hole = block
                .base
                .saturating_sub(before.block.base.saturating_add(before.block.size));
            y += if before.hole > 0 { HOLE } else { 0 };
        }
        let (height, shape) = scale.draw(block.size);
        placed.push(Placed {
            block,
            y,
            height,
            shape,
            hole: 0,
        });
        y += height;
    }
    placed
}

fn block(out: &mut Markup, placed: &Placed<'_>, x: u64, partition: &str, owners: &Owners<'_>) {
    let (class, pattern, what) = match placed.block.what {
        Content::Mapped(one) => (
            owners.mapping_class(partition, one.kind),
            match one.kind {
                MappingKind::Channel | MappingKind::ReadOnlyRegisters => {
                    Some("url(#look-shared)".to_owned())
                }
                MappingKind::Memory | MappingKind::Registers | MappingKind::InterruptController => {
                    None
                }
            },
            one.what.as_str(),
        ),
        Content::Played(one) => (
            "own-played".to_owned(),
            Some("url(#look-1)".to_owned()),
            one.name.as_str(),
        ),
    };
    let mark = match placed.shape {
        Shape::True => "",
        Shape::Enlarged => " ↕",
        Shape::Cut => " ≈",
    };
    let bytes = size(placed.block.size);
    let look = Look {
        class,
        pattern,
        shape: placed.shape,
        title: format!("{what}: {bytes} at {}", address(placed.block.base)),
    };
    piece(
        out,
        Rect {
            x,
            y: placed.y,
            width: BAR_WIDTH,
            height: placed.height,
        },
        &look,
    );
    let label = format!("{} · {bytes}{mark}", tail(what, 23));
    text(
        out,
        (x + 8, placed.y + BASELINE),
        Anchor::Start,
        "name",
        label,
    );
    if placed.hole > 0 {
        zigzag(out, x, placed.y + placed.height + HOLE / 2 - 2, BAR_WIDTH);
    }
}

/// Connects each mapping's two ends.
fn bands(
    out: &mut Markup,
    seen: &[Placed<'_>],
    real: &[Placed<'_>],
    partition: &str,
    owners: &Owners<'_>,
) {
    for one in seen {
        let Content::Mapped(mapping) = one.block.what else {
            continue;
        };
        let other = real
            .iter()
            .find(|other| matches!(other.block.what, Content::Mapped(same) if std::ptr::eq(same, mapping)));
        let Some(other) = other else { continue };
        let (left, right) = (IPA_X + BAR_WIDTH, PA_X);
        let path = format!(
            "M{left} {}L{right} {}V{}L{left} {}Z",
            one.y,
            other.y,
            other.y + other.height,
            one.y + one.height
        );
        let class = format!("band {}", owners.mapping_class(partition, mapping.kind));
        out.empty("path", &[("class", &class), ("d", &path)]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::sample;
    use super::*;

    #[test]
    fn every_mapping_has_two_ends_and_a_band() {
        let report = sample::report();
        let linux = &report.partitions[0];
        let mut out = Markup::default();
        partition_map(&mut out, linux, &Owners::new(&report));
        let text = out.finish();
        let pieces = text.matches("<rect class=\"piece").count();
        assert_eq!(
            pieces,
            2 * linux.mappings.len() + linux.virtual_devices.len()
        );
        assert_eq!(text.matches("class=\"band").count(), linux.mappings.len());
    }

    #[test]
    fn pieces_of_one_column_do_not_overlap() {
        let report = sample::report();
        let blocks = report.partitions[0].mappings.iter().map(|one| Block {
            base: one.ipa,
            size: one.size,
            what: Content::Mapped(one),
        });
        let blocks: Vec<Block<'_>> = blocks.collect();
        let sizes: Vec<(u64, bool)> = blocks.iter().map(|one| (one.size, true)).collect();
        let placed = place(blocks, Scale::choose(&sizes, ROOM));
        assert!(
            placed
                .windows(2)
                .all(|pair| pair[0].y + pair[0].height <= pair[1].y)
        );
    }
}
