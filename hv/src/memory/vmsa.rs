//! What the stages of VMSAv8-64 have in common with the 4 KiB granule: the parts of descriptors (Arm ARM D8.3) and of the registers that control walks.

use model::Pa;

use super::format::{ADDRESS, Level};

const VALID: u64 = 1 << 0;
/// At levels 0 to 2 a table rather than a block; at level 3 set in every page.
const TABLE_OR_PAGE: u64 = 1 << 1;
/// SH, bits 9:8. Ignored for Device memory, which is always outer shareable.
pub(super) const INNER_SHAREABLE: u64 = 0b11 << 8;
/// AF: set, or the first access would fault.
const ACCESSED: u64 = 1 << 10;
/// XN; for stage 2 XN[1].
pub(super) const EXECUTE_NEVER: u64 = 1 << 54;

/// The descriptor that maps memory at `pa` with these attributes.
pub(super) const fn leaf(level: Level, pa: Pa, attributes: u64) -> u64 {
    let page = if matches!(level, Level::L3) {
        TABLE_OR_PAGE
    } else {
        0
    };
    pa.get() & ADDRESS | attributes | ACCESSED | page | VALID
}

/// The descriptor that points to the next table.
pub(super) const fn table(pa: Pa) -> u64 {
    pa.get() & ADDRESS | TABLE_OR_PAGE | VALID
}

/// `TCR_EL2` and `VTCR_EL2`: RES1, walks inner shareable and write-back cacheable, physical addresses as wide as `ID_AA64MMFR0_EL1.PARange` says, or 48 bits
/// where the CPU has more, which the 4 KiB granule reaches only with FEAT_LPA2.
pub(super) const fn control(pa_range: u64) -> u64 {
    const INNER_WRITE_BACK: u64 = 1 << 8;
    const OUTER_WRITE_BACK: u64 = 1 << 10;
    const SHAREABLE: u64 = 0b11 << 12;
    const RES1: u64 = 1 << 31;
    let physical_size = if pa_range < 5 { pa_range } else { 5 };
    RES1 | physical_size << 16 | SHAREABLE | OUTER_WRITE_BACK | INNER_WRITE_BACK
}
