//! IOMMUs: the register models of the drivers' own tests, on this board's bus and with its memory.

use std::cell::RefCell;
use std::rc::Rc;

use smmu::RegisterFrame;
use smmu::models::PhysicalMemory;

use super::WIDTH;
use crate::bus::Device;
use crate::memory::Ram;

/// The board's memory, as an IOMMU reads and writes it.
pub struct Walker(pub Rc<RefCell<Ram>>);

impl PhysicalMemory for Walker {
    fn load(&self, address: u64) -> Option<u64> {
        self.0.borrow().word(address).ok()
    }

    fn store(&self, address: u64, value: u64) {
        self.0.borrow_mut().write(address, &value.to_le_bytes());
    }
}

/// Registers of 32 bits.
pub struct Registers<R>(pub R);

impl<R: RegisterFrame> Device for Registers<R> {
    fn read(&mut self, _: usize, offset: u64, size: usize) -> Result<u64, &'static str> {
        match size == 4 && offset.is_multiple_of(4) {
            true => Ok(self.0.read(offset as usize).into()),
            false => Err(WIDTH),
        }
    }

    fn write(
        &mut self,
        _: usize,
        offset: u64,
        size: usize,
        value: u64,
    ) -> Result<(), &'static str> {
        match size == 4 && offset.is_multiple_of(4) {
            true => {
                self.0.write(offset as usize, value as u32);
                Ok(())
            }
            false => Err(WIDTH),
        }
    }
}
