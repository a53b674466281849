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
pub use tables::Tables;
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

#[cfg(test)]
mod tables {
    use std::rc::Rc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use model::{Pa, Vmid};

    use super::MEMORY;
    use crate::memory::PAGE_WORDS;
    use crate::{Domain, SharedMemory};

    /// Pages of a partition's tables.
    const PAGES: usize = 4;

    /// Memory full of garbage: a driver's pages, behind them the tables of two partitions, and a page of nobody's.
    pub struct Tables {
        /// All of it.
        pub words: Rc<[AtomicU64]>,
        own: usize,
    }

    impl Tables {
        /// With so many pages for the driver.
        pub fn new(own: usize) -> Self {
            let total = (own + 2 * PAGES + 1) * PAGE_WORDS;
            let words = (0..total).map(|_| AtomicU64::new(u64::MAX)).collect();
            Self { words, own }
        }

        /// The driver's pages.
        pub fn own(&self) -> SharedMemory<'_> {
            self.front(self.own)
        }

        /// So many pages from the front.
        pub fn front(&self, pages: usize) -> SharedMemory<'_> {
            SharedMemory::new(&self.words[..pages * PAGE_WORDS], Pa::new(MEMORY))
        }

        /// Where a partition's tables begin; those of the third, which there is not, are garbage.
        pub fn of(&self, partition: usize) -> u64 {
            MEMORY + ((self.own + PAGES * partition) * 4096) as u64
        }

        /// Writes a partition's tables, which are empty but for these entries: page, place in it, value.
        pub fn write(&self, partition: usize, entries: &[(usize, usize, u64)]) {
            let index = ((self.of(partition) - MEMORY) / 8) as usize;
            let words = &self.words[index..][..PAGES * PAGE_WORDS];
            for word in words {
                word.store(0, Ordering::SeqCst);
            }
            for (page, entry, value) in entries {
                words[page * PAGE_WORDS + entry].store(*value, Ordering::SeqCst);
            }
        }

        /// What a partition maps.
        pub fn domain(&self, partition: usize, ipa_bits: u8) -> Domain {
            Domain {
                vmid: Vmid::new(partition as u16 + 1),
                root: Pa::new(self.of(partition)),
                ipa_bits,
            }
        }
    }
}
