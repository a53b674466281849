//! Waiting without work: in WFI, until the virtual timer's interrupt.
//!
//! Under QEMU's `-icount` CPUs take turns on one clock, each for a share of the time to the next timer. One that polls burns its whole turn, and may
//! so keep another one waiting that has something to do.

use crate::timer::{self, Timer};
use crate::{Board, cpu};

/// From one look at a condition to the next, in microseconds.
const PERIOD: u64 = 1_000;

/// A CPU that takes no interrupt but sleeps until its virtual timer's.
pub struct Sleeper(&'static Board);

impl Sleeper {
    /// Masks interrupts and sets the interrupt controller up for the virtual timer's.
    pub fn new(board: &'static Board) -> Self {
        cpu::mask_interrupts();
        board.gic.init_distributor();
        board.gic.init_cpu();
        board.gic.enable(board.virtual_timer);
        Self(board)
    }

    /// Sleeps for so many microseconds.
    pub fn sleep(&self, microseconds: u64) {
        let deadline = Timer::Virtual.now() + timer::ticks(microseconds);
        Timer::Virtual.arm(deadline);
        while Timer::Virtual.now() < deadline {
            cpu::wait_for_interrupt();
        }
        Timer::Virtual.disarm();
        if let Some(interrupt) = self.0.gic.acknowledge() {
            self.0.gic.end(interrupt);
        }
    }

    /// Looks every millisecond whether `condition` holds, for so many microseconds at most, and says whether it held.
    pub fn wait_until(&self, microseconds: u64, mut condition: impl FnMut() -> bool) -> bool {
        let mut slept = 0;
        loop {
            if condition() {
                return true;
            }
            if slept >= microseconds {
                return false;
            }
            self.sleep(PERIOD);
            slept += PERIOD;
        }
    }
}
