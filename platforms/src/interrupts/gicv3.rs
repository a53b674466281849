//! The handle to the board's GICv3.

use gic::phys::v3::GicV3;
use model::board::PhysicalGic;

use crate::SYSTEM;

#[inline(always)]
pub(super) fn driver() -> GicV3 {
    const GIC: GicV3 = match SYSTEM.board.gic {
        PhysicalGic::V3 {
            distributor,
            redistributors,
            stride,
        } => {
            // SAFETY: `map` maps these frames where they are, for ever; `bring_up` has compared them with the board's device tree.
            unsafe { GicV3::new(distributor.get() as usize, redistributors, stride) }
        }
    };
    GIC
}
