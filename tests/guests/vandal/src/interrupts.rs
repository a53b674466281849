//! Attacks on the interrupt controller: SGI storms, random values in every register, and masking interrupts for long.

use core::sync::atomic::{AtomicU64, Ordering};

use board::gic::{Gic, REDISTRIBUTOR_STRIDE};
use board::random::Random;
use board::timer::{self, Timer};
use board::{Board, Region, boot, cpu, interrupt, mmio, println, write_register};

use crate::probe::guarded;
use crate::report::{Answer, Attack, Tally};

const SGIS: u64 = 20_000;
const GICD_SGIR: u64 = 0xf00;
const MASKED_FOR_US: u64 = 200_000;

/// Interrupts taken so far.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// Sets the interrupt controller up; interrupts stay masked but for where they are part of an attack.
pub fn set_up(board: &Board) {
    interrupt::set_handler(|intid| {
        TAKEN.fetch_add(1, Ordering::Relaxed);
        if boot::board().is_some_and(|board| intid == board.virtual_timer) {
            Timer::Virtual.disarm();
        }
    });
    restore(board);
}

fn restore(board: &Board) {
    board.gic.init_distributor();
    board.gic.init_cpu();
    board.gic.enable(board.virtual_timer);
}

/// All attacks on the interrupt controller.
pub fn run(board: &Board, tally: &mut Tally) {
    storm_self(board, tally);
    storm_others(board, tally);
    let Region { base, size } = board.gic.distributor();
    random_writes(board, tally, "GICD", base, size);
    if let Gic::V3(gic) = board.gic
        && let Some(base) = gic.redistributor(cpu::affinity())
    {
        random_writes(board, tally, "GICR", base, REDISTRIBUTOR_STRIDE);
    }
    mask_for_long(tally);
}

/// SGIs to this CPU, taken as they come: many may merge into one, but one at least must arrive.
pub fn storm_self(board: &Board, tally: &mut Tally) {
    let mut attack = Attack::default();
    let before = TAKEN.load(Ordering::Relaxed);
    cpu::unmask_interrupts();
    for number in 0..SGIS {
        board.gic.send(board, cpu::index(), (number % 16) as u32);
    }
    timer::wait_until(10_000, || false);
    cpu::mask_interrupts();
    let taken = TAKEN.load(Ordering::Relaxed) - before;
    attack.add_many(
        if taken > 0 {
            Answer::Works
        } else {
            Answer::NoEffect
        },
        SGIS,
    );
    attack.finish(tally, format_args!("SGI storm to myself, {taken} taken"));
}

/// SGIs with random targets, most of which do not exist, in the raw register.
pub fn storm_others(board: &Board, tally: &mut Tally) {
    let mut attack = Attack::default();
    let mut random = Random::new(SGIS);
    for number in 0..SGIS {
        let value = random.draw();
        let answer = guarded(|| match board.gic {
            // SAFETY: the distributor is ours; SGIs are what this guest wants.
            Gic::V2(gic) => unsafe {
                mmio::write32(gic.distributor.base + GICD_SGIR, value as u32)
            },
            Gic::V3(_) => match number % 3 {
                0 => write_register!("icc_sgi1r_el1", value),
                1 => write_register!("icc_sgi0r_el1", value),
                _ => write_register!("icc_asgi1r_el1", value),
            },
        });
        attack.add(match answer {
            Ok(()) => Answer::NoEffect,
            Err(fault) => Answer::of_fault(fault, None),
        });
    }
    restore(board);
    attack.finish(tally, format_args!("SGI storm to CPUs that are not there"));
}

/// Writes random values to every word of a register frame, reads every word, and restores a sane state.
fn random_writes(board: &Board, tally: &mut Tally, name: &str, base: u64, size: u64) {
    let mut attack = Attack::default();
    let mut random = Random::new(base);
    for address in (base..base + size).step_by(4) {
        let value = random.draw() as u32;
        // SAFETY: a fault guard is active; the frame is ours, and interrupts are masked until it is restored.
        let outcome = guarded(|| unsafe {
            mmio::write32(address, value);
            mmio::read32(address);
        });
        attack.add(match outcome {
            Ok(()) => Answer::Works,
            Err(fault) => Answer::of_fault(fault, Some(address)),
        });
    }
    restore(board);
    attack.finish(
        tally,
        format_args!("random values in every word of my {name}"),
    );
    if !timer_works() {
        println!("vandal: my own interrupts do not come back after that");
    }
}

fn timer_works() -> bool {
    let before = TAKEN.load(Ordering::Relaxed);
    cpu::unmask_interrupts();
    Timer::Virtual.arm(Timer::Virtual.now());
    let came = timer::wait_until(1_000_000, || TAKEN.load(Ordering::Relaxed) != before);
    cpu::mask_interrupts();
    Timer::Virtual.disarm();
    came
}

/// Keeps all interrupts masked and the CPU busy, with a timer pending all the while.
fn mask_for_long(tally: &mut Tally) {
    let mut attack = Attack::default();
    Timer::Virtual.arm(Timer::Virtual.now());
    timer::wait_until(MASKED_FOR_US, || false);
    Timer::Virtual.disarm();
    attack.add(Answer::NoEffect);
    attack.finish(
        tally,
        format_args!("all interrupts masked for {MASKED_FOR_US} us"),
    );
}
