//! The end states of the machine.

use core::sync::atomic::{AtomicBool, Ordering};

use model::system::EndState;
use x86_64::instructions::port::Port;

use crate::{SYSTEM, apic, cpu};

/// The system has come to its end: the NMI handler stops the CPU that it runs on.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "named for the assembly")]
static bulkhead_ended: AtomicBool = AtomicBool::new(false);

/// Stops the other CPUs, whatever they do. The first that ends stops the others; one that was stopped does not come here.
fn stop_others() {
    bulkhead_ended.store(true, Ordering::Release);
    let Some(own) = apic::own() else {
        return;
    };
    for pcpu in SYSTEM.pcpus.iter().filter(|pcpu| pcpu.apic != own) {
        apic::send_nmi(pcpu.apic);
    }
}

/// Goes to an end state.
pub fn reach(state: EndState) -> ! {
    stop_others();
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
