//! A token goes round all CPUs as an SGI: each CPU passes it on from its interrupt handler. A lost SGI stops it.

use core::sync::atomic::{AtomicU32, Ordering};

use board::{Board, MAX_CPUS, boot, cpu, println, timer};

use crate::{Failure, PATIENCE_US};

const ROUNDS: u32 = 1_000;
/// The SGI that carries the token.
const TOKEN: u32 = 5;

/// How often each CPU had the token.
static PASSED: [AtomicU32; MAX_CPUS] = [const { AtomicU32::new(0) }; MAX_CPUS];

/// The part of the interrupt handler that passes the token on. The first CPU ends the last round.
pub fn on_interrupt(intid: u32) {
    let index = cpu::index();
    let (Some(board), Some(passed)) = (boot::board(), PASSED.get(index)) else {
        return;
    };
    if intid != TOKEN {
        return;
    }
    let rounds = passed.fetch_add(1, Ordering::AcqRel) + 1;
    if index != 0 || rounds < ROUNDS {
        board.gic.send(board, (index + 1) % board.cpus.len(), TOKEN);
    }
}

/// Sends the token round and counts.
pub fn run(board: &Board) -> Result<(), Failure> {
    board.gic.send(board, 1 % board.cpus.len(), TOKEN);
    let rounds = || PASSED[0].load(Ordering::Acquire);
    loop {
        let before = rounds();
        if before >= ROUNDS || !timer::wait_until(PATIENCE_US, || rounds() != before) {
            break;
        }
    }
    for (index, passed) in PASSED.iter().enumerate().take(board.cpus.len()) {
        let passed = passed.load(Ordering::Acquire);
        if passed != ROUNDS {
            println!("smp: cpu {index} had the token {passed} times, not {ROUNDS}");
            return Err("an SGI was lost or came twice");
        }
    }
    println!(
        "smp: SGI ring, {ROUNDS} rounds over {} cpus, none lost",
        board.cpus.len()
    );
    Ok(())
}
