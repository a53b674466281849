//! The handle to the board's GICv2.

use gic::phys::v2::GicV2;
use model::board::PhysicalGic;

use crate::SYSTEM;

/// Distributor, CPU interface and virtual interface control, as the device tree has them.
const FRAMES: [usize; 3] = match SYSTEM.board.gic {
    PhysicalGic::V2 {
        distributor,
        cpu,
        control,
        ..
    } => [
        distributor.get() as usize,
        cpu.get() as usize,
        control.get() as usize,
    ],
    PhysicalGic::V3 { .. } => unreachable!(),
};

#[inline(always)]
pub(super) fn driver() -> GicV2 {
    let [distributor, cpu, control] = FRAMES;
    // SAFETY: `map` maps these frames where they are, for ever; `bring_up` has compared them with the board's device tree.
    unsafe { GicV2::new(distributor, cpu, control) }
}
