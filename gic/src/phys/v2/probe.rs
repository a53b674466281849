//! What a self-check asks of a GICv2.

use super::{GicV2, gicd, gich};
use crate::probe::Probe;
use crate::{ListRegister, ListRegisters, LrState};
use model::IntId;

/// `ICPIDR2` of the distributor.
const PERIPHERAL_ID2: usize = 0xfe8;
/// `GICH_VMCR`: group 0 is on, and every priority comes through (5.3.7).
const OPEN: u32 = 0x1f << 27 | 1;

impl Probe for GicV2 {
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
                state: LrState::Pending,
                ..ListRegister::EMPTY
            },
        );
        self.control.write(gich::VMCR, OPEN);
    }
}
