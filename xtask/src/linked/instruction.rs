//! The few instructions of AArch64 that tell who calls whom and who takes how much stack. All have fixed forms (Arm ARM C4.1, C6.2).

/// Where a direct branch leads, relative to itself: B and BL, B.cond, CBZ and CBNZ, TBZ and TBNZ. `None`: it is none.
pub fn branch_offset(word: u32) -> Option<i64> {
    /// An immediate of so many bits from bit `low` on, times four.
    fn immediate(word: u32, low: u32, bits: u32) -> i64 {
        let above = 32 - bits - low;
        i64::from(((word << above) as i32) >> (32 - bits)) * 4
    }
    if word & 0x7c00_0000 == 0x1400_0000 {
        Some(immediate(word, 0, 26))
    } else if word & 0xff00_0000 == 0x5400_0000 || word & 0x7e00_0000 == 0x3400_0000 {
        Some(immediate(word, 5, 19))
    } else if word & 0x7e00_0000 == 0x3600_0000 {
        Some(immediate(word, 5, 14))
    } else {
        None
    }
}

/// RET, and ERET, by which the vectors return.
pub fn is_return(word: u32) -> bool {
    word & 0xffff_fc1f == 0xd65f_0000 || word == 0xd69f_03e0
}

/// BLR: a call of what a register points to.
pub fn is_call_of_pointer(word: u32) -> bool {
    word & 0xffff_fc1f == 0xd63f_0000
}

/// Bytes by which the instruction lowers the stack pointer: SUB of an immediate, and STP and STR of 64-bit registers that write the address back. `None`: it
/// does not. A frame that is aligned further is taken by a SUB into another register, and counts, too.
pub fn stack_taken(word: u32) -> Option<u64> {
    /// The stack pointer as the base register.
    const FROM_SP: u32 = 31 << 5;
    const BASE: u32 = 31 << 5;
    let signed =
        |low: u32, bits: u32| i64::from(((word << (32 - bits - low)) as i32) >> (32 - bits));
    if word & BASE != FROM_SP {
        return None;
    }
    let taken = if word & 0xff80_0000 == 0xd100_0000 {
        let immediate = u64::from(word >> 10 & 0xfff);
        return Some(if word & 1 << 22 == 0 {
            immediate
        } else {
            immediate << 12
        });
    } else if word & 0xffc0_0000 == 0xa980_0000 {
        -signed(15, 7) * 8
    } else if word & 0xffe0_0c00 == 0xf800_0c00 {
        -signed(12, 9)
    } else {
        return None;
    };
    u64::try_from(taken).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RET: u32 = 0xd65f_03c0;
    const NOP: u32 = 0xd503_201f;

    #[test]
    fn every_direct_branch_is_told_forwards_and_backwards() {
        for (word, offset) in [
            (0x1400_0002, 8),
            (0x97ff_ffff, -4),
            (0x54ff_ffe0, -4),
            (0x5400_0041, 8),
            (0xb400_0040, 8),
            (0x35ff_ffe0, -4),
            (0x3600_0040, 8),
            (0xb707_ffe0, -4),
        ] {
            assert_eq!(branch_offset(word), Some(offset), "{word:#x}");
        }
        assert_eq!(branch_offset(NOP), None);
        assert_eq!(branch_offset(RET), None);
    }

    #[test]
    fn what_lowers_the_stack_pointer_is_told_with_its_bytes() {
        for (word, bytes) in [
            (0xd101_03ff, Some(64)),   // sub sp, sp, #64
            (0xd140_07ff, Some(4096)), // sub sp, sp, #1, lsl #12
            (0xa9bf_7bfd, Some(16)),   // stp x29, x30, [sp, #-16]!
            (0xf81f_0ffe, Some(16)),   // str x30, [sp, #-16]!
            (0xd100_83e9, Some(32)),   // sub x9, sp, #32
            (0xa901_7bfd, None),       // stp x29, x30, [sp, #16]
            (0xd100_0421, None),       // sub x1, x1, #1
            (0xa8c1_7bfd, None),       // ldp x29, x30, [sp], #16
            (NOP, None),
        ] {
            assert_eq!(stack_taken(word), bytes, "{word:#x}");
        }
    }

    #[test]
    fn call_of_a_pointer_is_told_from_a_jump_to_one() {
        assert!(is_call_of_pointer(0xd63f_0100));
        assert!(!is_call_of_pointer(0xd61f_0100));
    }
}
