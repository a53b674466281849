//! Extended SPIs of a GICv3.1: up to 1,024 more SPIs, with register arrays of their own in the distributor (Arm IHI 0069H, 2.2 and 12.9).

use super::super::mmio::{Frame, array};
use super::super::{FOUR_PRIORITIES, sysreg};
use super::gicd;
use crate::GicError;
use model::Mpidr;

/// `ICC_CTLR_EL1.ExtRange`: this CPU's interface takes interrupt numbers from 1024 to 8191 (12.2.6).
const EXTENDED_RANGE: u64 = 1 << 19;

/// Where the extended SPIs have what ordinary ones have in `ordinary`. `None`: nowhere.
pub(super) const fn array(ordinary: usize) -> Option<usize> {
    Some(match ordinary {
        array::IGROUPR => 0x1000,
        array::ISENABLER => 0x1200,
        array::ICENABLER => gicd::ICENABLER_EXTENDED,
        array::ISPENDR => 0x1600,
        array::ICPENDR => 0x1800,
        array::ICACTIVER => 0x1c00,
        array::IPRIORITYR => 0x2000,
        array::ICFGR => 0x3000,
        gicd::IROUTER => 0x8000,
        _ => return None,
    })
}

/// Brings `sets` of 32 extended SPIs, which are disabled, to where the ordinary ones are at the start: in group 1, neither pending nor active, at the same
/// priority, sent to `cpu`.
pub(super) fn init(gicd: &Frame<{ gicd::SIZE }>, sets: usize, cpu: Mpidr) {
    let arrays = [array::IGROUPR, array::ICPENDR, array::ICACTIVER];
    for array in arrays.into_iter().filter_map(array) {
        for set in 0..sets {
            gicd.write(array + set * 4, u32::MAX);
        }
    }
    let [priorities, routes] = [array::IPRIORITYR, gicd::IROUTER].map(array);
    for number in 0..sets * 32 {
        if let Some(priorities) = priorities.filter(|_| number.is_multiple_of(4)) {
            gicd.write(priorities + number, FOUR_PRIORITIES);
        }
        if let Some(routes) = routes {
            gicd.write64(routes + number * 8, cpu.get());
        }
    }
}

/// The calling CPU takes the numbers of extended SPIs, if there are any. Otherwise one that is sent to it would be UNPREDICTABLE (12.2.6).
pub(super) fn check_cpu(gicd: &Frame<{ gicd::SIZE }>, cpu: Mpidr) -> Result<(), GicError> {
    let sends = gicd.read(gicd::TYPER) & gicd::EXTENDED != 0;
    match sends && sysreg::icc_ctlr::read() & EXTENDED_RANGE == 0 {
        true => Err(GicError::ExtendedRangeMissing(cpu)),
        false => Ok(()),
    }
}
