//! Access to a page of 32-bit registers.

use core::ptr::NonNull;

use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::ReadPureWrite;

use crate::IommuError;

/// Registers in the first 4 KiB page of an IOMMU.
const REGISTERS: usize = 1024;

/// Reads of a register before its IOMMU counts as stuck. The slowest answer known, a change of global attributes, takes some
/// thousands of bus cycles.
const PATIENCE: u32 = 100_000;

/// A page of 32-bit registers, real or a model in a test.
pub trait RegisterFrame {
    /// The register at `offset`, a multiple of 4 below 4096.
    fn read(&mut self, offset: usize) -> u32;

    /// Writes the register at `offset`, a multiple of 4 below 4096.
    fn write(&mut self, offset: usize, value: u32);

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
    page: UniqueMmioPointer<'a, [ReadPureWrite<u32>; REGISTERS]>,
}

impl Mmio<'static> {
    /// The page of registers at virtual address `base`.
    ///
    /// # Safety
    /// `base` is not 0, is a multiple of 4096, and is mapped as Device memory to the registers of an IOMMU for as long as the program
    /// runs. No one else uses them at the same time.
    pub unsafe fn new(base: usize) -> Self {
        let page = core::ptr::with_exposed_provenance_mut(base);
        // SAFETY: not null, mapped and exclusive by this function's own contract.
        let page = unsafe { UniqueMmioPointer::new(NonNull::new_unchecked(page)) };
        Self { page }
    }
}

impl RegisterFrame for Mmio<'_> {
    fn read(&mut self, offset: usize) -> u32 {
        self.page
            .get(offset / 4)
            .map_or(0, |register| register.read())
    }

    fn write(&mut self, offset: usize, value: u32) {
        if let Some(mut register) = self.page.get(offset / 4) {
            register.write(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mmio_reads_and_writes_the_register_at_its_offset_and_nothing_beyond_the_page() {
        let mut memory = [const { ReadPureWrite(0_u32) }; REGISTERS];
        let mut registers = Mmio {
            page: UniqueMmioPointer::from(&mut memory),
        };
        registers.write(0x44, 7);
        registers.write(0x1000, 9);
        assert_eq!([registers.read(0x44), registers.read(0x1000)], [7, 0]);
        assert_eq!(memory[0x11].0, 7);
    }
}
