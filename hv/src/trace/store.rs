//! A number of events, the latest ones.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use super::Event;

/// Room for `ROOM` events, a power of two. One pCPU writes; others read what it wrote.
#[derive(Debug)]
#[repr(C)]
pub struct Store<const ROOM: usize> {
    /// How many events there were.
    pub(super) count: AtomicU64,
    pub(super) slots: [[AtomicU64; Event::WORDS]; ROOM],
}

impl<const ROOM: usize> Store<ROOM> {
    /// Nothing has happened.
    pub(super) const fn new() -> Self {
        const { assert!(ROOM.is_power_of_two()) };
        Self {
            count: AtomicU64::new(0),
            slots: [const { [const { AtomicU64::new(0) }; Event::WORDS] }; ROOM],
        }
    }

    /// Adds an event. When there is no room the oldest one goes.
    #[inline]
    pub(super) fn put(&self, event: Event) {
        let count = self.count.load(Ordering::Relaxed);
        if let Some(slot) = self.slots.get(count as usize % ROOM) {
            for (place, word) in slot.iter().zip(event.words()) {
                place.store(word, Ordering::Relaxed);
            }
        }
        self.count.store(count.wrapping_add(1), Ordering::Release);
    }

    /// How many events there were, those included that are gone.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// The numbers of the events that are there. When there were more, the oldest one is left out: it may be about to go.
    pub(super) fn numbers(&self) -> Range<u64> {
        let count = self.count();
        count.saturating_sub(ROOM as u64 - 1)..count
    }

    /// The event with a number that is [there](Self::numbers).
    pub(super) fn get(&self, number: u64) -> Option<Event> {
        let slot = self.slots.get(number as usize % ROOM)?;
        let words = slot.each_ref().map(|word| word.load(Ordering::Relaxed));
        Some(Event::from_words(words))
    }

    /// The last events, the oldest of them first: at most `most`.
    pub(super) fn last(&self, most: usize) -> impl Iterator<Item = Event> {
        let Range { start, end } = self.numbers();
        let first = start.max(end.saturating_sub(most as u64));
        (first..end).filter_map(|number| self.get(number))
    }
}
