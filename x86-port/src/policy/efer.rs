//! The extended feature enable register: what a guest may set.

/// Fast system calls.
const SCE: u64 = 1 << 0;
/// Long mode enabled.
const LME: u64 = 1 << 8;
/// Long mode active.
const LMA: u64 = 1 << 10;
/// No-execute.
const NXE: u64 = 1 << 11;
/// Fast FXSAVE, which Intel's CPUs lack.
const FFXSR: u64 = 1 << 14;

/// What a guest may set on every CPU.
const GUEST: u64 = SCE | LME | NXE;
/// CR0.PG.
const PAGING: u64 = 1 << 31;

/// What of a guest's write takes effect, with `cr0` as it is, on a CPU that has FFXSR or not. `None`: it is a #GP.
pub const fn write(old: u64, value: u64, cr0: u64, has_ffxsr: bool) -> Option<u64> {
    let allowed = if has_ffxsr { GUEST | FFXSR } else { GUEST };
    // Long mode cannot be switched while paging is on (AMD APM volume 2, 14.6.1).
    let switches = (old ^ value) & LME != 0 && cr0 & PAGING != 0;
    if value & !(allowed | LMA) != 0 || switches {
        return None;
    }
    Some(value & allowed | old & LMA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_guests_have_not_is_refused() {
        assert_eq!(write(0, LME | NXE, 0, false), Some(LME | NXE));
        assert_eq!(write(0, 1 << 12, 0, true), None);
        assert_eq!(write(0, 1 << 15, 0, true), None);
        assert_eq!(write(0, FFXSR, 0, false), None);
        assert_eq!(write(0, FFXSR, 0, true), Some(FFXSR));
    }

    #[test]
    fn long_mode_is_not_switched_under_paging() {
        let old = LME | LMA;
        assert_eq!(write(old, NXE, PAGING, true), None);
        let kept = write(old, LME | SCE, PAGING, true);
        assert_eq!(kept, Some(old | SCE));
    }
}
