//! What a self-check asks of a GICv3.

use super::{GicV3, sysreg};
use crate::probe::Probe;

/// `ICH_VMCR_EL2`: group 1 is on, and every priority comes through (12.4.7).
const OPEN: u64 = 0xff << 24 | 1 << 1;

impl Probe for GicV3 {
    fn peripheral_id2(&self) -> usize {
        0xffe8
    }

    fn signals_group1(&self) -> bool {
        true
    }

    fn distributor(&self, offset: usize) -> u32 {
        self.distributor.read(offset)
    }

    fn open(&self) {
        sysreg::ich_vmcr::write(OPEN);
        sysreg::synchronize();
    }
}
