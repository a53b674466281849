//! Memory that an IOMMU reads and writes by itself: tables and queues.

use core::sync::atomic::{AtomicU64, Ordering};

use model::Pa;
use model::memory::PAGE;

/// Double words in a page.
pub const PAGE_WORDS: usize = (PAGE / 8) as usize;

/// Whole pages, physically contiguous, that the hypervisor shares with IOMMUs and with nobody else. Cacheable; the IOMMU's accesses are
/// coherent with the caches.
#[derive(Clone, Copy, Debug)]
pub struct SharedMemory<'a> {
    words: &'a [AtomicU64],
    base: Pa,
}

impl<'a> SharedMemory<'a> {
    /// The memory at physical address `base`, which is a multiple of 4096. What is behind its last whole page is not used.
    pub const fn new(words: &'a [AtomicU64], base: Pa) -> Self {
        Self { words, base }
    }

    /// Its physical address.
    pub const fn base(&self) -> Pa {
        self.base
    }

    /// Length in pages.
    pub const fn pages(&self) -> usize {
        self.words.len() / PAGE_WORDS
    }

    /// Takes `pages` pages from the front, beginning at a multiple of `alignment` pages, a power of two; what lies before that is lost.
    /// `None`, and nothing is taken, when there are not so many.
    pub fn take(&mut self, pages: usize, alignment: usize) -> Option<Self> {
        let number = usize::try_from(self.base.get() / PAGE).ok()?;
        let skipped = number.checked_next_multiple_of(alignment)? - number;
        let (_, rest) = self.words.split_at_checked(skipped * PAGE_WORDS)?;
        let (words, rest) = rest.split_at_checked(pages.checked_mul(PAGE_WORDS)?)?;
        let base = Pa::new(self.base.get() + skipped as u64 * PAGE);
        *self = Self {
            words: rest,
            base: base.checked_add(pages as u64 * PAGE)?,
        };
        Some(Self { words, base })
    }

    /// The double word at this index; 0 beyond the end.
    pub fn read(&self, index: usize) -> u64 {
        self.words
            .get(index)
            .map_or(0, |word| u64::from_le(word.load(Ordering::Relaxed)))
    }

    /// Writes the double word at this index; nothing beyond the end. The IOMMU is sure to see it after [`publish`].
    pub fn write(&self, index: usize, value: u64) {
        if let Some(word) = self.words.get(index) {
            word.store(value.to_le(), Ordering::Relaxed);
        }
    }

    /// Fills it with zeros.
    pub fn clear(&self) {
        for word in self.words {
            word.store(0, Ordering::Relaxed);
        }
    }
}

/// Orders memory against registers, both ways: what was written before is seen by an IOMMU that a later register write tells of it, and
/// what is read later is at least as new as what an earlier register read told.
pub fn publish() {
    // A DMB of the Inner Shareable domain, which a fence is on Arm, need not reach an IOMMU outside of it.
    #[cfg(all(target_os = "none", target_arch = "aarch64"))]
    aarch64_cpu::asm::barrier::dsb(aarch64_cpu::asm::barrier::SY);
    #[cfg(not(all(target_os = "none", target_arch = "aarch64")))]
    core::sync::atomic::fence(Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(pages: usize) -> std::vec::Vec<AtomicU64> {
        (0..pages * PAGE_WORDS).map(|_| AtomicU64::new(7)).collect()
    }

    #[test]
    fn pages_are_taken_one_behind_the_other() {
        let words = words(3);
        let mut memory = SharedMemory::new(&words, Pa::new(0x1000));
        let first = memory.take(1, 1).unwrap();
        let second = memory.take(2, 1).unwrap();
        assert_eq!([first.base(), second.base()], [0x1000, 0x2000].map(Pa::new));
        assert_eq!([first.pages(), second.pages(), memory.pages()], [1, 2, 0]);
        assert!(memory.take(1, 1).is_none());
    }

    #[test]
    fn alignment_is_that_of_the_physical_address() {
        let words = words(6);
        let mut memory = SharedMemory::new(&words, Pa::new(0x3000));
        assert_eq!(memory.take(2, 2).unwrap().base(), Pa::new(0x4000));
        assert_eq!(memory.pages(), 3);
        assert!(memory.take(2, 8).is_none());
        assert_eq!(memory.pages(), 3);
    }

    #[test]
    fn word_beyond_the_end_reads_zero_and_ignores_writes() {
        let words = words(1);
        let memory = SharedMemory::new(&words, Pa::new(0));
        memory.write(PAGE_WORDS, 1);
        memory.write(PAGE_WORDS - 1, 3);
        assert_eq!(memory.read(PAGE_WORDS), 0);
        assert_eq!([memory.read(0), memory.read(PAGE_WORDS - 1)], [7, 3]);
        memory.clear();
        assert_eq!(memory.read(0), 0);
    }
}
