//! What a self-check asks of a GICv3.

use super::{GicV3, gicd, sysreg};
use crate::probe::Probe;
use crate::{ListRegister, ListRegisters, LrState};
use model::IntId;

/// `GICD_PIDR2`.
const PERIPHERAL_ID2: usize = 0xffe8;
/// `ICH_VMCR_EL2`: group 1 is on, and every priority comes through (12.4.7).
const OPEN: u64 = 0xff << 24 | 1 << 1;

impl Probe for GicV3 {
    fn architecture(&self) -> u32 {
        self.distributor.read(PERIPHERAL_ID2) >> 4 & 0xf
    }

    fn interrupts(&self) -> u32 {
        ((self.distributor.read(gicd::TYPER) & 0x1f) + 1) * 32
    }

    fn signal_one(&self) {
        self.write(
            0,
            ListRegister {
                virtual_id: IntId::new(32),
                group1: true,
                state: LrState::Pending,
                ..ListRegister::EMPTY
            },
        );
        sysreg::ich_vmcr::write(OPEN);
        sysreg::synchronize();
    }
}
