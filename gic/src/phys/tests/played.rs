//! Register frames that a test plays. Everything else is memory.

use std::cell::RefCell;

/// What a frame does at an access: offset, bytes, and the value of a write. Answers reads.
pub(super) type Play = Box<dyn FnMut(usize, usize, Option<u64>) -> u64>;

struct Frame {
    base: usize,
    size: usize,
    play: Play,
}

thread_local! {
    static FRAMES: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

/// Has `play` answer all accesses of this thread to `size` bytes at `base`, where there is no memory.
pub(super) fn play(base: usize, size: usize, play: Play) {
    FRAMES.with_borrow_mut(|frames| frames.insert(0, Frame { base, size, play }));
}

/// What a register can be as wide as.
pub(in crate::phys) trait Word: Copy {
    fn from_bits(bits: u64) -> Self;
    fn bits(self) -> u64;
}

macro_rules! words {
    ($($word:ty)+) => {
        $(impl Word for $word {
            fn from_bits(bits: u64) -> Self {
                bits as Self
            }
            fn bits(self) -> u64 {
                self.into()
            }
        })+
    };
}

words!(u8 u32 u64);

fn access(place: usize, size: usize, written: Option<u64>) -> Option<u64> {
    FRAMES.with_borrow_mut(|frames| {
        let inside = |frame: &&mut Frame| (frame.base..frame.base + frame.size).contains(&place);
        let frame = frames.iter_mut().find(inside)?;
        Some((frame.play)(place - frame.base, size, written))
    })
}

/// # Safety
/// As for [`core::ptr::read_volatile`], where no frame is played.
pub(in crate::phys) unsafe fn read_volatile<T: Word>(place: *const T) -> T {
    match access(place as usize, size_of::<T>(), None) {
        Some(bits) => T::from_bits(bits),
        // SAFETY: the caller's guarantee.
        None => unsafe { place.read_volatile() },
    }
}

/// # Safety
/// As for [`core::ptr::write_volatile`], where no frame is played.
pub(in crate::phys) unsafe fn write_volatile<T: Word>(place: *mut T, value: T) {
    if access(place as usize, size_of::<T>(), Some(value.bits())).is_none() {
        // SAFETY: the caller's guarantee.
        unsafe { place.write_volatile(value) }
    }
}
