//! Maintenance that the architecture sends to all CPUs (Arm ARM D8.17, D7.5): translations, instruction caches, the own memory by address.

use core::arch::asm;

static OWN: u64 = 0;

/// Turns of a loop from one to the next: an emulator translates everything anew after each, and would not come to anything else.
const PAUSE: u32 = 1_000;

/// A thousand of each.
pub fn maintain() {
    for _ in 0..1_000 {
        // SAFETY: maintenance changes no content that this CPU sees; translations are walked again.
        unsafe {
            asm!(
                "tlbi vmalle1is",
                "tlbi aside1is, xzr",
                "tlbi vaae1is, xzr",
                "ic ialluis",
                "dsb ish",
                "isb",
                "dc civac, {own}",
                "dsb sy",
                own = in(reg) &raw const OWN,
                options(nostack)
            );
        }
        (0..PAUSE).for_each(|_| core::hint::spin_loop());
    }
}
