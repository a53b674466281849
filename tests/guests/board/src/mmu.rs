//! Stage 1: an identity map of the first 512 GiB; RAM is Normal memory, everything else Device and never executable.
//!
//! The boot code builds the tables; here they are changed. Only the GiB at the RAM base is split into 2 MiB blocks.

use core::arch::asm;

/// Bytes that a level-1 entry maps.
pub const LEVEL1_BLOCK: u64 = 1 << 30;
/// Bytes that a level-2 entry maps.
pub const LEVEL2_BLOCK: u64 = 2 << 20;
/// Entries of either table.
pub const ENTRIES: u64 = 512;
/// Where the GiB begins that the level-2 table maps.
pub const SPLIT_BASE: u64 = 0x4000_0000;

/// Valid block, AF, AttrIndx 0 (Normal), inner shareable (Arm ARM D8.3): readable, writable and executable at EL1.
pub const NORMAL: u64 = 0x701;
/// Valid block, AF, AttrIndx 1 (Device-nGnRE), never executable.
pub const DEVICE: u64 = 0x0060_0000_0000_0405;

unsafe extern "C" {
    #[link_name = "__level1_table"]
    static LEVEL1: u8;
    #[link_name = "__level2_table"]
    static LEVEL2: u8;
}

/// Maps `base .. base + size`, rounded outwards to 2 MiB, as Normal memory. RAM beyond the GiB at the RAM base is mapped by
/// whole GiB.
///
/// # Safety
/// The range, rounded, holds no device registers that the guest uses.
pub unsafe fn map_ram(base: u64, size: u64) {
    let end = base.saturating_add(size);
    let mut block = base & !(LEVEL2_BLOCK - 1);
    while block < end {
        // SAFETY: the caller vouches that no registers are there, and all addresses stay what they are.
        unsafe {
            if let Some(index) = level2_index(block) {
                set_level2(index, block | NORMAL);
                block += LEVEL2_BLOCK;
            } else {
                block &= !(LEVEL1_BLOCK - 1);
                set_level1(block / LEVEL1_BLOCK, block | NORMAL);
                block += LEVEL1_BLOCK;
            }
        }
    }
}

/// The level-2 entry that maps `address`, if the level-2 table does.
pub fn level2_index(address: u64) -> Option<u64> {
    let offset = address.checked_sub(SPLIT_BASE)?;
    (offset < LEVEL1_BLOCK).then_some(offset / LEVEL2_BLOCK)
}

/// Sets the level-1 entry `index` (0 to 511; others are ignored), which maps `index` GiB and up.
///
/// # Safety
/// The entry's range, as it was and as it becomes, holds nothing that Rust uses, or keeps its address and is RAM.
pub unsafe fn set_level1(index: u64, descriptor: u64) {
    if index < ENTRIES {
        // SAFETY: the index lies in the table.
        unsafe { replace((&raw const LEVEL1) as u64 + index * 8, descriptor) }
    }
}

/// Sets the level-2 entry `index` (0 to 511; others are ignored), which maps [`SPLIT_BASE`] + `index` * 2 MiB and up.
///
/// # Safety
/// As for [`set_level1`].
pub unsafe fn set_level2(index: u64, descriptor: u64) {
    if index < ENTRIES {
        // SAFETY: the index lies in the table.
        unsafe { replace((&raw const LEVEL2) as u64 + index * 8, descriptor) }
    }
}

/// Replaces one entry by break-before-make (Arm ARM D8.17). An entry that does not change is left alone, so the block that
/// this code runs from is never broken.
///
/// # Safety
/// `entry` is the address of an entry, and its range is as [`set_level1`] says.
unsafe fn replace(entry: u64, descriptor: u64) {
    // SAFETY: the caller vouches for the entry; nothing is accessed through it while it is invalid.
    unsafe {
        asm!(
            "ldr {old}, [{entry}]",
            "cmp {old}, {new}",
            "b.eq 2f",
            "str xzr, [{entry}]",
            "dsb ishst",
            "tlbi vmalle1is",
            "dsb ish",
            "isb",
            "str {new}, [{entry}]",
            "dsb ishst",
            "isb",
            "2:",
            old = out(reg) _,
            entry = in(reg) entry,
            new = in(reg) descriptor,
            options(nostack)
        );
    }
}
