//! Defects of the hypervisor on demand: tests look at what follows one. Only an image that is built with the feature `defect` has them.

use core::hint::black_box;

/// An address that the hypervisor's own map never has: it lies above the memory of any machine.
const NOWHERE: usize = 0x7fff_0000_0000;

/// Fails as a guest asks for.
#[allow(clippy::panic, reason = "that is what was asked for")]
pub fn fail(kind: u64) {
    match kind {
        0 => panic!("a guest asked for it"),
        1 => {
            // SAFETY: none: the load takes a page fault, and does not return.
            unsafe { (NOWHERE as *const u64).read_volatile() };
        }
        _ => {
            exhaust(1);
        }
    }
}

/// Calls itself until the stack is used up.
#[allow(unconditional_recursion, reason = "that is what was asked for")]
fn exhaust(depth: u64) -> u64 {
    let frame = black_box([depth; 32]);
    exhaust(depth + 1) + black_box(&frame).iter().sum::<u64>()
}
