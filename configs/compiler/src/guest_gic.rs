//! Where a partition sees its interrupt controller: at the board's addresses, as large as what it may use.

use model::ids::IntId;

use crate::board::{Board, CPU_INTERFACE_SIZE, GicKind};
use crate::range::AddressRange;

/// Two frames of 64 KiB for each CPU (Arm IHI 0069H, section 12.10).
pub(crate) const REDISTRIBUTOR_STRIDE: u64 = 0x2_0000;

/// Every virtual distributor has at least this many SPIs.
const FEWEST_SPIS: u32 = 64;

/// The emulated distributor.
pub(crate) fn distributor(board: &Board) -> Option<AddressRange> {
    match &board.gic.kind {
        GicKind::V2 { distributor, .. } => AddressRange::new(*distributor, 0x1000),
        GicKind::V3 { distributor, .. } => AddressRange::new(*distributor, 0x1_0000),
    }
}

/// The CPU interface of a GICv2; a GICv3 has none in memory.
pub(crate) fn cpu_interface(board: &Board) -> Option<AddressRange> {
    match &board.gic.kind {
        GicKind::V2 { cpu, .. } => AddressRange::new(*cpu, CPU_INTERFACE_SIZE),
        GicKind::V3 { .. } => None,
    }
}

/// The emulated redistributors of a GICv3, one after another in one region.
pub(crate) fn redistributors(board: &Board, vcpus: u64) -> Option<AddressRange> {
    match &board.gic.kind {
        GicKind::V2 { .. } => None,
        GicKind::V3 { redistributors, .. } => AddressRange::new(
            redistributors.first()?.base,
            vcpus.checked_mul(REDISTRIBUTOR_STRIDE)?,
        ),
    }
}

/// SPIs of a virtual distributor: enough for the largest interrupt, at least 64, in steps of 32 (GICD_TYPER.ITLinesNumber).
pub(crate) fn spis(interrupts: impl Iterator<Item = IntId>) -> u16 {
    let needed = interrupts
        .map(|one| one.get().saturating_sub(IntId::FIRST_SPI) + 1)
        .max()
        .unwrap_or(0);
    // Every interrupt that a partition can have lies below `END_INTID`.
    needed.max(FEWEST_SPIS).next_multiple_of(32) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spis_are_rounded_up_to_steps_of_32() {
        assert_eq!(spis([].into_iter()), 64);
        assert_eq!(spis([IntId::new(33)].into_iter()), 64);
        assert_eq!(spis([IntId::new(95), IntId::new(96)].into_iter()), 96);
    }
}
