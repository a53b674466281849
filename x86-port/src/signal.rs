//! What one virtual CPU has done to another of its partition by an interrupt command, and the other has not seen yet.

use core::sync::atomic::{AtomicU32, Ordering};

/// What waits for a virtual CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// A non-maskable interrupt, one for any number of them.
    pub non_maskable: bool,
    /// INIT, before what else is here.
    pub init: bool,
    /// Startup at this page.
    pub startup: Option<u8>,
}

/// Signals on their way to one virtual CPU. Many send, one takes.
pub struct Mailbox(AtomicU32);

const NON_MASKABLE: u32 = 1 << 8;
const INIT: u32 = 1 << 9;
const STARTUP: u32 = 1 << 10;
const PAGE: u32 = 0xff;

impl Mailbox {
    /// Nothing waits.
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// A non-maskable interrupt. True, here and below, when its CPU is to be called: nothing waited before.
    pub fn non_maskable(&self) -> bool {
        self.0.fetch_or(NON_MASKABLE, Ordering::AcqRel) == 0
    }

    /// INIT: what came before it is forgotten.
    pub fn init(&self) -> bool {
        self.0.swap(INIT, Ordering::AcqRel) == 0
    }

    /// Startup at `page`. The first one counts: a CPU that has started takes no second.
    pub fn startup(&self, page: u8) -> bool {
        let add =
            |before: u32| (before & STARTUP == 0).then_some(before | STARTUP | u32::from(page));
        let before = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, add);
        before == Ok(0)
    }

    /// True when something waits.
    pub fn is_used(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }

    /// Takes what waits.
    pub fn take(&self) -> Signals {
        let taken = self.0.swap(0, Ordering::AcqRel);
        Signals {
            non_maskable: taken & NON_MASKABLE != 0,
            init: taken & INIT != 0,
            startup: (taken & STARTUP != 0).then_some((taken & PAGE) as u8),
        }
    }
}

impl Default for Mailbox {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_taken_once() {
        let mailbox = Mailbox::new();
        assert!(!mailbox.is_used() && mailbox.non_maskable());
        assert!(mailbox.is_used() && !mailbox.non_maskable());
        let taken = mailbox.take();
        assert!(taken.non_maskable && !taken.init && taken.startup.is_none());
        assert_eq!(mailbox.take(), Signals::default());
    }

    #[test]
    fn first_startup_counts_and_comes_after_an_init() {
        let mailbox = Mailbox::new();
        // One call for all of them.
        assert!(mailbox.init() && !mailbox.startup(0x08) && !mailbox.startup(0x99));
        let taken = mailbox.take();
        assert_eq!((taken.init, taken.startup), (true, Some(0x08)));
    }

    #[test]
    fn init_forgets_what_came_before_it() {
        let mailbox = Mailbox::new();
        assert!(mailbox.startup(0x08) && !mailbox.non_maskable() && !mailbox.init());
        let taken = mailbox.take();
        let init = Signals {
            init: true,
            ..Signals::default()
        };
        assert_eq!(taken, init);
    }
}
