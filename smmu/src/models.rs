//! What the register models share: the memory that IOMMUs read and write by themselves.

/// Memory by physical address.
pub trait PhysicalMemory {
    /// The double word at this address; `None` where a bus error answers.
    fn load(&self, address: u64) -> Option<u64>;

    /// Writes the double word at this address.
    fn store(&self, address: u64, value: u64);
}

#[cfg(test)]
pub use words::MEMORY;

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
