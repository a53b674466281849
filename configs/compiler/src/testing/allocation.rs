//! Counts what the test program's threads allocate, so that a test can bound the memory that hostile input costs.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes that this thread has allocated and not freed. Negative when it frees what another one allocated.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    /// The largest value of `LIVE` since [`peak_of`] began.
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(change: isize) {
    // A thread that ends may free after its counters are gone: nobody asks for them then.
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + change);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

// SAFETY: every call goes to the system's allocator unchanged; counting allocates nothing, as the counters are const thread locals
// without destructors.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise about the layout is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise about the layout is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the block came from the system's allocator with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: the block came from the system's allocator with this layout.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// Runs `work` and says how many bytes this thread held at most at one time because of it.
pub(crate) fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = work();
    (result, (PEAK.get() - before).max(0) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_was_freed_meanwhile_counts_at_its_peak() {
        let ((), peak) = peak_of(|| {
            drop(std::hint::black_box(vec![1u8; 100_000]));
            drop(std::hint::black_box(vec![1u8; 50_000]));
        });
        assert!((100_000..110_000).contains(&peak), "{peak}");
    }

    #[test]
    fn what_another_thread_allocates_is_not_counted() {
        let ((), peak) = peak_of(|| {
            let other = std::thread::spawn(|| drop(std::hint::black_box(vec![1u8; 10_000_000])));
            other.join().unwrap();
        });
        assert!(peak < 1_000_000, "{peak}");
    }
}
