//! Both EL1 timers on each CPU: the interrupt comes, on that CPU, and never early.

use core::sync::atomic::{AtomicU32, Ordering};

use board::timer::{self, Timer};
use board::{Board, MAX_CPUS, boot, cpu, println};

use crate::{Failure, PATIENCE_US, worker};

const SHOTS: u32 = 10;
const DELAY_US: u64 = 1_000;

/// Interrupts taken by each CPU from its virtual and its physical timer.
static FIRED: [[AtomicU32; 2]; MAX_CPUS] = [const { [const { AtomicU32::new(0) }; 2] }; MAX_CPUS];

fn fired(timer: Timer) -> &'static AtomicU32 {
    &FIRED[cpu::index() % MAX_CPUS][usize::from(timer == Timer::Physical)]
}

/// The part of the interrupt handler that serves the timers.
pub fn on_interrupt(intid: u32) {
    let Some(board) = boot::board() else { return };
    for timer in [Timer::Virtual, Timer::Physical] {
        if intid == timer.intid(board) {
            timer.disarm();
            fired(timer).fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// Fires both timers [`SHOTS`] times on the CPU that runs this.
pub fn test_this_cpu(board: &Board) -> Result<(), Failure> {
    for timer in [Timer::Virtual, Timer::Physical] {
        for _ in 0..SHOTS {
            let before = fired(timer).load(Ordering::Acquire);
            let deadline = timer.now() + timer::ticks(DELAY_US);
            timer.arm(deadline);
            timer::wait_until(PATIENCE_US, || {
                fired(timer).load(Ordering::Acquire) != before
            });
            let now = timer.now();
            timer.disarm();
            let interrupts = fired(timer).load(Ordering::Acquire).wrapping_sub(before);
            if interrupts != 1 || now < deadline {
                println!(
                    "smp: cpu {} {timer:?} timer (INTID {}): {interrupts} interrupts, {} ticks after its deadline",
                    cpu::index(),
                    timer.intid(board),
                    now.wrapping_sub(deadline) as i64
                );
                return Err("a timer interrupt was lost, early, or came twice");
            }
        }
    }
    Ok(())
}

/// Tests the timers of all CPUs, one after another.
pub fn run(board: &Board) -> Result<(), Failure> {
    test_this_cpu(board)?;
    (1..board.cpus.len()).try_for_each(|index| worker::test_timers(board, index))?;
    println!(
        "smp: virtual and physical timer, {SHOTS} shots each on {} cpus",
        board.cpus.len()
    );
    Ok(())
}
