//! The end states of the machine.

use model::system::EndState;
use x86_64::instructions::port::Port;

use crate::{SYSTEM, cpu};

/// Goes to an end state.
pub fn reach(state: EndState) -> ! {
    match state {
        EndState::PowerOff => {
            if let Some(write) = SYSTEM.board.power_off {
                // SAFETY: the board says that this write turns the machine off; nothing of it is needed any more.
                unsafe { Port::new(write.port).write(write.value) };
            }
        }
        // SAFETY: the reset control register of a PC (Intel 500-series PCH, RST_CNT): full reset. Nothing is needed any more.
        EndState::Reset => unsafe { Port::<u8>::new(0xcf9).write(0x06) },
        EndState::Halt => {}
    }
    cpu::halt()
}
