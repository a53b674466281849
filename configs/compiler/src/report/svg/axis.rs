//! A broken axis: how long each piece of an address space is drawn.
//!
//! Address spaces hold pieces of 4 KiB beside pieces of many GiB, so no scale suits all. One scale is chosen, a power of two of bytes
//! per pixel, such that most pieces with an owner are drawn true to it. A piece that would be too short to be named is *enlarged* to one line of text;
//! one that would not fit is *cut*. Both are marked in the drawing, and the scale is written under it: the drawing never lies silently.

/// Shortest length of a piece: a line of text. In pixels.
pub(super) const SHORTEST: u64 = 16;
/// A cut piece is at least that long, so that the cut can be seen. In pixels.
const SHORTEST_CUT: u64 = 54;

/// How a piece is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// As long as the scale says.
    True,
    /// Longer than the scale says.
    Enlarged,
    /// Shorter than the scale says.
    Cut,
}

/// A scale that fits a list of pieces into a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    /// A pixel is two to this power of bytes.
    shift: u32,
    /// The longest length that is drawn, in pixels.
    longest: u64,
}

impl Scale {
    /// The scale that draws most of these pieces true within `room` pixels; of several, the one that draws them largest. Each piece is
    /// its size and whether it counts: nobody minds when what nobody owns is cut.
    pub fn choose(pieces: &[(u64, bool)], room: u64) -> Self {
        let sizes: Vec<u64> = pieces.iter().map(|(size, _)| *size).collect();
        let scales = (0..u64::BITS).map(|shift| Self {
            shift,
            longest: longest(&sizes, shift, room),
        });
        let distorted = |scale: &Self| {
            let counted = pieces.iter().filter(|(_, counts)| *counts);
            let shapes = counted.map(|(size, _)| scale.draw(*size).1);
            shapes.filter(|shape| *shape != Shape::True).count()
        };
        // `min_by_key` takes the first of equals: the finest.
        scales.min_by_key(distorted).unwrap_or(Self {
            shift: 0,
            longest: SHORTEST_CUT,
        })
    }

    /// Length in pixels, and how true it is.
    pub fn draw(self, size: u64) -> (u64, Shape) {
        let exact = size >> self.shift;
        if exact > self.longest {
            (self.longest, Shape::Cut)
        } else if exact < SHORTEST {
            (SHORTEST, Shape::Enlarged)
        } else {
            (exact, Shape::True)
        }
    }

    /// Bytes that a line of `pixels` stands for.
    pub fn bytes(self, pixels: u64) -> u64 {
        pixels.saturating_mul(1 << self.shift)
    }
}

/// The longest length such that all `sizes`, none drawn longer, fit into `room`.
fn longest(sizes: &[u64], shift: u32, room: u64) -> u64 {
    let mut lengths: Vec<u64> = sizes
        .iter()
        .map(|size| (size >> shift).max(SHORTEST))
        .collect();
    lengths.sort_unstable();
    let mut rest = room;
    for (index, length) in lengths.iter().enumerate() {
        let share = rest / (lengths.len() - index) as u64;
        if *length > share {
            return share.max(SHORTEST_CUT);
        }
        rest -= length;
    }
    u64::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn drawn(sizes: &[u64], room: u64) -> Vec<(u64, Shape)> {
        let pieces: Vec<(u64, bool)> = sizes.iter().map(|size| (*size, true)).collect();
        let scale = Scale::choose(&pieces, room);
        sizes.iter().map(|size| scale.draw(*size)).collect()
    }

    #[test]
    fn pieces_of_one_magnitude_are_all_true_and_as_large_as_fits() {
        let drawn = drawn(&[64 * MIB, 128 * MIB, 256 * MIB], 500);
        assert_eq!(
            drawn,
            [(64, Shape::True), (128, Shape::True), (256, Shape::True)]
        );
    }

    #[test]
    fn small_piece_beside_large_ones_is_enlarged_to_a_line() {
        let drawn = drawn(&[64 * MIB, 4096, 256 * MIB], 500);
        assert_eq!(drawn[1], (SHORTEST, Shape::Enlarged));
        assert_eq!((drawn[0].1, drawn[2].1), (Shape::True, Shape::True));
    }

    #[test]
    fn large_piece_beside_small_ones_is_cut() {
        let drawn = drawn(&[32 * MIB, 32 * MIB, 64 * MIB, 1 << 40], 400);
        assert_eq!(drawn[3].1, Shape::Cut);
        assert!(drawn[..3].iter().all(|one| one.1 == Shape::True));
        assert_eq!(drawn[2].0, 2 * drawn[0].0);
    }

    #[test]
    fn free_space_is_cut_before_an_owned_piece_is_enlarged() {
        let pieces = [(16 * MIB, true), (256 * MIB, true), (30 << 30, false)];
        let scale = Scale::choose(&pieces, 600);
        let shapes = pieces.map(|(size, _)| scale.draw(size).1);
        assert_eq!(shapes, [Shape::True, Shape::True, Shape::Cut]);
    }

    #[test]
    fn drawing_fits_its_room_when_there_is_room_for_lines() {
        let sizes: Vec<u64> = (0..20).map(|bit| 4096 << bit).collect();
        let total: u64 = drawn(&sizes, 1200).iter().map(|one| one.0).sum();
        assert!(total <= 1200, "{total}");
    }

    #[test]
    fn more_pieces_than_room_are_a_line_each() {
        let drawn = drawn(&[4096; 100], 50);
        assert!(
            drawn
                .iter()
                .all(|one| one.0 >= SHORTEST && one.0 <= SHORTEST_CUT)
        );
    }

    #[test]
    fn largest_and_empty_pieces_do_not_overflow() {
        let drawn = drawn(&[u64::MAX, 0, u64::MAX], 300);
        assert!(drawn.iter().all(|one| one.0 <= 300));
        assert_eq!(Scale::choose(&[], 0).bytes(u64::MAX), u64::MAX);
    }

    #[test]
    fn line_of_the_scale_stands_for_what_it_draws() {
        let scale = Scale::choose(&[(64 * MIB, true), (128 * MIB, true)], 200);
        let (pixels, shape) = scale.draw(64 * MIB);
        assert_eq!(shape, Shape::True);
        assert_eq!(scale.bytes(pixels), 64 * MIB);
    }
}
