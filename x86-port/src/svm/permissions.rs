//! The maps that say which MSRs and I/O ports of a guest exit (AMD APM volume 2, 15.10 and 15.11).

use crate::policy::msr::Map;

/// MSRs that exit: two bits each, read and write, for three ranges of 8,192 MSRs. Whatever lies outside these always exits.
#[repr(C, align(4096))]
pub struct MsrPermissions([u8; 0x2000]);

impl Map for MsrPermissions {
    const BLANK: Self = Self([0; 0x2000]);

    fn close(&mut self) {
        self.0.fill(0xff);
    }

    fn open(&mut self, index: u32, read: bool, write: bool) -> bool {
        let (base, offset) = match index {
            0..=0x1fff => (0, index),
            0xc000_0000..=0xc000_1fff => (0x800, index - 0xc000_0000),
            0xc001_0000..=0xc001_1fff => (0x1000, index - 0xc001_0000),
            _ => return false,
        };
        let mask = u8::from(read) | u8::from(write) << 1;
        let Some(byte) = self.0.get_mut(base + offset as usize / 4) else {
            return false;
        };
        *byte &= !(mask << (offset % 4 * 2));
        true
    }
}

#[cfg(test)]
impl MsrPermissions {
    fn closed() -> Self {
        let mut map = Self::BLANK;
        map.close();
        map
    }

    /// True when a read exits, and when a write does.
    fn exits(&self, index: u32) -> (bool, bool) {
        let (base, offset) = if index < 0x2000 {
            (0, index)
        } else {
            (0x800, index - 0xc000_0000)
        };
        let bits = self.0[base + offset as usize / 4] >> (offset % 4 * 2);
        (bits & 1 != 0, bits & 2 != 0)
    }
}

/// I/O ports that exit: a bit each, and one page more for accesses that reach past the last one.
#[repr(C, align(4096))]
pub struct IoPermissions([u8; 0x3000]);

impl IoPermissions {
    /// All exit: no partition drives a port of the machine.
    pub const fn closed() -> Self {
        Self([0xff; 0x3000])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opened_msr_alone_stops_exiting_the_way_it_was_opened() {
        let mut map = MsrPermissions::closed();
        assert!(map.open(0x80b, false, true));
        assert!(map.open(0xc000_0100, true, true));
        assert_eq!(map.exits(0x80b), (true, false));
        assert_eq!(map.exits(0xc000_0100), (false, false));
        assert_eq!(map.exits(0x80a), (true, true));
        assert_eq!(map.exits(0x80c), (true, true));
        assert_eq!(map.exits(0xc000_0101), (true, true));
    }

    #[test]
    fn msr_outside_the_map_cannot_be_opened() {
        assert!(!MsrPermissions::closed().open(0x4000_0000, true, true));
        assert!(!MsrPermissions::closed().open(0x2000, true, false));
    }
}
