//! The state of interrupts, as Non-secure software sees it where there are two Security states (IHI 0048B 3.7, IHI 0069H 4.8.5): firmware keeps
//! some for itself, which read as zero and ignore writes.

use super::{NOTHING, WIDTH};

/// What firmware keeps: SGIs 8 to 15 and the Secure timer.
const SECURE: u32 = 0xff00 | 1 << 29;

/// Interrupts in groups of 32: one group of private ones for each CPU, or the shared ones.
pub(crate) struct Lines {
    enabled: Vec<u32>,
    pending: Vec<u32>,
    active: Vec<u32>,
    priority: Vec<u8>,
    edge: Vec<u32>,
    /// The first group is of private interrupts.
    private: bool,
}

/// Arrays of registers that both versions of the GIC have at the same offsets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Array {
    Group,
    SetEnable,
    ClearEnable,
    SetPending,
    ClearPending,
    SetActive,
    ClearActive,
    Priority,
    Configuration,
}

impl Array {
    /// The array at an offset, and the byte in it.
    fn at(offset: u64) -> Option<(Self, usize)> {
        Some(match offset {
            0x080..0x100 => (Self::Group, offset as usize - 0x080),
            0x100..0x180 => (Self::SetEnable, offset as usize - 0x100),
            0x180..0x200 => (Self::ClearEnable, offset as usize - 0x180),
            0x200..0x280 => (Self::SetPending, offset as usize - 0x200),
            0x280..0x300 => (Self::ClearPending, offset as usize - 0x280),
            0x300..0x380 => (Self::SetActive, offset as usize - 0x300),
            0x380..0x400 => (Self::ClearActive, offset as usize - 0x380),
            0x400..0x800 => (Self::Priority, offset as usize - 0x400),
            0xc00..0xd00 => (Self::Configuration, offset as usize - 0xc00),
            _ => return None,
        })
    }
}

impl Lines {
    /// `groups` groups, of which the first is private or is not there. Firmware has left an interrupt enabled, pending and active in each.
    pub(crate) fn new(groups: usize, private: bool) -> Self {
        Self {
            enabled: vec![1 << 20; groups],
            pending: vec![1 << 20; groups],
            active: vec![1 << 20; groups],
            priority: vec![0; groups * 32],
            edge: vec![0; groups * 2],
            private,
        }
    }

    /// What Non-secure software reaches of a group.
    fn mask(&self, group: usize) -> u32 {
        if group == 0 && self.private {
            !SECURE
        } else {
            u32::MAX
        }
    }

    /// Interrupts that are enabled, pending or active in a group.
    #[cfg(test)]
    pub(crate) fn busy(&self, group: usize) -> [u32; 3] {
        [self.enabled[group], self.pending[group], self.active[group]]
    }

    pub(crate) fn read(&self, offset: u64, size: usize) -> Result<u64, &'static str> {
        let (array, byte) = Array::at(offset).ok_or(NOTHING)?;
        if array == Array::Priority {
            return self.priorities(byte, size);
        }
        if size != 4 || !byte.is_multiple_of(4) {
            return Err(WIDTH);
        }
        let word = byte / 4;
        let bits = match array {
            Array::SetEnable | Array::ClearEnable => self.enabled.get(word),
            Array::SetPending | Array::ClearPending => self.pending.get(word),
            Array::SetActive | Array::ClearActive => self.active.get(word),
            Array::Configuration => return Ok(self.edge.get(word).copied().unwrap_or(0).into()),
            // IGROUPR reads as zero from the Non-secure side.
            Array::Group | Array::Priority => return Ok(0),
        };
        Ok((bits.copied().unwrap_or(0) & self.mask(word)).into())
    }

    fn priorities(&self, byte: usize, size: usize) -> Result<u64, &'static str> {
        if !matches!(size, 1 | 4) || !byte.is_multiple_of(size) {
            return Err(WIDTH);
        }
        let one = |at: usize| self.priority.get(at).copied().unwrap_or(0);
        Ok((0..size).fold(0, |all, at| all | u64::from(one(byte + at)) << (8 * at)))
    }

    pub(crate) fn write(
        &mut self,
        offset: u64,
        size: usize,
        value: u64,
    ) -> Result<(), &'static str> {
        let (array, byte) = Array::at(offset).ok_or(NOTHING)?;
        if array == Array::Priority {
            return self.set_priorities(byte, size, value);
        }
        if size != 4 || !byte.is_multiple_of(4) {
            return Err(WIDTH);
        }
        let word = byte / 4;
        let (place, set) = match array {
            Array::SetEnable => (self.enabled.get_mut(word), true),
            Array::ClearEnable => (self.enabled.get_mut(word), false),
            Array::SetPending => (self.pending.get_mut(word), true),
            Array::ClearPending => (self.pending.get_mut(word), false),
            Array::SetActive => (self.active.get_mut(word), true),
            Array::ClearActive => (self.active.get_mut(word), false),
            Array::Configuration => {
                if self.private && word == 0 {
                    return Err("SGIs cannot be configured");
                }
                if let Some(place) = self.edge.get_mut(word) {
                    *place = value as u32 & 0xaaaa_aaaa;
                }
                return Ok(());
            }
            Array::Group | Array::Priority => return Ok(()),
        };
        let bits = value as u32
            & if word == 0 && self.private {
                !SECURE
            } else {
                u32::MAX
            };
        if let Some(place) = place {
            *place = if set { *place | bits } else { *place & !bits };
        }
        Ok(())
    }

    fn set_priorities(&mut self, byte: usize, size: usize, value: u64) -> Result<(), &'static str> {
        if !matches!(size, 1 | 4) || !byte.is_multiple_of(size) {
            return Err(WIDTH);
        }
        for at in 0..size {
            let number = byte + at;
            let reached = self.mask(number / 32) >> (number % 32) & 1 != 0;
            if let Some(place) = self.priority.get_mut(number).filter(|_| reached) {
                // Five bits of priority, of which the Non-secure side sees the lower half.
                *place = (value >> (8 * at)) as u8 & 0xf0;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupts_that_firmware_keeps_read_as_zero_and_ignore_writes() {
        let mut lines = Lines::new(1, true);
        lines.write(0x100, 4, 0xffff_ffff).unwrap();
        lines.write(0x408, 4, 0xa0a0_a0a0).unwrap();
        assert_eq!(lines.read(0x100, 4), Ok(u64::from(!SECURE)));
        assert_eq!(lines.read(0x408, 4), Ok(0));
    }

    #[test]
    fn what_firmware_left_goes_when_it_is_cleared() {
        let mut lines = Lines::new(2, false);
        for array in [0x180, 0x280, 0x380] {
            lines.write(array + 4, 4, 0xffff_ffff).unwrap();
        }
        assert_eq!(lines.busy(1), [0; 3]);
        assert_eq!(lines.busy(0), [1 << 20; 3]);
    }

    #[test]
    fn access_of_another_width_or_between_the_registers_is_refused() {
        let mut lines = Lines::new(2, false);
        assert_eq!(lines.read(0x100, 8), Err(WIDTH));
        assert_eq!(lines.write(0x102, 4, 0), Err(WIDTH));
        assert_eq!(lines.read(0x900, 4), Err(NOTHING));
    }
}
