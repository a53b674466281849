//! What a self-check asks of a GICv2.

use super::{GicV2, gich};
use crate::probe::Probe;

/// `GICH_VMCR`: group 0 is on, and every priority comes through (5.3.7).
const OPEN: u32 = 0x1f << 27 | 1;

impl Probe for GicV2 {
    fn peripheral_id2(&self) -> usize {
        0xfe8
    }

    fn signals_group1(&self) -> bool {
        false
    }

    fn distributor(&self, offset: usize) -> u32 {
        self.distributor.read(offset)
    }

    fn open(&self) {
        self.control.write(gich::VMCR, OPEN);
    }
}
