//! Asks the hypervisor to fail, as the letter says that is typed: `p` panic, `x` exception, `o` stack overflow.
//!
//! Only an image that is built for tests of its own end does it; any other refuses the call.
#![no_std]
#![no_main]

use board::psci::Conduit;
use board::{Board, println, timer, uart};

/// The call (hv `arch/aarch64/defect.rs`).
const DEFECT: u64 = 0xc600_dead;
/// How often the guest looks for what was typed, in microseconds.
const PERIOD: u64 = 1_000;

board::entry!(main);

fn main(_: &'static Board) -> ! {
    println!("defect: ready");
    loop {
        let kind = match uart::read_byte() {
            Some(b'p') => 0,
            Some(b'x') => 1,
            Some(b'o') => 2,
            Some(_) => continue,
            None => {
                timer::wait_until(PERIOD, || false);
                continue;
            }
        };
        // SAFETY: the call ends the system or is refused.
        let status = unsafe { Conduit::Hvc.call(DEFECT, [kind, 0, 0]) };
        println!("defect: refused, {status}");
    }
}
