//! Interrupt dispatch: one handler function for the whole guest.

use core::sync::atomic::{AtomicUsize, Ordering};

use crate::boot;

/// What a handler is: it gets the INTID, runs with interrupts masked, and must not print.
pub type Handler = fn(intid: u32);

/// The handler as an address; zero if there is none.
static HANDLER: AtomicUsize = AtomicUsize::new(0);

/// Sets the handler of all interrupts on all CPUs.
pub fn set_handler(handler: Handler) {
    HANDLER.store(handler as usize, Ordering::Release);
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_interrupt() {
    let Some(board) = boot::board() else { return };
    let Some(interrupt) = board.gic.acknowledge() else {
        return;
    };
    let handler = HANDLER.load(Ordering::Acquire);
    if handler != 0 {
        // SAFETY: `set_handler` stores only functions of this type.
        let handler: Handler = unsafe { core::mem::transmute(handler) };
        handler(interrupt.intid());
    }
    board.gic.end(interrupt);
}
