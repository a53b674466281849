//! The order of locks, checked for every thread of a test.

use std::cell::Cell;

use super::Rank;

/// Ranks that one CPU holds: bit n is the n-th rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held(u16);

impl Held {
    /// True when a lock of `rank` may be taken: none of the same or a higher rank is held.
    pub const fn allows(self, rank: Rank) -> bool {
        self.0 >> rank as u8 == 0
    }

    /// With a lock of `rank` held too.
    #[must_use]
    pub const fn with(self, rank: Rank) -> Self {
        Self(self.0 | 1 << rank as u8)
    }

    /// Without the lock of `rank`.
    #[must_use]
    pub const fn without(self, rank: Rank) -> Self {
        Self(self.0 & !(1 << rank as u8))
    }
}

thread_local! {
    static HELD: Cell<Held> = const { Cell::new(Held(0)) };
}

fn update(change: impl FnOnce(Held) -> Held) {
    HELD.with(|held| held.set(change(held.get())));
}

/// A lock of `rank` is taken.
pub(super) fn enter(rank: Rank) {
    update(|held| {
        assert!(
            held.allows(rank),
            "lock order: {rank:?} taken while {held:?} is held"
        );
        held.with(rank)
    });
}

/// A lock of `rank` is free again.
pub(super) fn leave(rank: Rank) {
    update(|held| held.without(rank));
}
