//! The registers of GICv3's virtual CPU interface that `ICH_HCR_EL2.TC` traps along with `ICC_DIR_EL1`, for hardware that cannot trap that
//! one alone: what a guest's access does is done to `ICH_VMCR_EL2`, which is where the hardware keeps them (IHI 0069H 12.4.8).

use super::{active_priorities, sysreg};
use crate::CommonRegister;

/// `ICH_VMCR_EL2.VPMR`.
const MASK: u32 = 24;
/// `ICH_VMCR_EL2.VCBPR` and `VEOIM`, and where `ICC_CTLR_EL1` has them.
const COMMON_BINARY_POINT: [u32; 2] = [4, 0];
const SPLIT: [u32; 2] = [9, 1];

/// A guest's read, or write of a value.
pub(super) fn access(register: CommonRegister, written: Option<u64>) -> u64 {
    let control = sysreg::ich_vmcr::read();
    let vtr = sysreg::ich_vtr::read();
    match (register, written) {
        (CommonRegister::Control, None) => {
            // PRIbits, IDbits, SEIS and A3V (12.2.6, 12.4.9).
            let kind = (vtr >> 29 & 7) << 8
                | (vtr >> 23 & 7) << 11
                | (vtr >> 22 & 1) << 14
                | (vtr >> 21 & 1) << 15;
            let moved = [COMMON_BINARY_POINT, SPLIT]
                .into_iter()
                .fold(0, |bits, [from, to]| bits | (control >> from & 1) << to);
            moved | kind
        }
        (CommonRegister::Control, Some(value)) => {
            let changed = [COMMON_BINARY_POINT, SPLIT]
                .into_iter()
                .fold(control, |bits, [to, from]| {
                    bits & !(1 << to) | (value >> from & 1) << to
                });
            sysreg::ich_vmcr::write(changed);
            0
        }
        (CommonRegister::PriorityMask, None) => control >> MASK & 0xff,
        (CommonRegister::PriorityMask, Some(value)) => {
            sysreg::ich_vmcr::write(control & !(0xff << MASK) | (value & 0xff) << MASK);
            0
        }
        (CommonRegister::RunningPriority, _) => running_priority().into(),
    }
}

/// The guest's `ICC_RPR_EL1`: bit n of the m-th register of active priorities stands for the priority group 32 * m + n; 0xff for none.
pub(super) fn running_priority() -> u8 {
    let vtr = sysreg::ich_vtr::read();
    let preemption_bits = (vtr >> 26 & 7) as u32 + 1;
    let shift = 8_u32.saturating_sub(preemption_bits);
    (0..active_priorities(vtr))
        .find_map(|index| {
            let active = sysreg::ich_ap0r::read(index) | sysreg::ich_ap1r::read(index);
            (active != 0).then(|| ((index as u32 * 32 + active.trailing_zeros()) << shift) as u8)
        })
        .unwrap_or(u8::MAX)
}
