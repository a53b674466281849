//! The bitmap that says which MSRs of a guest exit (Intel SDM volume 3, 25.6.9).

use crate::policy::msr::Map;

/// A bit each for 8,192 low and 8,192 high MSRs, for reads and then for writes. Whatever lies outside always exits.
#[repr(C, align(4096))]
pub struct MsrBitmap([u8; 0x1000]);

impl Map for MsrBitmap {
    const BLANK: Self = Self([0; 0x1000]);

    fn close(&mut self) {
        self.0.fill(0xff);
    }

    fn open(&mut self, index: u32, read: bool, write: bool) -> bool {
        let base = match index {
            0..=0x1fff => 0,
            0xc000_0000..=0xc000_1fff => 0x400,
            _ => return false,
        };
        let (byte, bit) = ((index as usize & 0x1fff) / 8, index % 8);
        for (open, half) in [(read, 0), (write, 0x800)] {
            if let Some(byte) = self.0.get_mut(base + half + byte).filter(|_| open) {
                *byte &= !(1 << bit);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use model::x86::cpu::CpuPolicy;

    use super::*;
    use crate::policy::msr;

    fn closed() -> MsrBitmap {
        let mut bitmap = MsrBitmap::BLANK;
        bitmap.close();
        bitmap
    }

    /// True when a read exits, and when a write does.
    fn exits(bitmap: &MsrBitmap, index: u32) -> (bool, bool) {
        let base = if index < 0x2000 { 0 } else { 0x400 };
        let bit = |half: usize| {
            let byte = bitmap.0[base + half + (index as usize & 0x1fff) / 8];
            byte >> (index % 8) & 1 != 0
        };
        (bit(0), bit(0x800))
    }

    #[test]
    fn opened_msr_alone_stops_exiting_the_way_it_was_opened() {
        let mut bitmap = closed();
        assert!(bitmap.open(0x80b, false, true));
        assert!(bitmap.open(0xc000_0100, true, true));
        assert_eq!(exits(&bitmap, 0x80b), (true, false));
        assert_eq!(exits(&bitmap, 0xc000_0100), (false, false));
        for closed in [0x80a, 0x80c, 0xc000_0101, 0x100] {
            assert_eq!(exits(&bitmap, closed), (true, true), "{closed:#x}");
        }
    }

    #[test]
    fn msr_outside_the_bitmap_cannot_be_opened() {
        assert!(!closed().open(0x2000, true, true));
        assert!(!closed().open(0xc001_0015, true, true));
    }

    #[test]
    fn everything_that_the_policy_passes_through_can_be_opened() {
        let mut bitmap = MsrBitmap::BLANK;
        assert_eq!(msr::fill(&mut bitmap, &CpuPolicy::FULL, false), Ok(()));
        assert_eq!(exits(&bitmap, 0x838), (false, false));
        assert_eq!(exits(&bitmap, msr::ICR), (true, true));
    }
}
