//! The interrupt controller that a partition sees: which architecture version, and where. Its frames are at the board's addresses, as large
//! as what the partition may use.

use model::ids::IntId;

use crate::board::{Board, CPU_INTERFACE_SIZE, GicKind};
use crate::range::AddressRange;
use crate::raw::GicVersion;

/// Two frames of 64 KiB for each CPU (Arm IHI 0069H, section 12.10).
pub(crate) const REDISTRIBUTOR_STRIDE: u64 = 0x2_0000;

/// Every virtual distributor has at least this many SPIs.
const FEWEST_SPIS: u32 = 64;

/// Bases of the frames that a partition sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GuestGic {
    /// The CPU interface is the hardware's virtual one, or emulated.
    V2 {
        distributor: u64,
        cpu: u64,
        cpu_emulated: bool,
    },
    V3 {
        distributor: u64,
        redistributors: u64,
    },
}

impl GuestGic {
    /// What a partition sees that asks for `version`; without one the board's.
    pub fn of(board: &Board, version: Option<GicVersion>) -> Self {
        match &board.gic.kind {
            // A newer version than the board's is reported by the rules.
            GicKind::V2 {
                distributor, cpu, ..
            } => Self::V2 {
                distributor: *distributor,
                cpu: *cpu,
                cpu_emulated: false,
            },
            GicKind::V3 {
                distributor,
                redistributors,
                ..
            } => {
                let (distributor, second) = (
                    *distributor,
                    redistributors.first().map_or(0, |one| one.base),
                );
                match version {
                    // Where the redistributors would be, nothing else is.
                    Some(GicVersion::V2) => Self::V2 {
                        distributor,
                        cpu: second,
                        cpu_emulated: true,
                    },
                    Some(GicVersion::V3) | None => Self::V3 {
                        distributor,
                        redistributors: second,
                    },
                }
            }
        }
    }

    /// The emulated distributor.
    pub fn distributor(&self) -> Option<AddressRange> {
        match self {
            Self::V2 { distributor, .. } => AddressRange::new(*distributor, 0x1000),
            Self::V3 { distributor, .. } => AddressRange::new(*distributor, 0x1_0000),
        }
    }

    /// The CPU interface of a GICv2; a GICv3 has none in memory.
    pub fn cpu_interface(&self) -> Option<AddressRange> {
        match self {
            Self::V2 { cpu, .. } => AddressRange::new(*cpu, CPU_INTERFACE_SIZE),
            Self::V3 { .. } => None,
        }
    }

    /// The emulated redistributors of a GICv3, one after another in one region.
    pub fn redistributors(&self, vcpus: u64) -> Option<AddressRange> {
        match self {
            Self::V2 { .. } => None,
            Self::V3 { redistributors, .. } => {
                AddressRange::new(*redistributors, vcpus.checked_mul(REDISTRIBUTOR_STRIDE)?)
            }
        }
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
