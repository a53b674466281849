//! What the register models share: the memory that IOMMUs read and write by themselves, and what comes of an access; and identification registers.

/// What became of a device's access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It reached this physical address.
    Reached(u64),
    /// It was ended with an error.
    Aborted,
}

/// Memory by physical address.
pub trait PhysicalMemory {
    /// The double word at this address; `None` where a bus error answers.
    fn load(&self, address: u64) -> Option<u64>;

    /// Writes the double word at this address.
    fn store(&self, address: u64, value: u64);
}

#[cfg(test)]
pub use identification::Identification;
#[cfg(test)]
pub use words::MEMORY;

#[cfg(test)]
mod identification {
    use crate::RegisterFrame;

    /// Registers that are only read: each with its offset. All others are zero.
    pub struct Identification<const N: usize>(pub [(usize, u32); N]);

    impl<const N: usize> RegisterFrame for Identification<N> {
        fn read(&mut self, offset: usize) -> u32 {
            let mut all = self.0.iter();
            all.find(|one| one.0 == offset).map_or(0, |one| one.1)
        }
        fn write(&mut self, _: usize, _: u32) {}
    }
}

#[cfg(test)]
mod words {
    use super::PhysicalMemory;
    use std::rc::Rc;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// First physical address of the memory of the drivers' tests.
    pub const MEMORY: u64 = 0x8000_0000;

    impl PhysicalMemory for Rc<[AtomicU64]> {
        fn load(&self, address: u64) -> Option<u64> {
            let index = address.checked_sub(MEMORY)? / 8;
            Some(self.get(index as usize)?.load(Ordering::SeqCst))
        }

        fn store(&self, address: u64, value: u64) {
            self[((address - MEMORY) / 8) as usize].store(value, Ordering::SeqCst);
        }
    }
}
