//! The product register of an R-Car: the chip and its cut.

use super::WIDTH;
use crate::bus::Device;

/// `PRR`.
pub struct Product(pub u32);

impl Device for Product {
    fn read(&mut self, _: usize, offset: u64, size: usize) -> Result<u64, &'static str> {
        match (offset, size) {
            (0, 4) => Ok(self.0.into()),
            _ => Err(WIDTH),
        }
    }

    fn write(&mut self, _: usize, _: u64, _: usize, _: u64) -> Result<(), &'static str> {
        Err("read-only")
    }
}
