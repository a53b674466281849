//! The handle to the board's GICv2.

use gic::phys::v2::GicV2;
use model::board::PhysicalGic;

use crate::SYSTEM;

#[inline(always)]
pub(super) fn driver() -> GicV2 {
    const GIC: GicV2 = match SYSTEM.board.gic {
        PhysicalGic::V2 {
            distributor,
            cpu,
            control,
            ..
        } => {
            // SAFETY: `map` maps these frames where they are, for ever; `bring_up` has compared them with the board's device tree.
            unsafe {
                GicV2::new(
                    distributor.get() as usize,
                    cpu.get() as usize,
                    control.get() as usize,
                )
            }
        }
        PhysicalGic::V3 { .. } => unreachable!(),
    };
    GIC
}
