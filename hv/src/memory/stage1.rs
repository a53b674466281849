//! VMSAv8-64 stage 1 of EL2 without VHE: one privilege level, one base register, 4 KiB granule (Arm ARM D8.3, D8.4.1).
//!
//! No kind of memory is both writable and executable; `SCTLR_EL2.WXN` may be set on top.

use model::Pa;

use super::format::{Format, Level, Root};
use super::vmsa::{self, EXECUTE_NEVER, INNER_SHAREABLE};

/// Format of the tables behind `TTBR0_EL2`.
pub enum Stage1 {}

/// What the hypervisor does with a piece of its own memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnMemory {
    /// Read and executed.
    Code,
    /// Only read.
    Constants,
    /// Read and written.
    Data,
    /// Device-nGnRE registers: read and written.
    Device,
}

/// Index of Device-nGnRE in [`MAIR`].
pub const DEVICE_INDEX: u64 = 0;
/// Index of Normal write-back memory in [`MAIR`].
pub const NORMAL_INDEX: u64 = 1;
/// `MAIR_EL2` (Arm ARM D19.2.98): Device-nGnRE is 0x04; Normal, inner and outer write-back, read- and write-allocate, is 0xff.
pub const MAIR: u64 = 0x04 << (8 * DEVICE_INDEX) | 0xff << (8 * NORMAL_INDEX);

/// Width of the hypervisor's own addresses, in bits.
pub const INPUT_BITS: u32 = 48;

/// AttrIndx, bits 4:2.
const DEVICE: u64 = DEVICE_INDEX << 2;
const NORMAL: u64 = NORMAL_INDEX << 2;
/// AP[1]: RES1 in a regime with one privilege level.
const AP1: u64 = 1 << 6;
/// AP[2].
const READ_ONLY: u64 = 1 << 7;

/// The attribute bits of a use.
const fn attributes(memory: OwnMemory) -> u64 {
    let bits = match memory {
        OwnMemory::Code => NORMAL | INNER_SHAREABLE | READ_ONLY,
        OwnMemory::Constants => NORMAL | INNER_SHAREABLE | READ_ONLY | EXECUTE_NEVER,
        OwnMemory::Data => NORMAL | INNER_SHAREABLE | EXECUTE_NEVER,
        OwnMemory::Device => DEVICE | EXECUTE_NEVER,
    };
    bits | AP1
}

impl Format for Stage1 {
    type Attributes = OwnMemory;
    const ATTRIBUTES: &'static [OwnMemory] = &[
        OwnMemory::Code,
        OwnMemory::Constants,
        OwnMemory::Data,
        OwnMemory::Device,
    ];
    const LARGEST_LEAF: Level = Level::L1;
    const OUTPUT_BITS: u32 = 48;

    /// Only [`INPUT_BITS`]: devices stand at their physical addresses, the image in the last 512 GiB.
    fn root(input_bits: u32) -> Option<Root> {
        (input_bits == INPUT_BITS).then_some(Root {
            level: Level::L0,
            pages: 1,
        })
    }

    fn leaf(level: Level, pa: Pa, memory: OwnMemory) -> u64 {
        vmsa::leaf(level, pa, attributes(memory))
    }

    fn table(pa: Pa) -> u64 {
        vmsa::table(pa)
    }
}

/// `TCR_EL2` for E2H = 0 (Arm ARM D19.2.147) on a CPU whose `ID_AA64MMFR0_EL1.PARange` is `pa_range`: 48-bit addresses, 4 KiB
/// granule, walks inner shareable and write-back cacheable.
pub const fn stage1_control(pa_range: u64) -> u64 {
    const RES1: u64 = 1 << 23;
    RES1 | vmsa::control(pa_range) | (64 - INPUT_BITS) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Entry;

    const USES: [OwnMemory; 4] = [
        OwnMemory::Code,
        OwnMemory::Constants,
        OwnMemory::Data,
        OwnMemory::Device,
    ];

    #[test]
    fn no_use_is_both_writable_and_executable() {
        for memory in USES {
            let descriptor = Stage1::leaf(Level::L3, Pa::new(0x1000), memory);
            assert!(
                descriptor & READ_ONLY != 0 || descriptor & EXECUTE_NEVER != 0,
                "{memory:?}"
            );
        }
    }

    #[test]
    fn only_code_is_executable() {
        let executable: Vec<_> = USES
            .into_iter()
            .filter(|memory| attributes(*memory) & EXECUTE_NEVER == 0)
            .collect();
        assert_eq!(executable, [OwnMemory::Code]);
    }

    #[test]
    fn data_page_is_normal_memory_that_may_be_written() {
        assert_eq!(
            Stage1::leaf(Level::L3, Pa::new(0x4020_0000), OwnMemory::Data),
            0x0040_0000_4020_0747
        );
    }

    #[test]
    fn device_block_uses_the_device_index() {
        assert_eq!(
            Stage1::leaf(
                Level::L2,
                Pa::new(0x0900_0000 & !0x1f_ffff),
                OwnMemory::Device
            ),
            0x0040_0000_0900_0441
        );
    }

    #[test]
    fn every_leaf_decodes_to_what_was_encoded() {
        for level in [Level::L1, Level::L2, Level::L3] {
            for memory in USES {
                let pa = Pa::new(0x8000_0000);
                assert_eq!(
                    Stage1::decode(Stage1::leaf(level, pa, memory), level),
                    Entry::Leaf(pa, memory)
                );
            }
        }
    }

    #[test]
    fn control_for_a_44_bit_cpu_has_48_input_bits() {
        // RES1 bits 31 and 23, PS = 44 bits, SH0 = inner, ORGN0 = IRGN0 = write-back, T0SZ = 16.
        assert_eq!(stage1_control(4), 0x8084_3510);
    }

    #[test]
    fn mair_has_device_ngnre_and_normal_write_back() {
        assert_eq!(MAIR, 0xff04);
    }
}
