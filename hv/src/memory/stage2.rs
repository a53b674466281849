//! VMSAv8-64 stage 2 with the 4 KiB granule (Arm ARM D8.3 for the descriptors, D8.2.4 for the start of a walk, D8.6.5 for
//! memory types).
//!
//! Written for `HCR_EL2.FWB` = 0, and without relying on FEAT_XNX: of XN[1:0] only bit 1 is used, which means "never executable, at
//! EL1 and EL0" with and without the extension.

use model::Pa;
use model::memory::MemoryKind;

use super::format::{Format, Level, Root};
use super::vmsa::{self, EXECUTE_NEVER, INNER_SHAREABLE};

/// Format of the tables behind `VTTBR_EL2`.
pub enum Stage2 {}

/// MemAttr[3:0], bits 5:2: Normal, outer and inner write-back cacheable.
const NORMAL_WRITE_BACK: u64 = 0b1111 << 2;
/// MemAttr[3:0]: Device-nGnRE.
const DEVICE_NGNRE: u64 = 0b0001 << 2;
/// S2AP, bits 7:6.
const READ: u64 = 0b01 << 6;
const READ_WRITE: u64 = 0b11 << 6;

/// The attribute bits of a memory kind.
const fn attributes(kind: MemoryKind) -> u64 {
    match kind {
        MemoryKind::Ram => NORMAL_WRITE_BACK | INNER_SHAREABLE | READ_WRITE,
        MemoryKind::Shared => NORMAL_WRITE_BACK | INNER_SHAREABLE | READ_WRITE | EXECUTE_NEVER,
        MemoryKind::ReadOnly => NORMAL_WRITE_BACK | INNER_SHAREABLE | READ | EXECUTE_NEVER,
        MemoryKind::Device => DEVICE_NGNRE | READ_WRITE | EXECUTE_NEVER,
        MemoryKind::DeviceReadOnly => DEVICE_NGNRE | READ | EXECUTE_NEVER,
    }
}

impl Format for Stage2 {
    type Attributes = MemoryKind;
    const ATTRIBUTES: &'static [MemoryKind] = &MemoryKind::ALL;
    const LARGEST_LEAF: Level = Level::L1;
    const OUTPUT_BITS: u32 = 48;

    /// 32 to 39 bits start at level 1; 40 to 42 concatenate 2, 4 or 8 tables there; 43 to 48 start at level 0. With 43 bits 16
    /// concatenated tables would do as well, but they are 64 KiB and a level 0 is 8 KiB in all.
    fn root(input_bits: u32) -> Option<Root> {
        match input_bits {
            32..=39 => Some(Root {
                level: Level::L1,
                pages: 1,
            }),
            40..=42 => Some(Root {
                level: Level::L1,
                pages: 1 << (input_bits - 39),
            }),
            43..=48 => Some(Root {
                level: Level::L0,
                pages: 1,
            }),
            _ => None,
        }
    }

    fn leaf(level: Level, pa: Pa, kind: MemoryKind) -> u64 {
        vmsa::leaf(level, pa, attributes(kind))
    }

    fn table(pa: Pa) -> u64 {
        vmsa::table(pa)
    }
}

/// Why no stage-2 translation can be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// IPA width that the format does not have.
    #[error("{0}-bit partition address spaces are not supported")]
    IpaBits(u32),
    /// The partition's address space is wider than this CPU's physical one.
    #[error(
        "{ipa_bits}-bit partition address spaces need a wider CPU: this one has {pa_bits} bits"
    )]
    WiderThanPhysical {
        /// Width asked for.
        ipa_bits: u32,
        /// Width of the CPU's physical addresses.
        pa_bits: u32,
    },
    /// A value of `ID_AA64MMFR0_EL1.PARange` that the architecture does not define.
    #[error("unknown physical address range {0}")]
    PaRange(u64),
}

/// Width in bits of the physical addresses that `ID_AA64MMFR0_EL1.PARange` stands for (Arm ARM D19.2.64); `None` when undefined.
pub const fn physical_bits(pa_range: u64) -> Option<u32> {
    match pa_range {
        0 => Some(32),
        1 => Some(36),
        2 => Some(40),
        3 => Some(42),
        4 => Some(44),
        5 => Some(48),
        6 => Some(52),
        7 => Some(56),
        _ => None,
    }
}

