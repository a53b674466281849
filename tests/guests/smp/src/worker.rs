//! What a started CPU does: it takes commands from the first CPU until it is told to switch off.

use core::sync::atomic::{AtomicU32, Ordering};

use board::{Board, MAX_CPUS, cpu, println, psci, timer};

use crate::{Failure, PATIENCE_US, timers};

/// The command of each CPU, and its answer: a CPU sets its slot back to [`IDLE`] when it is done.
static COMMANDS: [AtomicU32; MAX_CPUS] = [const { AtomicU32::new(STARTING) }; MAX_CPUS];

const STARTING: u32 = 0;
const IDLE: u32 = 1;
const TEST_TIMERS: u32 = 2;
const SWITCH_OFF: u32 = 3;
const FAILED: u32 = 4;

/// The SGI that wakes a CPU to look at its command; its handler has nothing to do.
const COMMAND: u32 = 1;

/// Sets the CPU's own part of the interrupt controller up: SGIs and both timers.
pub fn set_up_cpu(board: &Board) {
    board.gic.init_cpu();
    board.gic.enable(board.virtual_timer);
    board.gic.enable(board.physical_timer);
}

/// Main function of a started CPU that says so.
pub fn announce_and_work(index: usize) -> ! {
    println!(
        "smp: cpu {index} is up at EL{}, affinity {:#x}",
        cpu::exception_level(),
        cpu::affinity()
    );
    work(index)
}

/// Main function of a started CPU.
pub fn work(index: usize) -> ! {
    let (Some(board), Some(command)) = (board::boot::board(), COMMANDS.get(index)) else {
        cpu::park()
    };
    if board.cpus.get(index) != Some(&cpu::affinity()) || cpu::index() != index {
        command.store(FAILED, Ordering::Release);
        cpu::park();
    }
    set_up_cpu(board);
    cpu::unmask_interrupts();
    command.store(IDLE, Ordering::Release);
    loop {
        match command.load(Ordering::Acquire) {
            TEST_TIMERS => {
                let passed = timers::test_this_cpu(board).is_ok();
                command.store(if passed { IDLE } else { FAILED }, Ordering::Release);
            }
            SWITCH_OFF => {
                cpu::mask_interrupts();
                command.store(STARTING, Ordering::Release);
                psci::cpu_off();
                command.store(FAILED, Ordering::Release);
                cpu::park();
            }
            _ => sleep_while_idle(command),
        }
    }
}

/// Sleeps until an interrupt, unless a command came meanwhile. A spinning CPU would take time from the others on a small host.
fn sleep_while_idle(command: &AtomicU32) {
    cpu::mask_interrupts();
    if command.load(Ordering::Acquire) == IDLE {
        cpu::wait_for_interrupt();
    }
    cpu::unmask_interrupts();
}

fn tell(board: &Board, index: usize, command: u32) {
    COMMANDS[index].store(command, Ordering::Release);
    board.gic.send(board, index, COMMAND);
}

/// Waits until the CPU is idle, which it is after its start and after each command.
pub fn wait_idle(index: usize) -> Result<(), Failure> {
    let state = || COMMANDS[index].load(Ordering::Acquire);
    timer::wait_until(PATIENCE_US, || matches!(state(), IDLE | FAILED));
    match state() {
        IDLE => Ok(()),
        FAILED => Err("a CPU failed its command"),
        STARTING => Err("a CPU did not start"),
        _ => Err("a CPU did not finish its command"),
    }
}

/// Makes the CPU test its timers.
pub fn test_timers(board: &Board, index: usize) -> Result<(), Failure> {
    tell(board, index, TEST_TIMERS);
    wait_idle(index)
}

/// Tells the CPU to switch itself off.
pub fn switch_off(board: &Board, index: usize) {
    tell(board, index, SWITCH_OFF);
}
