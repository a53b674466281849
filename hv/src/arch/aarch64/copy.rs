//! Moving a partition's image: tens of megabytes at each start, so 64 bytes a turn rather than the compiler's 8.

/// Copies `size` bytes from `from` to `to`.
///
/// # Safety
/// Both ranges are mapped as Normal memory, `to` for writing; they do not overlap, and nobody else accesses `to` meanwhile.
pub unsafe fn copy(from: u64, to: u64, size: u64) {
    let blocks = size / 64 * 64;
    // SAFETY: the caller's guarantee; Normal memory allows unaligned accesses (SCTLR_EL2.A is 0).
    unsafe {
        core::arch::asm!(
            "cbz    {left}, 2f",
            "1:",
            "ldp    {a}, {b}, [{from}]",
            "ldp    {c}, {d}, [{from}, #16]",
            "stp    {a}, {b}, [{to}]",
            "stp    {c}, {d}, [{to}, #16]",
            "ldp    {a}, {b}, [{from}, #32]",
            "ldp    {c}, {d}, [{from}, #48]",
            "stp    {a}, {b}, [{to}, #32]",
            "stp    {c}, {d}, [{to}, #48]",
            "add    {from}, {from}, #64",
            "add    {to}, {to}, #64",
            "subs   {left}, {left}, #64",
            "b.ne   1b",
            "2:",
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            left = inout(reg) blocks => _,
            a = out(reg) _,
            b = out(reg) _,
            c = out(reg) _,
            d = out(reg) _,
            options(nostack)
        );
        core::ptr::copy_nonoverlapping(
            (from + blocks) as *const u8,
            (to + blocks) as *mut u8,
            (size - blocks) as usize,
        );
    }
}

/// Fills `size` bytes from `to` with zeros, whole blocks with `DC ZVA` where the CPU has it.
///
/// # Safety
/// The range is mapped as Normal memory for writing, and nobody else accesses it meanwhile.
pub unsafe fn zero(to: u64, size: u64) {
    // DCZID_EL0 (Arm ARM D19.2.36): DZP, bit 4, forbids; BS, bits 3:0, is log2 of the block in words.
    let dczid = super::registers::read_register!("dczid_el0");
    let block = 4u64 << (dczid & 0xf);
    let first = to.next_multiple_of(block);
    let last = (to + size) & !(block - 1);
    // SAFETY: the caller's guarantee; every address is within the range.
    unsafe {
        if dczid & 1 << 4 != 0 || first >= last {
            core::ptr::write_bytes(to as *mut u8, 0, size as usize);
            return;
        }
        core::ptr::write_bytes(to as *mut u8, 0, (first - to) as usize);
        let mut at = first;
        while at < last {
            core::arch::asm!("dc zva, {}", in(reg) at, options(nostack, preserves_flags));
            at += block;
        }
        core::ptr::write_bytes(last as *mut u8, 0, (to + size - last) as usize);
    }
}
