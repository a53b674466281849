//! Fails as the letter says that is typed, or orders something about the second partition of the system.
//!
//! `a` illegal access, `u` undefined instruction, `h` a call that nobody has, `p` panic with code 7, `w` no more signs of life, `b` a storm of SGIs;
//! `d` half a second of sleep, `f` fills its memory with a secret, `l` looks for it;
//! `s` start, `t` stop, `r` restart, `z` suspend, `g` go on, `i` how it does. Of each order it says the status.
//! It also says what others have failed at, if it is told.
#![no_std]
#![no_main]

mod secret;
mod told;

use core::arch::asm;

use board::psci::Conduit;
use board::{Board, cpu, mmio, println, timer, uart};
use model::call::Call;

/// A number that no call has.
const NOBODYS: u64 = 0xc600_0fff;
/// How often the guest looks for what was typed and says that it is alive, in microseconds.
const PERIOD: u64 = 1_000;
/// What a partition of a board with RAM from 0x4000_0000 on does not have.
const FOREIGN: u64 = 0x3fff_fffc;
/// The second partition of the system.
const OTHER: u64 = 1;

board::entry!(main);

fn main(board: &'static Board) -> ! {
    told::listen(board);
    println!("life: ready");
    let mut alive = true;
    loop {
        told::print();
        if alive {
            hypercall(Call::Alive as u64, 0);
        }
        let (name, order) = match uart::read_byte() {
            Some(b'a') => {
                // SAFETY: nothing of this guest is there; the access ends the guest or changes nothing of its own.
                unsafe { mmio::write32(FOREIGN, 1) };
                continue;
            }
            Some(b'u') => {
                // SAFETY: the exception, if it comes back, stops the guest. The register is in the space of implementations (Arm ARM D22.3.5).
                unsafe { asm!("mrs {}, S3_0_C11_C0_0", out(reg) _) };
                continue;
            }
            Some(b'h') => ("nobody's call", NOBODYS),
            Some(b'p') => {
                hypercall(Call::Panic as u64, 7);
                continue;
            }
            Some(b'w') => {
                alive = false;
                continue;
            }
            Some(b'b') => storm(board),
            Some(b'd') => {
                timer::wait_until(500_000, || false);
                println!("life: half a second later");
                continue;
            }
            Some(b'f') => {
                secret::fill();
                println!("life: filled");
                continue;
            }
            Some(b'l') => {
                println!("life: {} words of a secret", secret::count());
                continue;
            }
            Some(b's') => ("start", Call::Start as u64),
            Some(b't') => ("stop", Call::Stop as u64),
            Some(b'r') => ("restart", Call::Restart as u64),
            Some(b'z') => ("suspend", Call::Suspend as u64),
            Some(b'g') => ("go on", Call::Resume as u64),
            Some(b'i') => ("state", Call::State as u64),
            _ => {
                timer::wait_until(PERIOD, || false);
                continue;
            }
        };
        println!("life: {name} {}", hypercall(order, OTHER));
    }
}

/// Interrupts itself for ever.
fn storm(board: &Board) -> ! {
    board.gic.init_distributor();
    board.gic.init_cpu();
    cpu::unmask_interrupts();
    loop {
        board.gic.send(board, 0, 1);
    }
}

fn hypercall(function: u64, argument: u64) -> i64 {
    // SAFETY: the call answers, or ends or stops this guest as a whole.
    unsafe { Conduit::Hvc.call(function, [argument, 0, 0]) }
}
