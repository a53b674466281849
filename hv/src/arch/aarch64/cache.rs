//! Cache and TLB maintenance, and barriers.

use aarch64_cpu::asm::barrier;

/// Smallest data cache line of the machine in bytes: `CTR_EL0.DminLine` (Arm ARM D19.2.34).
fn line() -> u64 {
    4 << ((super::registers::read_register!("ctr_el0") >> 16) & 0xf)
}

/// Cleans and invalidates `[va, va + size)` to the point of coherency, so that an observer without caches sees what was written: a
/// guest that has not turned its MMU on, a CPU that is about to start.
pub fn clean(va: u64, size: u64) {
    let line = line();
    let mut address = va & !(line - 1);
    while address < va + size {
        // SAFETY: maintenance by address changes no data; the range is mapped, since it was just written.
        unsafe {
            core::arch::asm!("dc civac, {}", in(reg) address, options(nostack, preserves_flags));
        }
        address += line;
    }
    barrier::dsb(barrier::SY);
}

/// Translation tables that were written are seen by every CPU's table walks from here on.
pub fn publish_tables() {
    barrier::dsb(barrier::ISHST);
    barrier::isb(barrier::SY);
}

/// Forgets all instructions that any CPU has fetched: code was written.
pub fn forget_instructions() {
    // SAFETY: invalidating instruction caches changes no data.
    unsafe {
        core::arch::asm!(
            "ic ialluis",
            "dsb ish",
            "isb",
            options(nostack, preserves_flags)
        );
    }
}

/// Forgets all translations of the partition whose VTTBR_EL2 is loaded on this CPU, on all CPUs, both stages.
pub fn forget_translations() {
    // SAFETY: invalidating TLBs changes no data; entries are fetched again from the tables.
    unsafe {
        core::arch::asm!(
            "dsb ishst",
            "tlbi vmalls12e1is",
            "dsb ish",
            "isb",
            options(nostack, preserves_flags)
        );
    }
}
