//! DMA of QEMU's `edu` device, which sleeps while a transfer goes on.

use board::Board;
use board::sleep::Sleeper;

pub use edu::SIZE;

/// The device.
pub struct Edu<'a> {
    device: edu::Edu,
    sleeper: &'a Sleeper,
}

impl<'a> Edu<'a> {
    /// Looks for the device.
    ///
    /// # Errors
    /// What is missing.
    pub fn find(board: &Board, sleeper: &'a Sleeper) -> Result<Self, &'static str> {
        let device = edu::Edu::find(board)?;
        Ok(Self { device, sleeper })
    }

    /// Has the device fill itself from `address`. At most [`SIZE`] bytes.
    pub fn read(&self, address: u64, bytes: u64) {
        self.device.read(address, bytes);
        self.wait();
    }

    /// Has the device write what it holds to `address`. At most [`SIZE`] bytes.
    pub fn write(&self, address: u64, bytes: u64) {
        self.device.write(address, bytes);
        self.wait();
    }

    fn wait(&self) {
        let idle = || self.device.is_idle();
        if !self.sleeper.wait_until(edu::PATIENCE_US, idle) {
            crate::fail("the device does not end its transfer");
        }
    }
}
