//! The rings of the trace, and whose the calling CPU's is.

use hv::arch::aarch64::boot::STACK_STRIDE;
use hv::arch::aarch64::el2::El2;
use hv::trace::Ring;

use crate::SYSTEM;
use crate::storage::{PCPUS, STACKS};

/// One for each pCPU.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "named for the assembly")]
pub static bulkhead_rings: [Ring; PCPUS] = [const { Ring::new() }; PCPUS];

/// The place of the calling pCPU in the system, told by the stack that it runs on: as few instructions as an event may take.
#[inline]
pub fn pcpu() -> usize {
    // An empty stack's pointer is just beyond it.
    let offset = (El2::stack() - 1).wrapping_sub(STACKS.as_ptr() as u64);
    let place = offset as usize / STACK_STRIDE;
    if place < PCPUS { place } else { by_affinity() }
}

/// The same while the boot CPU is on its other stack: until it enters its first guest.
#[cold]
fn by_affinity() -> usize {
    let own = El2::affinity();
    let mut pcpus = SYSTEM.pcpus.iter();
    pcpus.position(|pcpu| pcpu.mpidr == own).unwrap_or(PCPUS)
}
