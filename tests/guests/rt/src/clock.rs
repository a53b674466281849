//! The embassy time driver on the EL1 virtual timer, with nanosecond ticks.

use core::cell::RefCell;
use core::task::Waker;

use board::timer::{self, Timer};
use board::{Board, interrupt};
use critical_section::{CriticalSection, Mutex};
use embassy_time_driver::{Driver, TICK_HZ};
use embassy_time_queue_utils::Queue;

/// The driver: a queue of wakers, and the comparator armed for the earliest of them.
struct VirtualTimer {
    queue: Mutex<RefCell<Queue>>,
}

embassy_time_driver::time_driver_impl!(static DRIVER: VirtualTimer = VirtualTimer {
    queue: Mutex::new(RefCell::new(Queue::new())),
});

impl VirtualTimer {
    /// Wakes what is due and arms the comparator for what is next. A deadline that passes meanwhile interrupts at once,
    /// because the comparator is a level, so nothing is missed.
    fn wake_due(&self, section: CriticalSection<'_>) {
        let next = self
            .queue
            .borrow(section)
            .borrow_mut()
            .next_expiration(self.now());
        if next == u64::MAX {
            Timer::Virtual.disarm();
        } else {
            Timer::Virtual.arm(to_counter(next));
        }
    }
}

impl Driver for VirtualTimer {
    fn now(&self) -> u64 {
        to_nanoseconds(Timer::Virtual.now())
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|section| {
            let changed = self
                .queue
                .borrow(section)
                .borrow_mut()
                .schedule_wake(at, waker);
            if changed {
                self.wake_due(section);
            }
        });
    }
}

/// Counter ticks to nanoseconds, rounded down.
fn to_nanoseconds(ticks: u64) -> u64 {
    (u128::from(ticks) * u128::from(TICK_HZ) / u128::from(timer::frequency())) as u64
}

/// Nanoseconds to counter ticks, rounded up: at the deadline `now` has reached it.
fn to_counter(nanoseconds: u64) -> u64 {
    (u128::from(nanoseconds) * u128::from(timer::frequency())).div_ceil(u128::from(TICK_HZ)) as u64
}

/// Sets the interrupt controller up and lets the timer's interrupt through.
pub fn start(board: &'static Board) {
    interrupt::set_handler(|intid| {
        if board::boot::board().is_some_and(|board| intid == board.virtual_timer) {
            critical_section::with(|section| DRIVER.wake_due(section));
        }
    });
    board.gic.init_distributor();
    board.gic.init_cpu();
    board.gic.enable(board.virtual_timer);
}
