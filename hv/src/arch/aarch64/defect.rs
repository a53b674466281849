//! Defects of the hypervisor on demand: tests look at what follows one. Only an image that is built with the feature `defect` has them.

use core::hint::black_box;

/// The call that asks for a defect, in the range of vendor-specific hypervisor services; x1 says which.
const DEFECT: u32 = 0xc600_dead;

/// An address that the hypervisor's own map never has: it lies between the devices and memory of any board and the image.
const NOWHERE: usize = 0x7fff_0000_0000;

/// Fails as a guest asks for. False when this is no such call; true never.
#[allow(clippy::panic, reason = "that is what was asked for")]
pub(super) fn is_asked_for(x0: u64, x1: u64) -> bool {
    if x0 as u32 != DEFECT {
        return false;
    }
    match x1 {
        0 => panic!("a guest asked for it"),
        1 => {
            // SAFETY: none: the load takes a data abort, and does not return.
            unsafe { (NOWHERE as *const u64).read_volatile() };
            true
        }
        2 => exhaust(1) == 0,
        _ => false,
    }
}

/// Calls itself until the stack is used up.
#[allow(unconditional_recursion, reason = "that is what was asked for")]
fn exhaust(depth: u64) -> u64 {
    let frame = black_box([depth; 32]);
    exhaust(depth + 1) + black_box(&frame).iter().sum::<u64>()
}
