//! Runs embassy's raw executor on one CPU: poll, then sleep in WFI until an interrupt wakes a task.

use core::sync::atomic::{AtomicBool, Ordering};

use board::cpu;
use critical_section::RawRestoreState;
use embassy_executor::{Spawner, raw};
use static_cell::StaticCell;

/// Whether a task was woken since the last poll.
static WORK: AtomicBool = AtomicBool::new(true);
static EXECUTOR: StaticCell<raw::Executor> = StaticCell::new();

#[unsafe(export_name = "__pender")]
fn pender(_context: *mut ()) {
    WORK.store(true, Ordering::Release);
}

/// Runs the tasks that `spawn` starts, for ever.
pub fn run(spawn: impl FnOnce(Spawner)) -> ! {
    let executor: &'static raw::Executor = EXECUTOR.init(raw::Executor::new(core::ptr::null_mut()));
    spawn(executor.spawner());
    cpu::unmask_interrupts();
    loop {
        // SAFETY: only this loop polls, and the pender does not.
        unsafe { executor.poll() };
        // Masked, so that a wake-up cannot slip in between the test and WFI; a pending interrupt ends WFI all the same.
        cpu::mask_interrupts();
        if !WORK.swap(false, Ordering::Acquire) {
            cpu::wait_for_interrupt();
        }
        cpu::unmask_interrupts();
    }
}

/// Critical sections by masking interrupts: enough here, because this guest never starts a second CPU.
struct MaskedInterrupts;
critical_section::set_impl!(MaskedInterrupts);

// SAFETY: one CPU runs this guest, so nothing else executes while its interrupts are masked.
unsafe impl critical_section::Impl for MaskedInterrupts {
    unsafe fn acquire() -> RawRestoreState {
        cpu::mask_interrupts()
    }

    unsafe fn release(were_unmasked: RawRestoreState) {
        if were_unmasked {
            cpu::unmask_interrupts();
        }
    }
}
