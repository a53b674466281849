//! SGIs as fast as they go: to itself, to its other CPU, which sends them back, and to CPUs that are not there.

use board::{Board, boot, cpu, interrupt, psci};
use vandal::interrupts::storm_others;
use vandal::report::Tally;

const SGIS: u32 = 2_000;

/// One round.
pub fn run(board: &'static Board, tally: &mut Tally) {
    if board.cpus.len() > 1 {
        // Refused from the second round on, since it is on.
        psci::cpu_on(board, 1, answer);
    }
    interrupt::set_handler(|_| ());
    send(board);
    storm_others(board, tally);
}

fn send(board: &Board) {
    cpu::unmask_interrupts();
    for number in 0..SGIS {
        board
            .gic
            .send(board, number as usize % board.cpus.len(), number % 16);
    }
    cpu::mask_interrupts();
}

/// The other CPU.
fn answer(_: usize) -> ! {
    let Some(board) = boot::board() else {
        cpu::park()
    };
    board.gic.init_cpu();
    loop {
        send(board);
    }
}
