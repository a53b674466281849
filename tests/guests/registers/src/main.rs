//! Fills all registers that it may fill with values of its own, waits, and looks for changes.
//!
//! Several of these on one physical CPU see one another's values if a switch between them forgets a register.
#![no_std]
#![no_main]

mod fill;

use board::timer::Timer;
use board::{Board, cpu, println, read_register, write_register};

/// Rounds after which it says how it goes. A round takes about a fifth of a millisecond.
const ROUNDS: u64 = 2_000;

/// Writes `$value` to each register, as far as it has the bits, and keeps what it then holds in `$kept`; or compares with that.
macro_rules! registers {
    ($($name:literal)+) => {
        const COUNT: usize = [$($name),+].len();
        const NAMES: [&str; COUNT] = [$($name),+];

        fn fill(seed: u64) -> [u64; COUNT] {
            let mut value = seed;
            [$({
                value = value.rotate_left(7) ^ seed;
                write_register!($name, value);
                read_register!($name)
            }),+]
        }

        fn look() -> [u64; COUNT] {
            [$(read_register!($name)),+]
        }
    };
}

// Those that do not change how the program itself runs while interrupts are masked and nothing faults.
registers! {
    "tpidr_el0" "tpidrro_el0" "tpidr_el1" "contextidr_el1" "afsr0_el1" "afsr1_el1" "far_el1" "esr_el1" "par_el1" "sp_el0"
    "elr_el1" "spsr_el1" "amair_el1" "csselr_el1" "cntkctl_el1" "cntv_cval_el0" "cntp_cval_el0"
}

board::entry!(main);

fn main(_board: &'static Board) -> ! {
    cpu::mask_interrupts();
    fill::allow_floating_point();
    let mut seed = Timer::Physical.now() | 1;
    loop {
        for round in 0..ROUNDS {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let before = fill(seed);
            if let Some(register) = fill::general_and_floating_point(seed) {
                println!("registers: FAILED, {register} changed in round {round}");
            }
            let after = look();
            for (name, (before, after)) in NAMES.iter().zip(before.iter().zip(after)) {
                if *before != after {
                    println!("registers: FAILED, {name} was {before:#x} and is {after:#x}");
                }
            }
        }
        println!("registers: {ROUNDS} rounds");
    }
}
