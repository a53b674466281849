//! The other CPU: it sleeps until an SGI, notes when its vector was entered, and answers with an SGI of its own.

use core::sync::atomic::{AtomicU64, Ordering};

use board::{Board, boot, cpu, psci};

use crate::measure::{self, Unexpected, Wait};

/// The SGI that the first CPU sends, here and to itself.
pub const PING: u32 = 1;
/// The SGI that says that the other CPU has taken [`PING`], or has come up.
const PONG: u32 = 2;

/// The counter at the other CPU's vector when it took the last [`PING`]; zero after a wrong interrupt.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// Starts CPU `index` and waits until it is about to sleep.
pub fn start(board: &Board, index: usize) -> Result<(), Unexpected> {
    if psci::cpu_on(board, index, answer) != psci::SUCCESS {
        return Err(Unexpected);
    }
    measure::wait(Wait::Sleeping);
    measure::handle(board, PONG, || ())
}

/// Sends [`PING`] to CPU `index`; ticks from the instruction that sends it to that CPU's vector.
pub fn ping(board: &Board, index: usize) -> Result<u64, Unexpected> {
    TAKEN.store(0, Ordering::Release);
    let (sent, _) = measure::send_and_wait(board, index, PING, Wait::Sleeping);
    measure::handle(board, PONG, || ())?;
    TAKEN
        .load(Ordering::Acquire)
        .checked_sub(sent)
        .ok_or(Unexpected)
}

/// Main function of the other CPU.
fn answer(_index: usize) -> ! {
    let Some(board) = boot::board() else {
        cpu::park()
    };
    measure::set_vectors();
    board.gic.init_cpu();
    loop {
        board.gic.send(board, 0, PONG);
        let taken = measure::wait(Wait::Sleeping);
        let handled = measure::handle(board, PING, || ());
        TAKEN.store(if handled.is_ok() { taken } else { 0 }, Ordering::Release);
    }
}
