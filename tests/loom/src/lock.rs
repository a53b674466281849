//! The fair lock.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use crate::tickets::Tickets;

/// A counter that only the holder of the turn touches; loom fails when two do at once, or one does without seeing the other's writes.
struct Counter {
    tickets: Tickets,
    value: UnsafeCell<u32>,
}

impl Counter {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            tickets: Tickets::new(u32::MAX),
            value: UnsafeCell::new(0),
        })
    }

    /// Adds 1 in a turn that the caller has, and ends it.
    fn add(&self) {
        // SAFETY: whoever has the turn is alone; that is what loom checks.
        self.value.with_mut(|value| unsafe { *value += 1 });
        self.tickets.end();
    }

    fn value(&self) -> u32 {
        self.tickets.wait(thread::yield_now);
        // SAFETY: as in `add`.
        let value = self.value.with(|value| unsafe { *value });
        self.tickets.end();
        value
    }
}

#[test]
fn turns_never_overlap_and_see_what_earlier_ones_wrote() {
    loom::model(|| {
        let counter = Counter::new();
        let other = Arc::clone(&counter);
        let thread = thread::spawn(move || {
            other.tickets.wait(thread::yield_now);
            other.add();
        });
        counter.tickets.wait(thread::yield_now);
        counter.add();
        thread.join().unwrap();
        assert_eq!(counter.value(), 2);
    });
}

#[test]
fn turn_that_is_tried_for_is_had_alone_or_not_at_all() {
    loom::model(|| {
        let counter = Counter::new();
        let other = Arc::clone(&counter);
        let thread = thread::spawn(move || {
            let mine = other.tickets.try_take();
            if mine {
                other.add();
            }
            u32::from(mine)
        });
        counter.tickets.wait(thread::yield_now);
        counter.add();
        let others = thread.join().unwrap();
        assert_eq!(counter.value(), 1 + others);
    });
}
