//! Where partitions' memory goes in the board's RAM. The same input always gives the same places.

use crate::board::Board;
use crate::range::{AddressRange, align_up, human_size};

/// Partitions begin at multiples of 2 MiB, so that blocks of that size map them.
const ALIGNMENT: u64 = 2 << 20;
/// From this size on a place that allows blocks of 1 GiB is preferred.
const GIB: u64 = 1 << 30;
/// Room for the hypervisor itself: its code, data, stacks and tables.
const HYPERVISOR_ROOM: u64 = 4 << 20;
/// How many holes an error shows.
const HOLES_SHOWN: usize = 3;

/// Why there is no place.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error("the image with a payload of {} does not fit the board's memory at its load address", human_size(*.payload))]
    Image { payload: u64 },
    #[error("there is no room for it in the board's memory")]
    Partition {
        /// Which one.
        index: usize,
        /// The largest holes left when it was its turn, largest first.
        holes: Vec<AddressRange>,
    },
}

/// The room kept for the hypervisor's image: from the start of its memory bank up to the end of the payload, as firmware may use
/// what lies below the image.
pub(crate) fn image_room(board: &Board, payload: u64) -> Result<AddressRange, PlaceError> {
    let bank = board
        .memory
        .banks
        .iter()
        .find(|bank| (bank.base..bank.end()).contains(&board.load));
    let end = payload
        .checked_add(HYPERVISOR_ROOM)
        .and_then(|size| board.load.checked_add(size));
    let end = end.and_then(|end| align_up(end, ALIGNMENT));
    let room = bank.zip(end).and_then(|(bank, end)| {
        AddressRange::between(bank.base, end).filter(|room| bank.contains(*room))
    });
    room.ok_or(PlaceError::Image { payload })
}

/// Physical bases for memories of these `sizes`, all of which begin at the intermediate address `ipa`.
///
/// Larger ones go first, each to the lowest place where it fits.
pub(crate) fn place(
    board: &Board,
    image: AddressRange,
    ipa: u64,
    sizes: &[u64],
) -> Result<Vec<u64>, PlaceError> {
    let mut holes = board.memory.banks.clone();
    take(&mut holes, image);
    for (reserved, _) in &board.memory.reserved {
        take(&mut holes, *reserved);
    }
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(sizes[*index]));
    let mut bases = vec![0; sizes.len()];
    for index in order {
        let size = sizes[index];
        let range = find(&holes, ipa, size).ok_or_else(|| PlaceError::Partition {
            index,
            holes: largest(&holes),
        })?;
        take(&mut holes, range);
        bases[index] = range.base;
    }
    Ok(bases)
}

fn find(holes: &[AddressRange], ipa: u64, size: u64) -> Option<AddressRange> {
    let congruent = |granule: u64| {
        let fit = |hole: &AddressRange| {
            let offset = ipa & (granule - 1);
            let base = align_up(hole.base.saturating_sub(offset), granule)?.checked_add(offset)?;
            AddressRange::new(base, size).filter(|range| hole.contains(*range))
        };
        holes.iter().find_map(fit)
    };
    let large = if size >= GIB { congruent(GIB) } else { None };
    large.or_else(|| congruent(ALIGNMENT))
}

fn take(holes: &mut Vec<AddressRange>, range: AddressRange) {
    *holes = holes.iter().flat_map(|hole| hole.without(range)).collect();
}

fn largest(holes: &[AddressRange]) -> Vec<AddressRange> {
    let aligned =
        |hole: &AddressRange| AddressRange::between(align_up(hole.base, ALIGNMENT)?, hole.end());
    let mut holes: Vec<AddressRange> = holes.iter().filter_map(aligned).collect();
    holes.sort_by_key(|hole| std::cmp::Reverse(hole.size));
    holes.truncate(HOLES_SHOWN);
    holes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Gic, board, virt};

    const MIB: u64 = 1 << 20;
    const BASE: u64 = 0x4000_0000;

    #[test]
    fn image_room_reaches_from_the_ram_base_to_the_payloads_end() {
        let room = image_room(&board(virt(Gic::V3)), 40 * MIB + 1).unwrap();
        assert_eq!((room.base, room.size), (BASE, 48 * MIB));
    }

    #[test]
    fn payload_larger_than_memory_has_no_room() {
        assert!(image_room(&board(virt(Gic::V3)), 4 << 30).is_err());
    }

    #[test]
    fn larger_partitions_go_first_and_none_overlap() {
        let board = board(virt(Gic::V3));
        let image = image_room(&board, 0).unwrap();
        let sizes = [16 * MIB, 256 * MIB, 4096];
        let bases = place(&board, image, BASE, &sizes).unwrap();
        assert_eq!(bases, [BASE + 262 * MIB, BASE + 6 * MIB, BASE + 278 * MIB]);
    }

    #[test]
    fn gibibyte_is_placed_for_blocks_of_a_gibibyte() {
        let board = board(virt(Gic::V3));
        let image = image_room(&board, 0).unwrap();
        assert_eq!(place(&board, image, BASE, &[GIB]).unwrap(), [0x8000_0000]);
    }

    #[test]
    fn reserved_memory_is_left_alone() {
        let mut tree = virt(Gic::V3);
        tree.reservations
            .push(AddressRange::new(BASE + 6 * MIB, 4096).unwrap());
        let board = board(tree);
        let image = image_room(&board, 0).unwrap();
        assert_eq!(
            place(&board, image, BASE, &[MIB]).unwrap(),
            [BASE + 8 * MIB]
        );
    }

    #[test]
    fn too_much_memory_shows_the_largest_hole() {
        let board = board(virt(Gic::V3));
        let image = image_room(&board, 0).unwrap();
        let error = place(&board, image, BASE, &[MIB, 3 * GIB]).unwrap_err();
        let hole = AddressRange::between(BASE + 6 * MIB, 0xc000_0000).unwrap();
        assert_eq!(
            error,
            PlaceError::Partition {
                index: 1,
                holes: vec![hole]
            }
        );
    }
}
