//! The frames that translation tables are made of: 4 KiB each, reserved by the linker, handed out once and never taken back.

use core::sync::atomic::{AtomicU64, Ordering};

use model::Pa;
use model::memory::PAGE;

/// Descriptors in one page.
pub const ENTRIES: usize = 512;

/// One frame. Its entries are atomic because the table walker reads them while the builder writes.
#[repr(C, align(4096))]
pub struct Page([AtomicU64; ENTRIES]);

impl Page {
    /// A page of empty descriptors. A static array of them is `[const { Page::zeroed() }; N]`.
    pub const fn zeroed() -> Self {
        Self([const { AtomicU64::new(0) }; ENTRIES])
    }

    fn clear(&self) {
        for entry in &self.0 {
            entry.store(0, Ordering::Relaxed);
        }
    }
}

/// Where the frames lie, for finding a table by its physical address.
#[derive(Clone, Copy)]
pub(super) struct Frames {
    pages: &'static [Page],
    base: Pa,
}

impl Frames {
    /// `count` descriptors from `index` on of the table at `table`, all in one page. Tables may be concatenated: the index counts on
    /// through the following pages.
    pub(super) fn entries(
        &self,
        table: Pa,
        index: usize,
        count: usize,
    ) -> Option<&'static [AtomicU64]> {
        let first = usize::try_from(table.offset_from(self.base)? / PAGE).ok()?;
        let page = self.pages.get(first.checked_add(index / ENTRIES)?)?;
        page.0.get(index % ENTRIES..)?.get(..count)
    }

    /// True when both name the same memory.
    pub(super) fn same(&self, other: &Self) -> bool {
        core::ptr::eq(self.pages, other.pages) && self.base == other.base
    }
}

/// The pool has not as many frames left as were asked for, with the alignment asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no {0} frames left for translation tables")]
pub struct OutOfFrames(
    /// How many were asked for.
    pub usize,
);

/// Hands out zeroed frames.
///
/// Single frames come from the end, concatenated ones from the start: while the array itself is aligned to the size of the largest
/// root, no frame is lost to alignment and a pool of exactly as many pages as are needed suffices.
pub struct FramePool {
    frames: Frames,
    /// First free page.
    start: usize,
    /// One past the last free page.
    end: usize,
}

impl FramePool {
    /// A pool of `pages`, whose first one has the physical address `base`. `None` when that is not a multiple of 4 KiB, or the pages pass the end of the
    /// address space.
    pub fn new(pages: &'static mut [Page], base: Pa) -> Option<Self> {
        let end = pages.len();
        base.checked_add((end as u64).checked_mul(PAGE)?)?;
        base.is_aligned(PAGE).then_some(Self {
            frames: Frames { pages, base },
            start: 0,
            end,
        })
    }

