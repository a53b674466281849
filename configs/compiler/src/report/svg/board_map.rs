//! The board's physical address space, to scale.

use super::super::facts::{MapEntry, MapKind, Owner};
use super::super::markup::Markup;
use super::super::owners::Owners;
use super::super::units::{address, count, size};
use super::axis::{SHORTEST, Scale, Shape};
use super::shapes::{Anchor, Look, Rect, drawing, piece, tail, text, zigzag};

/// Height that the pieces may fill before they are cut.
const ROOM: u64 = 560;
/// Height of a hole between pieces, whatever its length.
const HOLE: u64 = 20;
const BAR_X: u64 = 130;
const BAR_WIDTH: u64 = 230;
const BASELINE: u64 = 12;

/// One piece of the drawing: an entry of the map, several that touch and are one thing, or several that nobody has.
struct Row<'a> {
    first: &'a MapEntry,
    end: u64,
    /// Bytes that belong to it, holes left out.
    bytes: u64,
    entries: usize,
}

/// Draws all entries of one kind.
pub(in crate::report) fn board_map(
    out: &mut Markup,
    map: &[MapEntry],
    kind: MapKind,
    owners: &Owners<'_>,
) {
    let rows = rows(map, kind);
    let counts = |row: &Row<'_>| (row.bytes, row.first.owner != Owner::Nobody);
    let pieces: Vec<(u64, bool)> = rows.iter().map(counts).collect();
    let lines = pieces.len() as u64 * SHORTEST * 2;
    let scale = match kind {
        MapKind::Ram => Scale::choose(&pieces, ROOM.max(lines)),
        MapKind::Registers => Scale::choose(&pieces, lines),
    };
    let lengths: u64 = rows.iter().map(|row| scale.draw(row.bytes).0).sum();
    let holes = rows.windows(2).filter(|pair| is_hole(pair)).count() as u64;
    let height = lengths + holes * HOLE + HOLE + 44;
    let title = match kind {
        MapKind::Ram => "RAM of the board by physical address",
        MapKind::Registers => "Registers of the board by physical address",
    };
    let description = format!(
        "{}; the table below holds the same.",
        count(rows.len(), "piece")
    );
    drawing(out, height, title, &description, |out| {
        let mut y = 4;
        for (index, row) in rows.iter().enumerate() {
            let (length, _) = scale.draw(row.bytes);
            draw_row(out, row, y, scale, owners);
            y += length;
            let hole = rows.get(index..index + 2).is_some_and(is_hole);
            if hole || index + 1 == rows.len() {
                text(
                    out,
                    (BAR_X - 10, y + BASELINE),
                    Anchor::End,
                    "address end",
                    address(row.end),
                );
            }
            if hole {
                let next = rows.get(index + 1).map_or(row.end, |next| next.first.base);
                draw_hole(out, y, next - row.end, kind);
                y += HOLE;
            }
        }
        draw_scale(out, y + HOLE + 4, scale);
    });
}

/// Sorted; neighbours that nobody has become one row.
fn rows(map: &[MapEntry], kind: MapKind) -> Vec<Row<'_>> {
    let mut entries: Vec<&MapEntry> = map
        .iter()
        .filter(|one| one.kind == kind && one.size > 0)
        .collect();
    entries.sort_by_key(|one| (one.base, one.size));
    let mut rows: Vec<Row<'_>> = Vec::new();
    for entry in entries {
        match rows.last_mut() {
            Some(row) if is_one(row, entry, kind) => {
                let several = entry.owner == Owner::Nobody;
                row.end = row.end.max(entry.end());
                row.bytes = row.bytes.saturating_add(entry.size);
                row.entries += usize::from(several);
            }
            _ => rows.push(Row {
                first: entry,
                end: entry.end(),
                bytes: entry.size,
                entries: 1,
            }),
        }
    }
    rows
}

/// True when an entry continues a row.
fn is_one(row: &Row<'_>, entry: &MapEntry, kind: MapKind) -> bool {
    let idle = row.first.owner == Owner::Nobody && entry.owner == Owner::Nobody;
    let continues = row.end == entry.base && row.first.what == entry.what;
    match kind {
        MapKind::Registers if idle => true,
        _ => continues && row.first.owner == entry.owner && !idle,
    }
}

