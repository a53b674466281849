//! What an SMMUv2 says about itself, and where its registers are (Arm IHI 0062, SMMU_IDR0 to SMMU_IDR2, SMMU_IDR7, chapter 8).

use super::register_map::{IDR0, IDR1, IDR2, IDR7};
use crate::{IommuError, RegisterFrame, address_size};

/// How the SMMU finds the entry of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It compares the stream's number with what each entry holds.
    Matching {
        /// Numbers and masks have 16 bits rather than 15.
        extended: bool,
    },
    /// The stream's number is that of its entry.
    Indexing,
}

/// An SMMUv2's features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// How entries are found.
    pub lookup: Lookup,
    /// Stream mapping entries.
    pub entries: usize,
    /// Width of stream numbers in bits.
    pub stream_bits: u8,
    /// Context banks; each of them can do stage 2.
    pub banks: usize,
    /// There is stage 2 with tables of the AArch64 format and the 4 KiB granule.
    pub stage_2: bool,
    /// It can read tables through the CPUs' caches.
    pub coherent: bool,
    /// Width of partitions' addresses in bits.
    pub input_bits: u8,
    /// SMMU_IDR2.OAS: physical addresses, as the PASize field has it.
    pub output_size: u32,
    /// Major part of the implementation's revision.
    pub revision: u8,
    /// Bytes of a register page.
    page: usize,
    /// Pages of the global half, which are as many as those of the other half.
    pages: usize,
}

impl Features {
    /// Reads the identification registers.
    pub fn read(registers: &mut impl RegisterFrame) -> Self {
        let [idr0, idr1, idr2, idr7] =
            [IDR0, IDR1, IDR2, IDR7].map(|offset| registers.read(offset));
        let bit = |register: u32, bit: u32| register >> bit & 1 != 0;
        let extended = bit(idr0, 8);
        let stream_bits = match extended {
            true => 16,
            false => (idr0 >> 9 & 0xf) as u8,
        };
        let (lookup, entries) = match bit(idr0, 27) {
            true => (Lookup::Matching { extended }, (idr0 & 0xff) as usize),
            // There are at most 128 entries.
            false => (Lookup::Indexing, 1 << stream_bits.min(7)),
        };
        Self {
            lookup,
            entries: entries.min(128),
            stream_bits,
            banks: (idr1 & 0xff).min(128) as usize,
            stage_2: bit(idr0, 29) && bit(idr2, 12),
            coherent: bit(idr0, 14),
            input_bits: address_size::bits(idr2 & 0xf),
            output_size: (idr2 >> 4 & 0xf).min(5),
            revision: (idr7 >> 4 & 0xf) as u8,
            page: if bit(idr1, 31) { 0x1_0000 } else { 0x1000 },
            pages: 2 << (idr1 >> 28 & 0b111),
        }
    }

    /// True when its numbers and masks have 16 bits.
    pub fn is_extended(&self) -> bool {
        self.lookup == Lookup::Matching { extended: true }
    }

    /// Offset of a register of global register space 1.
    pub fn global_1(&self, offset: usize) -> usize {
        self.page + offset
    }

    /// Offset of a context bank's register.
    pub fn bank(&self, bank: usize, offset: usize) -> usize {
        (self.pages + bank) * self.page + offset
    }

    /// Checks that all registers are in the first `size` bytes.
    ///
    /// # Errors
    /// [`IommuError::Lacks`].
    pub fn fit(&self, size: u64) -> Result<(), IommuError> {
        if self.bank(self.banks, 0) as u64 > size {
            return Err(IommuError::Lacks(
                "registers of all its context banks in the device tree",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Identification;

    fn read([idr0, idr1, idr2, idr7]: [u32; 4]) -> Features {
        let registers = [(IDR0, idr0), (IDR1, idr1), (IDR2, idr2), (IDR7, idr7)];
        Features::read(&mut Identification(registers))
    }

    /// As an MMU-500 with 48 entries and 16 banks says it.
    const MMU_500: [u32; 4] = [0xfc01_5e30, 0x3000_0f10, 0x5555, 0x21];

    #[test]
    fn registers_of_an_mmu_500_are_read_field_by_field() {
        let found = read(MMU_500);
        let expected = Features {
            lookup: Lookup::Matching { extended: false },
            entries: 48,
            stream_bits: 15,
            banks: 16,
            stage_2: true,
            coherent: true,
            input_bits: 48,
            output_size: 5,
            revision: 2,
            page: 0x1000,
            pages: 16,
        };
        assert_eq!(found, expected);
        assert_eq!(found.global_1(0x400), 0x1400);
        assert_eq!(found.bank(2, 0x58), 0x1_2058);
    }

    #[test]
    fn pages_of_64_kib_move_the_registers() {
        let [idr0, _, idr2, idr7] = MMU_500;
        let found = read([idr0, 0xe000_0080, idr2, idr7]);
        assert_eq!((found.banks, found.global_1(4)), (128, 0x1_0004));
        assert_eq!(found.bank(1, 0), 0x81_0000);
    }

    #[test]
    fn registers_beyond_what_the_tree_gives_are_an_error() {
        let found = read(MMU_500);
        assert_eq!(found.fit(0x2_0000), Ok(()));
        assert!(matches!(found.fit(0x1_f000), Err(IommuError::Lacks(_))));
    }

    #[test]
    fn without_matching_entries_are_indexed_up_to_128() {
        let [_, idr1, idr2, idr7] = MMU_500;
        for (idr0, entries) in [(0xf400_4c00, 64), (0xf400_5e00, 128)] {
            let found = read([idr0, idr1, idr2, idr7]);
            assert_eq!((found.lookup, found.entries), (Lookup::Indexing, entries));
        }
    }

    #[test]
    fn extended_numbers_have_16_bits() {
        let [idr0, idr1, idr2, idr7] = MMU_500;
        let found = read([idr0 | 1 << 8, idr1, idr2, idr7]);
        assert!(found.is_extended());
        assert_eq!(found.stream_bits, 16);
    }
}
