//! What the virtual CPUs of a partition do together: when it is not to run, each leaves the guest; the first waits for the others and does what is to be
//! done.
//!
//! Who asks for a phase looks at who is outside then; who goes inside looks at the phase then. One of the two always sees the other, however close they
//! come, and a partition that starts again before all have noticed that it ran finds them where it needs them.

use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Where a partition is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Its virtual CPUs run, or wait for their startup.
    Running,
    /// They gather outside of the guest: the image is put into place, and the first begins.
    Starting,
    /// They gather for good.
    Stopping,
    /// It has stopped.
    Stopped,
}

impl Phase {
    const fn of(value: u8) -> Self {
        match value {
            0 => Self::Running,
            1 => Self::Starting,
            2 => Self::Stopping,
            _ => Self::Stopped,
        }
    }
}

/// The phase of a partition, and which of its virtual CPUs are outside of the guest.
pub struct Gathering {
    phase: AtomicU8,
    /// A bit for each.
    outside: AtomicU64,
}

impl Gathering {
    /// The most virtual CPUs that a partition can have.
    pub const MOST: usize = 64;

    /// Of a partition that is to start; nobody has noticed.
    #[allow(
        clippy::declare_interior_mutable_const,
        reason = "a value to start from, copied wherever it is named"
    )]
    pub const NEW: Self = Self {
        phase: AtomicU8::new(Phase::Starting as u8),
        outside: AtomicU64::new(0),
    };

    /// What the virtual CPUs are to do.
    pub fn phase(&self) -> Phase {
        Phase::of(self.phase.load(Ordering::SeqCst))
    }

    /// Asks for a phase; of several that are asked for the last one in their order wins.
    pub fn ask(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::SeqCst);
    }

    /// The virtual CPU `number` is outside of the guest. True when all of `count` are.
    pub fn leave(&self, number: usize, count: usize) -> bool {
        self.outside.fetch_or(1 << number, Ordering::SeqCst);
        self.have_left(count)
    }

    /// True when all of `count` virtual CPUs are outside.
    pub fn have_left(&self, count: usize) -> bool {
        let all = u64::MAX >> (Self::MOST - count);
        self.outside.load(Ordering::SeqCst) & all == all
    }

    /// The virtual CPU `number` goes inside, if the partition runs: false: it stays outside.
    pub fn enter(&self, number: usize) -> bool {
        self.outside.fetch_and(!(1 << number), Ordering::SeqCst);
        let runs = self.phase() == Phase::Running;
        if !runs {
            self.outside.fetch_or(1 << number, Ordering::SeqCst);
        }
        runs
    }

    /// All have left, and what was asked for is done: the partition runs, and the first is inside.
    pub fn run(&self) {
        self.outside.fetch_and(!1, Ordering::SeqCst);
        self.phase.store(Phase::Running as u8, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn last_one_that_leaves_learns_it_and_leaving_twice_counts_once() {
        let gathering = Gathering::NEW;
        assert!(!gathering.leave(1, 3));
        assert!(!gathering.leave(1, 3) && !gathering.leave(0, 3));
        assert!(gathering.leave(2, 3) && gathering.have_left(3));
        assert!((0..Gathering::MOST).all(|number| gathering.leave(number, 64) == (number == 63)));
    }

    #[test]
    fn stop_wins_over_a_restart_that_is_asked_for_later() {
        let gathering = Gathering::NEW;
        gathering.ask(Phase::Stopping);
        gathering.ask(Phase::Starting);
        assert_eq!(gathering.phase(), Phase::Stopping);
    }

    #[test]
    fn one_that_has_not_noticed_that_the_partition_ran_is_still_outside_when_it_starts_again() {
        let gathering = Gathering::NEW;
        assert!(!gathering.leave(0, 2) && gathering.leave(1, 2));
        gathering.run();
        gathering.ask(Phase::Starting);
        // The first leaves again; the other has seen nothing of all this, and stays.
        assert!(gathering.leave(0, 2));
        assert!(!gathering.enter(1) && gathering.have_left(2));
        gathering.run();
        assert!(gathering.enter(1) && !gathering.have_left(2));
    }

    /// Two threads as virtual CPUs, the first of which starts the partition anew all the time: the other is never inside while it does.
    #[test]
    fn nobody_is_inside_while_the_first_changes_memory() {
        const ROUNDS: usize = 20_000;
        let gathering = Gathering::NEW;
        let (inside, over) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                gathering.leave(1, 2);
                while !over.load(Ordering::SeqCst) {
                    if gathering.enter(1) {
                        inside.store(true, Ordering::SeqCst);
                        while gathering.phase() == Phase::Running && !over.load(Ordering::SeqCst) {
                            std::hint::spin_loop();
                        }
                        inside.store(false, Ordering::SeqCst);
                        gathering.leave(1, 2);
                    }
                }
            });
            for _ in 0..ROUNDS {
                gathering.leave(0, 2);
                while !gathering.have_left(2) {
                    std::thread::yield_now();
                }
                assert!(!inside.load(Ordering::SeqCst));
                gathering.run();
                gathering.ask(Phase::Starting);
            }
            over.store(true, Ordering::SeqCst);
        });
    }
}
