//! Turns in the order in which they were asked for: the two words of a fair lock.

use super::atomic::{AtomicU32, Ordering};

/// Numbered tickets, one of which is served at a time.
#[derive(Debug)]
pub struct Tickets {
    /// Ticket that is drawn next.
    next: AtomicU32,
    /// Ticket that is served, or is about to be drawn when nobody is.
    serving: AtomicU32,
}

impl Tickets {
    /// Nobody has a turn; `first` is the number of the first ticket, and after `u32::MAX` comes 0.
    pub fn new(first: u32) -> Self {
        Self {
            next: AtomicU32::new(first),
            serving: AtomicU32::new(first),
        }
    }

    /// Draws a ticket and waits until it is served, with `relax` at each look. Sees what was written in all turns before.
    #[inline]
    pub fn wait(&self, relax: impl Fn()) {
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        while self.serving.load(Ordering::Acquire) != ticket {
            relax();
        }
    }

    /// Takes a turn if it is free; true when it was. Never waits.
    #[inline]
    pub fn try_take(&self) -> bool {
        let serving = self.serving.load(Ordering::Acquire);
        let then = serving.wrapping_add(1);
        // It is free exactly when the ticket being served is not drawn yet. Acquire on success pairs with the last release.
        let drawn =
            (self.next).compare_exchange(serving, then, Ordering::Acquire, Ordering::Relaxed);
        drawn.is_ok()
    }

    /// Ends the turn of the caller, who has it.
    #[inline]
    pub fn end(&self) {
        // Only the holder writes `serving`, so a load and a store do.
        let ticket = self.serving.load(Ordering::Relaxed);
        self.serving
            .store(ticket.wrapping_add(1), Ordering::Release);
    }
}
