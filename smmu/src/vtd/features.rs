//! What a remapping unit says about itself (Intel 671081, 11.4.2 and 11.4.3), as far as the driver must know it.

use model::memory::PAGE;

use super::register_map::{CAP, ECAP};
use crate::{IommuError, RegisterFrame};

/// The features of a unit that can walk the tables of the CPU's nested paging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// How many domain numbers there are, from 0 on.
    pub domains: u32,
    /// Width of devices' addresses in bits.
    pub address_bits: u8,
    /// Internal buffers must be flushed before tables count.
    pub flushes_buffers: bool,
    /// There are regions that firmware may have protected.
    pub protected_regions: bool,
    /// An invalidation can wait for writes and for reads under way.
    pub drains: [bool; 2],
    /// Where the fault records are.
    pub records: usize,
    /// How many, 1 to 256.
    pub record_count: u16,
}

impl Features {
    /// Reads the capability registers.
    ///
    /// # Errors
    /// [`IommuError::Lacks`] names the first thing that is missing.
    pub fn read(registers: &mut impl RegisterFrame) -> Result<Self, IommuError> {
        let mut double = |offset: usize| {
            u64::from(registers.read(offset)) | u64::from(registers.read(offset + 4)) << 32
        };
        let [capabilities, extended] = [CAP, ECAP].map(&mut double);
        let bit = |register: u64, bit: u32| register >> bit & 1 != 0;
        let needs = [
            (bit(capabilities, 10), "tables of four levels"),
            (bit(capabilities, 34), "pages of 2 MiB"),
            (bit(extended, 1), "an invalidation queue"),
            (bit(extended, 3), "interrupt remapping"),
            (bit(extended, 4), "interrupts to x2APICs"),
        ];
        if let Some((_, what)) = needs.iter().find(|(there, _)| !there) {
            return Err(IommuError::Lacks(what));
        }
        let records = (capabilities >> 24 & 0x3ff) as usize * 16;
        let record_count = (capabilities >> 40 & 0xff) as u16 + 1;
        if records + usize::from(record_count) * 16 > PAGE as usize {
            return Err(IommuError::Lacks("fault records in its first page"));
        }
        Ok(Self {
            domains: 1 << (4 + 2 * (capabilities & 0b111)).min(16),
            address_bits: (capabilities >> 16 & 0x3f) as u8 + 1,
            flushes_buffers: bit(capabilities, 4),
            protected_regions: bit(capabilities, 5) || bit(capabilities, 6),
            drains: [bit(capabilities, 54), bit(capabilities, 55)],
            records,
            record_count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Identification;

    /// What QEMU's unit says of itself.
    const CAPABILITIES: u64 = 0x00d2_008c_222f_0686;
    const EXTENDED: u64 = 0x0000_0000_00f0_0f5a;

    fn read(capabilities: u64, extended: u64) -> Result<Features, IommuError> {
        let halves =
            |offset, value: u64| [(offset, value as u32), (offset + 4, (value >> 32) as u32)];
        let [a, b] = halves(CAP, capabilities);
        let [c, d] = halves(ECAP, extended);
        Features::read(&mut Identification([a, b, c, d]))
    }

    #[test]
    fn features_are_those_of_the_registers() {
        let expected = Features {
            domains: 1 << 16,
            address_bits: 48,
            flushes_buffers: false,
            protected_regions: false,
            drains: [true, true],
            records: 0x220,
            record_count: 1,
        };
        assert_eq!(read(CAPABILITIES, EXTENDED), Ok(expected));
    }

    #[test]
    fn first_thing_that_is_missing_is_named() {
        for (capabilities, extended, what) in [
            (1 << 10, 0, "tables of four levels"),
            (1 << 34, 0, "pages of 2 MiB"),
            (0, 1 << 1, "an invalidation queue"),
            (0, 1 << 3, "interrupt remapping"),
            (0, 1 << 4, "interrupts to x2APICs"),
        ] {
            let found = read(CAPABILITIES & !capabilities, EXTENDED & !extended);
            assert_eq!(found, Err(IommuError::Lacks(what)));
        }
    }
}