/// `VTCR_EL2` (Arm ARM D19.2.162) for partitions of `ipa_bits` bits on a CPU whose `ID_AA64MMFR0_EL1.PARange` is `pa_range`:
/// 4 KiB granule, walks inner shareable and write-back cacheable, 8-bit VMIDs.
///
/// # Errors
/// [`ControlError`] when the width is not supported or wider than the CPU's physical addresses.
pub fn stage2_control(ipa_bits: u32, pa_range: u64) -> Result<u64, ControlError> {
    const START_AT_LEVEL_1: u64 = 1 << 6;
    const START_AT_LEVEL_0: u64 = 2 << 6;

    let root = Stage2::root(ipa_bits).ok_or(ControlError::IpaBits(ipa_bits))?;
    let pa_bits = physical_bits(pa_range).ok_or(ControlError::PaRange(pa_range))?;
    if ipa_bits > pa_bits {
        return Err(ControlError::WiderThanPhysical { ipa_bits, pa_bits });
    }
    let start = if root.level == Level::L0 {
        START_AT_LEVEL_0
    } else {
        START_AT_LEVEL_1
    };
    Ok(vmsa::control(pa_range) | start | u64::from(64 - ipa_bits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Entry;

    #[test]
    fn ram_page_is_normal_write_back_inner_shareable_and_executable() {
        let descriptor = Stage2::leaf(Level::L3, Pa::new(0x4020_1000), MemoryKind::Ram);
        assert_eq!(descriptor, 0x4020_17ff);
    }

    #[test]
    fn device_block_is_ngnre_read_write_and_never_executable() {
        let descriptor = Stage2::leaf(Level::L2, Pa::new(0x0a00_0000), MemoryKind::Device);
        assert_eq!(descriptor, 0x0040_0000_0a00_04c5);
    }

    #[test]
    fn read_only_and_shared_memory_are_never_executable() {
        assert_eq!(
            Stage2::leaf(Level::L3, Pa::new(0x1000), MemoryKind::ReadOnly),
            0x0040_0000_0000_177f
        );
        assert_eq!(
            Stage2::leaf(Level::L3, Pa::new(0x1000), MemoryKind::Shared),
            0x0040_0000_0000_17ff
        );
    }

    #[test]
    fn read_only_device_page_cannot_be_written() {
        let descriptor = Stage2::leaf(Level::L3, Pa::new(0x0a00_0000), MemoryKind::DeviceReadOnly);
        assert_eq!(descriptor, 0x0040_0000_0a00_0447);
    }

    #[test]
    fn every_leaf_decodes_to_what_was_encoded() {
        for level in [Level::L1, Level::L2, Level::L3] {
            for kind in MemoryKind::ALL {
                let pa = Pa::new(0x8000_0000);
                assert_eq!(
                    Stage2::decode(Stage2::leaf(level, pa, kind), level),
                    Entry::Leaf(pa, kind)
                );
            }
        }
    }

    #[test]
    fn table_descriptor_decodes_to_its_address_above_level_3() {
        let descriptor = Stage2::table(Pa::new(0x1234_5000));
        for level in [Level::L0, Level::L1, Level::L2] {
            assert_eq!(
                Stage2::decode(descriptor, level),
                Entry::Table(Pa::new(0x1234_5000))
            );
        }
    }

    #[test]
    fn undefined_patterns_are_reserved() {
        // A block at level 0, a "block" at level 3, a block whose address is not a multiple of its size.
        assert_eq!(Stage2::decode(0x7fd, Level::L0), Entry::Reserved);
        assert_eq!(Stage2::decode(0x7fd, Level::L3), Entry::Reserved);
        assert_eq!(Stage2::decode(0x17fd, Level::L2), Entry::Reserved);
        assert_eq!(Stage2::decode(0, Level::L1), Entry::Empty);
    }

    #[test]
    fn forty_bits_concatenate_two_level_1_tables() {
        assert_eq!(
            Stage2::root(39),
            Some(Root {
                level: Level::L1,
                pages: 1
            })
        );
        assert_eq!(
            Stage2::root(40),
            Some(Root {
                level: Level::L1,
                pages: 2
            })
        );
        assert_eq!(
            Stage2::root(42),
            Some(Root {
                level: Level::L1,
                pages: 8
            })
        );
        assert_eq!(
            Stage2::root(43),
            Some(Root {
                level: Level::L0,
                pages: 1
            })
        );
        assert_eq!(Stage2::root(31), None);
        assert_eq!(Stage2::root(49), None);
    }

    #[test]
    fn control_for_40_bits_on_a_40_bit_cpu_starts_at_level_1() {
        // RES1, PS = 40 bits, SH0 = inner, ORGN0 = IRGN0 = write-back, SL0 = 1, T0SZ = 24.
        assert_eq!(stage2_control(40, 2), Ok(0x8002_3558));
    }

    #[test]
    fn control_for_48_bits_on_a_52_bit_cpu_starts_at_level_0_and_keeps_to_48() {
        assert_eq!(stage2_control(48, 6), Ok(0x8005_3590));
    }

    #[test]
    fn control_wider_than_the_cpu_is_refused() {
        let refused = ControlError::WiderThanPhysical {
            ipa_bits: 44,
            pa_bits: 40,
        };
        assert_eq!(stage2_control(44, 2), Err(refused));
        assert_eq!(stage2_control(31, 2), Err(ControlError::IpaBits(31)));
        assert_eq!(stage2_control(40, 15), Err(ControlError::PaRange(15)));
    }
}