    /// Frames that are left.
    pub fn remaining(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    pub(super) fn frames(&self) -> Frames {
        self.frames
    }

    /// Takes one zeroed frame.
    ///
    /// # Errors
    /// [`OutOfFrames`] when none is left.
    pub fn take(&mut self) -> Result<Pa, OutOfFrames> {
        if self.remaining() == 0 {
            return Err(OutOfFrames(1));
        }
        self.end -= 1;
        self.hand_out(self.end, 1).ok_or(OutOfFrames(1))
    }

    /// Takes `count` zeroed frames that follow one another, aligned to their total size. `count` is a power of two.
    ///
    /// # Errors
    /// [`OutOfFrames`] when no such run is left; the pool is unchanged then.
    pub fn take_aligned(&mut self, count: usize) -> Result<Pa, OutOfFrames> {
        if count == 1 {
            return self.take();
        }
        let first = self.aligned_start(count).ok_or(OutOfFrames(count))?;
        let pa = self.hand_out(first, count).ok_or(OutOfFrames(count))?;
        self.start = first + count;
        Ok(pa)
    }

    /// Index of the first free page whose address is a multiple of `count` pages, if the whole run is free.
    fn aligned_start(&self, count: usize) -> Option<usize> {
        if !count.is_power_of_two() {
            return None;
        }
        let base = usize::try_from(self.frames.base.get() / PAGE).ok()?;
        let first = base
            .checked_add(self.start)?
            .checked_next_multiple_of(count)?
            - base;
        (first.checked_add(count)? <= self.end).then_some(first)
    }

    fn hand_out(&self, first: usize, count: usize) -> Option<Pa> {
        for page in self.frames.pages.get(first..first.checked_add(count)?)? {
            page.clear();
        }
        self.frames.base.checked_add(first as u64 * PAGE)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Leaks `count` pages full of ones and makes a pool of them at `base`.
    pub(in super::super) fn pool(count: usize, base: u64) -> FramePool {
        let pages: Vec<Page> = (0..count)
            .map(|_| Page([const { AtomicU64::new(u64::MAX) }; ENTRIES]))
            .collect();
        FramePool::new(Box::leak(pages.into_boxed_slice()), Pa::new(base)).unwrap()
    }

    /// The 64-bit word at a physical address within the pool, read as a table walker reads it.
    pub(in super::super) fn word(pool: &FramePool, address: u64) -> u64 {
        let page = Pa::new(address & !(PAGE - 1));
        let entry = pool
            .frames()
            .entries(page, (address % PAGE / 8) as usize, 1);
        entry.unwrap()[0].load(Ordering::Acquire)
    }

    #[test]
    fn pool_hands_out_each_frame_once_then_refuses() {
        let mut pool = pool(8, 0x8000);

        let mut taken: Vec<u64> = (0..8).map(|_| pool.take().unwrap().get()).collect();

        taken.sort_unstable();
        let expected: Vec<u64> = (0..8).map(|n| 0x8000 + n * PAGE).collect();
        assert_eq!(taken, expected);
        assert_eq!(pool.take(), Err(OutOfFrames(1)));
    }

    #[test]
    fn dirty_frame_is_zero_when_handed_out() {
        let mut pool = pool(1, 0x8000);

        let frame = pool.take().unwrap();

        for index in 0..ENTRIES {
            let entry = pool.frames().entries(frame, index, 1).unwrap();
            assert_eq!(entry[0].load(Ordering::Relaxed), 0);
        }
    }

    #[test]
    fn aligned_run_skips_to_a_multiple_of_its_size() {
        let mut pool = pool(8, 0x9000);
        assert_eq!(pool.take_aligned(4), Ok(Pa::new(0xc000)));
        assert_eq!(pool.take_aligned(2), Err(OutOfFrames(2)));
    }

    #[test]
    fn aligned_runs_from_an_aligned_base_lose_no_frame() {
        let mut pool = pool(6, 0x10_0000);
        let single = pool.take().unwrap();
        let first = pool.take_aligned(2).unwrap();
        let other = pool.take().unwrap();
        let second = pool.take_aligned(2).unwrap();
        assert_eq!([first, second], [Pa::new(0x10_0000), Pa::new(0x10_2000)]);
        assert_eq!([single, other], [Pa::new(0x10_5000), Pa::new(0x10_4000)]);
        assert_eq!(pool.remaining(), 0);
    }

    #[test]
    fn run_that_does_not_fit_is_refused_and_changes_nothing() {
        let mut pool = pool(3, 0x10_0000);
        assert_eq!(pool.take_aligned(4), Err(OutOfFrames(4)));
        assert_eq!(pool.take_aligned(3), Err(OutOfFrames(3)));
        assert_eq!(pool.remaining(), 3);
    }

    #[test]
    fn misaligned_or_wrapping_base_makes_no_pool() {
        assert!(FramePool::new(&mut [], Pa::new(0x1001)).is_none());
        let base = Pa::new(u64::MAX - 0xfff);
        let pages = Box::leak(Box::new([Page::zeroed(), Page::zeroed()]));
        assert!(FramePool::new(pages, base).is_none());
    }

    #[test]
    fn entry_outside_the_pool_or_in_two_pages_is_none() {
        let frames = pool(2, 0x8000).frames();
        assert!(frames.entries(Pa::new(0x7000), 0, 1).is_none());
        assert!(frames.entries(Pa::new(0x9000), 512, 1).is_none());
        assert!(frames.entries(Pa::new(0x8000), 1023, 1).is_some());
        assert!(frames.entries(Pa::new(0x8000), 510, 3).is_none());
        assert_eq!(
            frames.entries(Pa::new(0x8000), 510, 2).map(<[_]>::len),
            Some(2)
        );
    }
}
