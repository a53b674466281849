//! Resets itself as soon as it has started.
//!
//! That it is to go on with that is kept in memory that no image covers: a restart leaves it as it is.

use board::{Board, mmio, psci};
use vandal::report::Tally;

const MARK: u64 = 0x7265_7365_7421_7421;
/// From the end of the memory.
const PLACE: u64 = 0x1000;

fn mark(board: &Board) -> Option<u64> {
    Some(board.ram.first()?.end() - PLACE)
}

/// The attack.
pub fn reset(board: &'static Board, _: &mut Tally) {
    if let Some(address) = mark(board) {
        // SAFETY: the last page of the guest's RAM, which nothing uses.
        unsafe { mmio::write64(address, MARK) };
    }
    psci::system_reset()
}

/// Goes on if it was begun before the reset.
pub fn go_on(board: &'static Board) {
    // SAFETY: as in `reset`.
    if mark(board).is_some_and(|address| unsafe { mmio::read64(address) } == MARK) {
        psci::system_reset()
    }
}
