//! Data processing with register operands (Arm ARM C4.1.95).

use super::{Cpu, Flags, Step, field};
use crate::fault::Fault;

impl Cpu {
    pub(super) fn register(&mut self, word: u32) -> Result<Step, Fault> {
        let wide = word >> 31 != 0;
        let (rm, rn, rd) = (field(word, 16, 5), field(word, 5, 5), field(word, 0, 5));
        let unknown = Fault::Instruction(word);
        if word & 0x1f00_0000 == 0x0a00_0000 {
            let operand = shifted(wide, self.get(rm), field(word, 22, 2), field(word, 10, 6));
            let b = if field(word, 21, 1) != 0 {
                !operand
            } else {
                operand
            };
            let a = self.get(rn);
            let result = match field(word, 29, 2) {
                0 | 3 => a & b,
                1 => a | b,
                _ => a ^ b,
            };
            if field(word, 29, 2) == 3 {
                self.flags = Self::logical_flags(wide, result);
            }
            self.set(rd, wide, result);
        } else if word & 0x1f20_0000 == 0x0b00_0000 {
            let b = shifted(wide, self.get(rm), field(word, 22, 2), field(word, 10, 6));
            self.sum(word, self.get(rn), b, false);
        } else if word & 0x1fe0_0000 == 0x0b20_0000 {
            let b = extended(self.get(rm), field(word, 13, 3)) << field(word, 10, 3);
            self.sum(word, self.get_sp(rn), b, true);
        } else if word & 0x1fe0_fc00 == 0x1a00_0000 {
            let b = self.get(rm);
            let b = if field(word, 30, 1) != 0 { !b } else { b };
            let (result, flags) = Self::add(wide, self.get(rn), b, self.flags.c);
            if field(word, 29, 1) != 0 {
                self.flags = flags;
            }
            self.set(rd, wide, result);
        } else if word & 0x3fe0_0410 == 0x3a40_0000 {
            self.compare_if(word);
        } else if word & 0x3fe0_0800 == 0x1a80_0000 {
            let other = self.get(rm);
            let other = if field(word, 30, 1) != 0 {
                !other
            } else {
                other
            };
            let result = match self.flags.hold(field(word, 12, 4)) {
                true => self.get(rn),
                false => other.wrapping_add(field(word, 10, 1).into()),
            };
            self.set(rd, wide, result);
        } else if word & 0x7fe0_0000 == 0x1ac0_0000 {
            let result = two(wide, field(word, 10, 6), self.get(rn), self.get(rm));
            self.set(rd, wide, result.ok_or(unknown)?);
        } else if word & 0x7fff_0000 == 0x5ac0_0000 {
            let result = one(wide, field(word, 10, 6), self.get(rn));
            self.set(rd, wide, result.ok_or(unknown)?);
        } else if word & 0x7f00_0000 == 0x1b00_0000 {
            let third = self.get(field(word, 10, 5));
            let selector = field(word, 21, 3) << 1 | field(word, 15, 1);
            let result = three(wide, selector, [self.get(rn), self.get(rm), third]);
            self.set(rd, wide, result.ok_or(unknown)?);
        } else {
            return Err(unknown);
        }
        Ok(Step::Next)
    }

    /// ADD, ADDS, SUB, SUBS. `to_sp`: without flags, the result may go to the stack pointer.
    fn sum(&mut self, word: u32, a: u64, b: u64, to_sp: bool) {
        let wide = word >> 31 != 0;
        let rd = field(word, 0, 5);
        let subtract = field(word, 30, 1) != 0;
        let (result, flags) = Self::add(wide, a, if subtract { !b } else { b }, subtract);
        let sets_flags = field(word, 29, 1) != 0;
        if sets_flags {
            self.flags = flags;
        }
        match to_sp && !sets_flags {
            true => self.set_sp(rd, wide, result),
            false => self.set(rd, wide, result),
        }
    }

    /// CCMN, CCMP.
    fn compare_if(&mut self, word: u32) {
        let wide = word >> 31 != 0;
        let second = field(word, 16, 5);
        let b = match field(word, 11, 1) {
            0 => self.get(second),
            _ => second.into(),
        };
        let subtract = field(word, 30, 1) != 0;
        self.flags = match self.flags.hold(field(word, 12, 4)) {
            true => {
                let b = if subtract { !b } else { b };
                Self::add(wide, self.get(field(word, 5, 5)), b, subtract).1
            }
            false => Flags::from_bits(field(word, 0, 4)),
        };
    }
}

