//! Makes one attack again and again, from the moment its letter is typed. It says the attack's name before the first round, and `FAILED` if one
//! of a round's attempts reached something foreign.
//!
//! Its second CPU, if it has one, stays off but for the storm of SGIs.
#![no_std]
#![no_main]

mod caches;
mod channel;
mod console;
mod reset;
mod storm;

use board::psci::Conduit;
use board::random::Random;
use board::{Board, cpu, println, timer, uart};
use vandal::report::Tally;
use vandal::{hypercalls, instructions, interrupts, memory, registers, stage1};

/// One round of an attack.
type Round = fn(&'static Board, &mut Tally);

/// The letter and the name of each attack.
const ATTACKS: [(u8, &str, Round); 16] = [
    (b'a', "nothing", |_, _| core::hint::spin_loop()),
    (b'b', "boundaries", boundaries),
    (b'c', "console", console::flood),
    (b'd', "debug-and-pmu", |_, tally| {
        registers::write_debug_and_counters(tally);
    }),
    (b'f', "firmware", |_, tally| {
        hypercalls::random_calls(tally, "SMC", Conduit::Smc);
    }),
    (b'g', "interrupt-controller", interrupt_controller),
    (b'h', "hypercalls", |_, tally| {
        hypercalls::random_calls(tally, "HVC", Conduit::Hvc);
    }),
    (b'm', "maintenance", |_, _| caches::maintain()),
    (b'p', "page-tables", stage1::run),
    (b'q', "doorbell-storm", channel::ring),
    (b'r', "registers", |_, tally| registers::run(tally)),
    (b's', "sgi-storm", storm::run),
    (b't', "reset", reset::reset),
    (b'w', "waits", |_, tally| instructions::waits(tally)),
    (b'x', "channel-corruption", channel::corrupt),
    (b'y', "set-and-way", |_, tally| instructions::set_way(tally)),
];

/// How often it looks for what was typed, in microseconds.
const PERIOD_US: u64 = 1_000;

board::entry!(main);

fn main(board: &'static Board) -> ! {
    interrupts::set_up(board);
    reset::go_on(board);
    println!("attacker: ready");
    loop {
        let letter = uart::read_byte();
        let chosen = ATTACKS.iter().find(|(own, ..)| Some(*own) == letter);
        if let Some((_, name, round)) = chosen {
            println!("attacker: {name}");
            attack(board, *round);
        }
        timer::wait_until(PERIOD_US, || false);
    }
}

fn attack(board: &'static Board, round: Round) -> ! {
    let mut tally = Tally::default();
    loop {
        round(board, &mut tally);
        if tally.breaches() > 0 {
            println!("attacker: FAILED, {tally}");
            cpu::park();
        }
    }
}

/// Every edge of what it has, and all around.
fn boundaries(board: &'static Board, tally: &mut Tally) {
    memory::run(board, tally);
    instructions::edges(board, tally, "Device");
}

/// Anything, anywhere in its frames and system registers.
fn interrupt_controller(board: &'static Board, _: &mut Tally) {
    const OPERATIONS: u32 = 10_000;
    let frames = gic_vandal::frames::of(board);
    let mut random = Random::new(u64::from(OPERATIONS));
    cpu::mask_interrupts();
    for _ in 0..OPERATIONS {
        // A refused access is none of this guest's business.
        let _ = gic_vandal::operate(board, &frames, random.draw(), random.draw());
    }
}
