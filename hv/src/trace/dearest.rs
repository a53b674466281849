//! The dearest exit of a pCPU since it started, with what happened around it.
//!
//! A new dearest exit opens a window of events, most of them before its end. Each event that comes then takes one of the window out of the ring into a place of its own, so that none costs
//! much more than others; meanwhile the ring still has them all.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use super::store::Store;
use super::{Event, ROOM};

/// Events in the window.
pub const WINDOW: usize = 32;
/// Those of them up to the entry after the exit.
const BEFORE: u64 = 24;
const _: () = assert!(ROOM >= 2 * WINDOW);

/// The dearest exit. Only the ring's own pCPU writes.
#[derive(Debug)]
pub(crate) struct Dearest {
    /// What it cost, in ticks.
    cost: AtomicU64,
    /// How many events there were with it.
    mark: AtomicU64,
    /// Events of the window that were taken out of the all.
    pub(super) taken: AtomicU64,
    slots: [[AtomicU64; Event::WORDS]; WINDOW],
}

impl Dearest {
    /// There was no exit.
    pub(super) const fn new() -> Self {
        Self {
            cost: AtomicU64::new(0),
            mark: AtomicU64::new(0),
            taken: AtomicU64::new(WINDOW as u64),
            slots: [const { [const { AtomicU64::new(0) }; Event::WORDS] }; WINDOW],
        }
    }

    /// The last event of the ring ended an exit that cost so much.
    #[inline]
    pub(super) fn consider(&self, all: &Store<ROOM>, cost: u64) {
        if cost > self.cost.load(Ordering::Relaxed) {
            self.cost.store(cost, Ordering::Relaxed);
            self.mark.store(all.count(), Ordering::Relaxed);
            self.taken.store(0, Ordering::Relaxed);
        }
    }

    /// True while the ring has events of the window that were not taken out.
    #[inline]
    pub(super) fn is_incomplete(&self) -> bool {
        self.taken.load(Ordering::Relaxed) < WINDOW as u64
    }

    /// Takes the next event of the window out of the all.
    pub(super) fn keep_one(&self, all: &Store<ROOM>) {
        let taken = self.taken.load(Ordering::Relaxed);
        let event = all.get(self.first() + taken);
        if let (Some(slot), Some(event)) = (self.slots.get(taken as usize), event) {
            for (place, word) in slot.iter().zip(event.words()) {
                place.store(word, Ordering::Relaxed);
            }
        }
        self.taken.store(taken + 1, Ordering::Relaxed);
    }

    /// Number of the first event of the window.
    fn first(&self) -> u64 {
        self.mark.load(Ordering::Relaxed).saturating_sub(BEFORE)
    }

    /// The numbers of the events around it, as far as they have come.
    pub(super) fn numbers(&self, all: &Store<ROOM>) -> Range<u64> {
        match self.mark.load(Ordering::Relaxed) {
            0 => 0..0,
            _ => self.first()..all.count().min(self.first() + WINDOW as u64),
        }
    }

    /// One of them.
    pub(super) fn get(&self, all: &Store<ROOM>, number: u64) -> Option<Event> {
        let place = number.checked_sub(self.first())?;
        if place >= self.taken.load(Ordering::Relaxed) {
            return all.get(number);
        }
        let slot = self.slots.get(place as usize)?;
        Some(Event::from_words(
            slot.each_ref().map(|word| word.load(Ordering::Relaxed)),
        ))
    }

    /// The entry after it, which has its kind and its cost.
    pub(super) fn exit(&self, all: &Store<ROOM>) -> Option<Event> {
        let number = self.mark.load(Ordering::Relaxed).checked_sub(1)?;
        self.get(all, number)
    }
}
