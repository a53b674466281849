//! XCR0, which says what XSAVE saves: a guest's XSETBV exits on Intel's CPUs always, on AMD's where its partition is denied something, and the
//! hypervisor executes it.

use model::x86::cpu::state::{AVX, AVX_512, PROTECTION_KEYS, SSE, X87};

/// The leaf of CPUID whose EDX and EAX say what XCR0 may name.
pub const LEAF: u32 = 0xd;
/// What is passed on. The others come with more rules, and with more state than the hypervisor resets.
const KNOWN: u64 = X87 | SSE | AVX | AVX_512 | PROTECTION_KEYS;

/// True when a CPU that supports the components `supported` takes `value` (Intel SDM volume 1, 13.3). Otherwise it is a general-protection fault, in the
/// guest and not in the hypervisor.
pub const fn is_valid(value: u64, supported: u64) -> bool {
    let avx_512 = value & AVX_512;
    value & X87 != 0
        && value & !(supported & KNOWN) == 0
        && (value & AVX == 0 || value & SSE != 0)
        && (avx_512 == 0 || avx_512 == AVX_512 && value & AVX != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_a_cpu_refuses_are_refused_before() {
        for (value, supported, valid) in [
            (0b1, 0b111, true),
            (0b11, 0b111, true),
            (0b111, 0b111, true),
            (0b111, 0b011, false),
            (0b110, 0b111, false),
            (0b101, 0b111, false),
            (0, 0b111, false),
            (0xe7, 0xe7, true),
            (0xe3, 0xe7, false),
            (0x67, 0xe7, false),
            // Bound registers, which are not passed on.
            (0x1b, 0x1f, false),
            (u64::MAX, u64::MAX, false),
        ] {
            assert_eq!(
                is_valid(value, supported),
                valid,
                "{value:#x} of {supported:#x}"
            );
        }
    }
}
