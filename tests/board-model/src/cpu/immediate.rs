//! Data processing with an immediate operand (Arm ARM C4.1.92).

use super::{Cpu, Step, field, signed};
use crate::fault::Fault;

impl Cpu {
    pub(super) fn immediate(&mut self, word: u32) -> Result<Step, Fault> {
        let wide = word >> 31 != 0;
        let (rn, rd) = (field(word, 5, 5), field(word, 0, 5));
        match field(word, 23, 3) {
            0b000 | 0b001 => {
                let offset = signed(field(word, 5, 19) << 2 | field(word, 29, 2), 21);
                let target = match wide {
                    // ADRP.
                    true => (self.pc & !0xfff).wrapping_add(offset << 12),
                    false => self.pc.wrapping_add(offset),
                };
                self.set(rd, true, target);
            }
            0b010 => {
                let amount = u64::from(field(word, 10, 12)) << (12 * field(word, 22, 1));
                let subtract = field(word, 30, 1) != 0;
                let b = if subtract { !amount } else { amount };
                let (result, flags) = Self::add(wide, self.get_sp(rn), b, subtract);
                if field(word, 29, 1) != 0 {
                    self.flags = flags;
                    self.set(rd, wide, result);
                } else {
                    self.set_sp(rd, wide, result);
                }
            }
            0b100 => {
                let pattern = bit_mask(wide, word).ok_or(Fault::Instruction(word))?.0;
                let a = self.get(rn);
                match field(word, 29, 2) {
                    0 => self.set_sp(rd, wide, a & pattern),
                    1 => self.set_sp(rd, wide, a | pattern),
                    2 => self.set_sp(rd, wide, a ^ pattern),
                    _ => {
                        self.flags = Self::logical_flags(wide, a & pattern);
                        self.set(rd, wide, a & pattern);
                    }
                }
            }
            0b101 => {
                let shift = 16 * field(word, 21, 2);
                let value = u64::from(field(word, 5, 16)) << shift;
                let result = match field(word, 29, 2) {
                    0 => !value,
                    2 => value,
                    3 => self.get(rd) & !(0xffff << shift) | value,
                    _ => return Err(Fault::Instruction(word)),
                };
                self.set(rd, wide, result);
            }
            0b110 => self.bit_field(word)?,
            _ => {
                let bits = if wide { 64 } else { 32 };
                let low = field(word, 10, 6);
                let (high, under) = (self.get(rn), self.get(field(word, 16, 5)));
                let result = match (low, wide) {
                    (0, _) => under,
                    (_, true) => under >> low | high << (bits - low),
                    (_, false) => (under & 0xffff_ffff) >> low | high << (bits - low),
                };
                self.set(rd, wide, result);
            }
        }
        Ok(Step::Next)
    }

    /// SBFM, BFM, UBFM.
    fn bit_field(&mut self, word: u32) -> Result<(), Fault> {
        let wide = word >> 31 != 0;
        let (rn, rd) = (field(word, 5, 5), field(word, 0, 5));
        let (rotate, top) = (field(word, 16, 6), field(word, 10, 6));
        let bits = if wide { 64 } else { 32 };
        let (whole, within) = bit_mask(wide, word).ok_or(Fault::Instruction(word))?;
        let mask = u64::MAX >> (64 - bits);
        let source = self.get(rn) & mask;
        let turned = match rotate {
            0 => source,
            rotate => (source >> rotate | source << (bits - rotate)) & mask,
        };
        let result = match field(word, 29, 2) {
            0 => {
                let sign = if source >> top & 1 != 0 { u64::MAX } else { 0 };
                sign & !within | turned & whole & within
            }
            1 => {
                let old = self.get(rd);
                let moved = old & !whole | turned & whole;
                old & !within | moved & within
            }
            2 => turned & whole & within,
            _ => return Err(Fault::Instruction(word)),
        };
        self.set(rd, wide, result);
        Ok(())
    }
}

/// `DecodeBitMasks`: `wmask` and `tmask` of N, immr, imms. `None` for reserved ones.
fn bit_mask(wide: bool, word: u32) -> Option<(u64, u64)> {
    let (n, rotate, top) = (field(word, 22, 1), field(word, 16, 6), field(word, 10, 6));
    let length = 31u32.checked_sub((n << 6 | !top & 0x3f).leading_zeros())?;
    if length == 0 || !wide && n != 0 {
        return None;
    }
    let size = 1 << length;
    let levels = size - 1;
    let (s, r) = (top & levels, rotate & levels);
    let ones = |count: u32| u64::MAX >> (64 - count);
    let element = ones(s + 1);
    let width = ones(size);
    let turned = match r {
        0 => element,
        r => (element >> r | element << (size - r)) & width,
    };
    let difference = s.wrapping_sub(r) & levels;
    let repeat = |value: u64| (0..64 / size).fold(0, |all, place| all | value << (place * size));
    Some((repeat(turned), repeat(ones(difference + 1))))
}
