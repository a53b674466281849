//! What an SMMUv3 says about itself (Arm IHI 0070, 6.3.1 to 6.3.6), as far as the driver must know it.

use super::register_map::{IDR0, IDR1, IDR5};
use crate::{IommuError, RegisterFrame, address_size};

/// The features of an SMMUv3 that can walk the CPU's stage-2 tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// Width of stream numbers in bits.
    pub stream_bits: u8,
    /// Stream tables may have two levels.
    pub two_level: bool,
    /// Most commands in the queue, as a power of two.
    pub command_bits: u8,
    /// Most events in the queue, as a power of two.
    pub event_bits: u8,
    /// Width of physical addresses in bits.
    pub output_bits: u8,
    /// Devices may keep translations and use them later.
    pub ats: bool,
    /// Interrupts can be messages.
    pub msi: bool,
    /// There are translations of the EL2 kind, which firmware may have left.
    pub el2: bool,
}

impl Features {
    /// Reads the identification registers.
    ///
    /// # Errors
    /// [`IommuError::Lacks`] names the first thing that is missing.
    pub fn read(registers: &mut impl RegisterFrame) -> Result<Self, IommuError> {
        let [idr0, idr1, idr5] = [IDR0, IDR1, IDR5].map(|offset| registers.read(offset));
        let bit = |register: u32, bit: u32| register >> bit & 1 != 0;
        let needs = [
            (bit(idr0, 0), "stage 2"),
            (bit(idr0, 3), "the AArch64 table format"),
            (bit(idr0, 4), "coherent access to memory"),
            (bit(idr5, 4), "the 4 KiB granule"),
            (
                !bit(idr1, 29) && !bit(idr1, 30),
                "queues and tables in ordinary memory",
            ),
        ];
        if let Some((_, what)) = needs.iter().find(|(there, _)| !there) {
            return Err(IommuError::Lacks(what));
        }
        Ok(Self {
            stream_bits: (idr1 & 0x3f) as u8,
            two_level: idr0 >> 27 & 0b11 == 1,
            command_bits: (idr1 >> 21 & 0x1f) as u8,
            event_bits: (idr1 >> 16 & 0x1f) as u8,
            output_bits: address_size::bits(idr5 & 0b111),
            ats: bit(idr0, 10),
            msi: bit(idr0, 13),
            el2: bit(idr0, 9) && bit(idr0, 1),
        })
    }

    /// The S2PS field for [`Self::output_bits`].
    pub const fn output_size(&self) -> u64 {
        match self.output_bits {
            ..36 => 0,
            36..40 => 1,
            40..42 => 2,
            42..44 => 3,
            44..48 => 4,
            48.. => 5,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Identification;

    fn read([idr0, idr1, idr5]: [u32; 3]) -> Result<Features, IommuError> {
        let registers = [(IDR0, idr0), (IDR1, idr1), (IDR5, idr5)];
        Features::read(&mut Identification(registers))
    }

    /// What QEMU's model says.
    const QEMU: [u32; 3] = [0x0d40_101b, 0x0273_0010, 0x54];

    #[test]
    fn registers_of_qemu_are_read_field_by_field() {
        let expected = Features {
            stream_bits: 16,
            two_level: true,
            command_bits: 19,
            event_bits: 19,
            output_bits: 44,
            ats: false,
            msi: false,
            el2: false,
        };
        let features = read(QEMU).unwrap();
        assert_eq!((features, features.output_size()), (expected, 4));
    }

    #[test]
    fn each_missing_feature_is_named() {
        let [idr0, idr1, idr5] = QEMU;
        for (registers, what) in [
            ([idr0 & !1, idr1, idr5], "stage 2"),
            ([idr0 & !(1 << 3), idr1, idr5], "the AArch64 table format"),
            ([idr0 & !(1 << 4), idr1, idr5], "coherent access to memory"),
            ([idr0, idr1, idr5 & !(1 << 4)], "the 4 KiB granule"),
            (
                [idr0, idr1 | 1 << 30, idr5],
                "queues and tables in ordinary memory",
            ),
        ] {
            assert_eq!(read(registers), Err(IommuError::Lacks(what)));
        }
    }

    #[test]
    fn addresses_of_52_bits_are_used_up_to_48() {
        let features = read([QEMU[0], QEMU[1], 0x56]).unwrap();
        assert_eq!((features.output_bits, features.output_size()), (48, 5));
    }
}