fn shifted(wide: bool, value: u64, kind: u32, amount: u32) -> u64 {
    match (wide, kind) {
        (true, 0) => value << amount,
        (true, 1) => value >> amount,
        (true, 2) => (value as i64 >> amount) as u64,
        (true, _) => value.rotate_right(amount),
        (false, _) => {
            let (value, amount) = (value as u32, amount & 31);
            u64::from(match kind {
                0 => value << amount,
                1 => value >> amount,
                2 => (value as i32 >> amount) as u32,
                _ => value.rotate_right(amount),
            })
        }
    }
}

/// `ExtendReg`, without the shift.
pub(super) fn extended(value: u64, kind: u32) -> u64 {
    match kind {
        0 => value & 0xff,
        1 => value & 0xffff,
        2 => value & 0xffff_ffff,
        4 => value as i8 as u64,
        5 => value as i16 as u64,
        6 => value as i32 as u64,
        _ => value,
    }
}

/// Two sources: division and variable shifts.
fn two(wide: bool, operation: u32, a: u64, b: u64) -> Option<u64> {
    let (a32, b32) = (a as u32, b as u32);
    let shift = |kind| {
        let amount = b as u32 & if wide { 63 } else { 31 };
        Some(shifted(wide, a, kind, amount))
    };
    match (operation, wide) {
        (2, true) => Some(a.checked_div(b).unwrap_or(0)),
        (2, false) => Some(a32.checked_div(b32).unwrap_or(0).into()),
        (3, true) if b == 0 => Some(0),
        (3, true) => Some((a as i64).wrapping_div(b as i64) as u64),
        (3, false) if b32 == 0 => Some(0),
        (3, false) => Some((a32 as i32).wrapping_div(b32 as i32) as u32 as u64),
        (8..=11, _) => shift(operation - 8),
        _ => None,
    }
}

/// One source: reversals and counts.
fn one(wide: bool, operation: u32, a: u64) -> Option<u64> {
    let a32 = a as u32;
    let halves =
        |value: u64| (value & 0x00ff_00ff_00ff_00ff) << 8 | value >> 8 & 0x00ff_00ff_00ff_00ff;
    Some(match (operation, wide) {
        (0, true) => a.reverse_bits(),
        (0, false) => a32.reverse_bits().into(),
        (1, _) => halves(a),
        (2, true) => a.swap_bytes().rotate_left(32),
        (2, false) => a32.swap_bytes().into(),
        (3, true) => a.swap_bytes(),
        (4, true) => a.leading_zeros().into(),
        (4, false) => a32.leading_zeros().into(),
        (5, true) => ((a ^ (a as i64 >> 63) as u64).leading_zeros() - 1).into(),
        (5, false) => ((a32 ^ (a32 as i32 >> 31) as u32).leading_zeros() - 1).into(),
        _ => return None,
    })
}

/// Three sources: multiplications. `selector`: op31 and o0.
fn three(wide: bool, selector: u32, [n, m, a]: [u64; 3]) -> Option<u64> {
    let signed = |value: u64| value as i32 as i64 as u64;
    let unsigned = |value: u64| value & 0xffff_ffff;
    match (selector, wide) {
        (0b0000, _) => Some(a.wrapping_add(n.wrapping_mul(m))),
        (0b0001, _) => Some(a.wrapping_sub(n.wrapping_mul(m))),
        (0b0010, true) => Some(a.wrapping_add(signed(n).wrapping_mul(signed(m)))),
        (0b0011, true) => Some(a.wrapping_sub(signed(n).wrapping_mul(signed(m)))),
        (0b0100, true) => Some(((i128::from(n as i64) * i128::from(m as i64)) >> 64) as u64),
        (0b1010, true) => Some(a.wrapping_add(unsigned(n) * unsigned(m))),
        (0b1011, true) => Some(a.wrapping_sub(unsigned(n) * unsigned(m))),
        (0b1100, true) => Some(((u128::from(n) * u128::from(m)) >> 64) as u64),
        _ => None,
    }
}