fn is_hole(pair: &[Row<'_>]) -> bool {
    matches!(pair, [one, next] if next.first.base > one.end)
}

fn draw_row(out: &mut Markup, row: &Row<'_>, y: u64, scale: Scale, owners: &Owners<'_>) {
    let MapEntry {
        base, owner, what, ..
    } = row.first;
    let (height, shape) = scale.draw(row.bytes);
    let several = row.entries > 1;
    let title = if several {
        format!(
            "{} that nobody has, {} to {}",
            count(row.entries, "block"),
            address(*base),
            address(row.end)
        )
    } else {
        format!(
            "{what}: {owner}, {} from {}",
            size(row.bytes),
            address(*base)
        )
    };
    let rect = Rect {
        x: BAR_X,
        y,
        width: BAR_WIDTH,
        height,
    };
    let look = Look {
        class: owners.class(owner),
        pattern: owners.pattern(owner),
        shape: if several { Shape::Cut } else { shape },
        title,
    };
    piece(out, rect, &look);
    text(
        out,
        (BAR_X - 10, y + BASELINE),
        Anchor::End,
        "address",
        address(*base),
    );
    let name = match owner {
        Owner::Shared(names) => format!("shared by {}", names.len()),
        other => other.to_string(),
    };
    let class = if *owner == Owner::Hypervisor {
        "name on-dark"
    } else {
        "name"
    };
    text(
        out,
        (BAR_X + 8, y + BASELINE),
        Anchor::Start,
        class,
        tail(&name, 30),
    );
    let mark = match look.shape {
        Shape::True => "",
        Shape::Enlarged => " ↕",
        Shape::Cut => " ≈",
    };
    let label = if several {
        format!(
            "{} in {}{mark}",
            size(row.bytes),
            count(row.entries, "block")
        )
    } else {
        format!("{} · {}{mark}", size(row.bytes), tail(what, 52))
    };
    text(
        out,
        (BAR_X + BAR_WIDTH + 14, y + BASELINE),
        Anchor::Start,
        "what",
        label,
    );
}

fn draw_hole(out: &mut Markup, y: u64, bytes: u64, kind: MapKind) {
    let what = match kind {
        MapKind::Ram => "no RAM",
        MapKind::Registers => "nothing",
    };
    zigzag(out, BAR_X, y + HOLE / 2 - 2, BAR_WIDTH);
    let place = (BAR_X + BAR_WIDTH + 14, y + BASELINE + 1);
    text(
        out,
        place,
        Anchor::Start,
        "hole",
        format!("{what} for {}", size(bytes)),
    );
}

/// A line of known length, and what the marks mean.
fn draw_scale(out: &mut Markup, y: u64, scale: Scale) {
    const LINE: u64 = 64;
    let (start, end) = (BAR_X, BAR_X + LINE);
    let line = format!(
        "M{start} {}V{}M{start} {y}H{end}M{end} {}V{}",
        y - 4,
        y + 4,
        y - 4,
        y + 4
    );
    out.empty("path", &[("class", &"scale"), ("d", &line)]);
    let legend = format!(
        "the length of this line, downwards, is {}   ·   ↕ enlarged to a line of text   ·   ≈ cut",
        size(scale.bytes(LINE))
    );
    text(out, (end + 12, y + 4), Anchor::Start, "legend", legend);
}

#[cfg(test)]
mod tests {
    use super::super::super::sample;
    use super::*;

    fn drawn(map: &[MapEntry], kind: MapKind) -> String {
        let report = sample::report();
        let mut out = Markup::default();
        board_map(&mut out, map, kind, &Owners::new(&report));
        out.finish()
    }

    #[test]
    fn every_owner_of_ram_is_named_in_the_drawing() {
        let text = drawn(&sample::report().memory_map, MapKind::Ram);
        for name in [
            "hypervisor",
            "firmware",
            "linux",
            "control",
            "logger",
            "safety",
            "channel setpoints",
            "nobody",
        ] {
            assert!(text.contains(&format!(">{name}</text>")), "{name}");
        }
    }

    #[test]
    fn hole_between_banks_is_drawn_with_its_length() {
        let text = drawn(&sample::report().memory_map, MapKind::Ram);
        assert_eq!(text.matches("no RAM for 30 GiB").count(), 1);
    }

    #[test]
    fn neighbours_that_nobody_has_are_one_row() {
        let report = sample::report();
        let rows = rows(&report.memory_map, MapKind::Registers);
        let nobody = rows
            .iter()
            .find(|row| row.first.owner == Owner::Nobody)
            .unwrap();
        assert_eq!(
            (nobody.entries, nobody.bytes, nobody.end),
            (2, 0x2000, 0xff0c_1000)
        );
    }

    #[test]
    fn board_without_registers_is_an_empty_drawing() {
        assert!(drawn(&[], MapKind::Registers).ends_with("</svg>"));
    }
}
