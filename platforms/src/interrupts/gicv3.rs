//! The handle to the board's GICv3.

use gic::phys::v3::GicV3;
use model::board::PhysicalGic;
use model::memory::PhysicalRange;

use crate::SYSTEM;

/// Distributor and redistributor regions, as the device tree has them.
const FRAMES: (usize, &[PhysicalRange]) = match SYSTEM.board.gic {
    PhysicalGic::V3 {
        distributor,
        redistributors,
    } => (distributor.get() as usize, redistributors),
    PhysicalGic::V2 { .. } => unreachable!(),
};

#[inline(always)]
pub(super) fn driver() -> GicV3 {
    let (distributor, redistributors) = FRAMES;
    // SAFETY: `map` maps these frames where they are, for ever; `bring_up` has compared them with the board's device tree.
    unsafe { GicV3::new(distributor, redistributors) }
}
