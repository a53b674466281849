//! The extended feature enable register: what a guest may set.

/// Fast system calls.
const SCE: u64 = 1 << 0;
/// Long mode enabled.
const LME: u64 = 1 << 8;
/// Long mode active.
const LMA: u64 = 1 << 10;
/// No-execute.
const NXE: u64 = 1 << 11;
/// Fast FXSAVE.
const FFXSR: u64 = 1 << 14;

/// What a guest may set.
const GUEST: u64 = SCE | LME | NXE | FFXSR;
/// CR0.PG.
const PAGING: u64 = 1 << 31;

/// What of a guest's write takes effect, with `cr0` as it is. `None`: it is a #GP.
pub const fn write(old: u64, value: u64, cr0: u64) -> Option<u64> {
    // Long mode cannot be switched while paging is on (AMD APM volume 2, 14.6.1).
    let switches = (old ^ value) & LME != 0 && cr0 & PAGING != 0;
    if value & !(GUEST | LMA) != 0 || switches {
        return None;
    }
    Some(value & GUEST | old & LMA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_guests_have_not_is_refused() {
        assert_eq!(write(0, LME | NXE, 0), Some(LME | NXE));
        assert_eq!(write(0, 1 << 12, 0), None);
        assert_eq!(write(0, 1 << 15, 0), None);
    }

    #[test]
    fn long_mode_is_not_switched_under_paging() {
        let old = LME | LMA;
        assert_eq!(write(old, NXE, PAGING), None);
        let kept = write(old, LME | SCE, PAGING);
        assert_eq!(kept, Some(old | SCE));
    }
}
