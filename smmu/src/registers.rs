//! Access to 32-bit registers.

use core::ptr::NonNull;

use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::ReadPureWrite;

use crate::IommuError;

/// Reads of a register before its IOMMU counts as stuck. The slowest answer known, a change of global attributes, takes some
/// thousands of bus cycles.
pub(crate) const PATIENCE: u32 = 100_000;

/// 32-bit registers, real or a model in a test.
pub trait RegisterFrame {
    /// The register at `offset`, a multiple of 4.
    fn read(&mut self, offset: usize) -> u32;

    /// Writes the register at `offset`, a multiple of 4.
    fn write(&mut self, offset: usize, value: u32);

    /// Writes the 64-bit register at `offset`, a multiple of 8, in two halves. Only for registers that nothing uses meanwhile.
    fn write_double(&mut self, offset: usize, value: u64) {
        self.write(offset, value as u32);
        self.write(offset + 4, (value >> 32) as u32);
    }

    /// Waits until the register at `offset`, masked by `mask`, is `value`.
    ///
    /// # Errors
    /// [`IommuError::Stuck`] when that does not happen within a bounded number of reads.
    fn wait_for(&mut self, offset: usize, mask: u32, value: u32) -> Result<(), IommuError> {
        for _ in 0..PATIENCE {
            if self.read(offset) & mask == value {
                return Ok(());
            }
            core::hint::spin_loop();
        }
        Err(IommuError::Stuck(offset))
    }
}

/// Real registers.
pub struct Mmio<'a> {
    registers: UniqueMmioPointer<'a, [ReadPureWrite<u32>]>,
}

impl Mmio<'static> {
    /// The registers in the `size` bytes from virtual address `base` on.
    ///
    /// # Safety
    /// `base` is not 0, is a multiple of 4, and `size` bytes from it on are mapped as Device memory to the registers of a device for as
    /// long as the program runs. No one else uses them at the same time.
    pub unsafe fn new(base: usize, size: usize) -> Self {
        let first = core::ptr::with_exposed_provenance_mut(base);
        let all = core::ptr::slice_from_raw_parts_mut(first, size / size_of::<u32>());
        // SAFETY: not null, mapped and exclusive by this function's own contract.
        let registers = unsafe { UniqueMmioPointer::new(NonNull::new_unchecked(all)) };
        Self { registers }
    }
}

impl RegisterFrame for Mmio<'_> {
    fn read(&mut self, offset: usize) -> u32 {
        self.registers
            .get(offset / 4)
            .map_or(0, |register| register.read())
    }

    fn write(&mut self, offset: usize, value: u32) {
        if let Some(mut register) = self.registers.get(offset / 4) {
            register.write(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mmio_reads_and_writes_the_register_at_its_offset_and_nothing_beyond_the_end() {
        let mut memory = [const { ReadPureWrite(0_u32) }; 0x400];
        let mut registers = Mmio {
            registers: UniqueMmioPointer::from(memory.as_mut_slice()),
        };
        registers.write(0x44, 7);
        registers.write(0x1000, 9);
        assert_eq!([registers.read(0x44), registers.read(0x1000)], [7, 0]);
        assert_eq!(memory[0x11].0, 7);
    }

    #[test]
    fn double_word_is_written_low_half_first_at_the_lower_offset() {
        let mut memory = [const { ReadPureWrite(0_u32) }; 4];
        let mut registers = Mmio {
            registers: UniqueMmioPointer::from(memory.as_mut_slice()),
        };
        registers.write_double(8, 0x1_0000_0002);
        assert_eq!([memory[2].0, memory[3].0], [2, 1]);
    }
}
