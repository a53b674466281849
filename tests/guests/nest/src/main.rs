//! Handles more interrupts at the same time than an interface has list registers, with both ways to end them (`EOImode`), in random order, and looks
//! whether each is active just as long as it must be.
#![no_std]
#![no_main]

mod controller;

use board::random::Random;
use board::{Board, cpu, println, psci};

use controller::{Controller, INTERRUPTS};

/// The same in every run.
const SEED: u64 = 0x6e65_7374;
/// Steps with each way to end an interrupt.
const STEPS: u32 = 5_000;

board::entry!(main);

fn main(board: &'static Board) -> ! {
    cpu::mask_interrupts();
    let controller = Controller::set_up(board);
    let mut random = Random::new(SEED);
    for split in [false, true] {
        controller.set_split(split);
        let mode = u8::from(split);
        match Walk::new(&controller, split).run(&mut random) {
            Ok(deepest) => println!(
                "nest: EOImode {mode}: {STEPS} steps, {deepest} of {INTERRUPTS} active at once"
            ),
            Err(what) => println!("nest: FAILED: EOImode {mode}: {what}"),
        }
    }
    println!("nest: done");
    psci::system_off()
}

/// What is handled, as the guest knows it. Sets are bits, bit n for the interrupt `n` of [`INTERRUPTS`], which are the more urgent the higher.
struct Walk<'a> {
    controller: &'a Controller,
    /// Ends drop the priority only (`EOImode` 1).
    split: bool,
    /// Acknowledged, and the priority not yet dropped.
    running: u32,
    /// Acknowledged, and not yet deactivated.
    active: u32,
}

impl<'a> Walk<'a> {
    const fn new(controller: &'a Controller, split: bool) -> Self {
        Self {
            controller,
            split,
            running: 0,
            active: 0,
        }
    }

    /// Walks at random, then ends everything. Returns how many were active at most.
    fn run(&mut self, random: &mut Random) -> Result<u32, &'static str> {
        let mut deepest = 0;
        for _ in 0..STEPS {
            let draw = random.draw();
            match draw & 7 {
                0..=3 => self.take(draw >> 8)?,
                4 | 5 => self.end()?,
                6 => self.deactivate(draw >> 8),
                _ => self.compare()?,
            }
            deepest = deepest.max(self.active.count_ones());
        }
        while self.running != 0 {
            self.end()?;
        }
        while self.active != 0 {
            self.deactivate(0);
        }
        self.compare()?;
        match self.controller.acknowledge() {
            None => Ok(deepest),
            Some(_) => Err("an interrupt is left over"),
        }
    }

    /// One more urgent than all that run comes and is acknowledged.
    fn take(&mut self, draw: u64) -> Result<(), &'static str> {
        let above = u32::BITS - self.running.leading_zeros();
        let free = !self.active & ((1 << INTERRUPTS) - 1) & (!0_u32 << above);
        // One of the least urgent, so that many more fit above it.
        let Some(number) = pick(free, draw & 1) else {
            return Ok(());
        };
        self.controller.make_pending(number);
        match self.controller.acknowledge_soon() {
            Some(found) if found == number => {}
            Some(_) => return Err("another interrupt came"),
            None => return Err("an interrupt is lost"),
        }
        self.running |= 1 << number;
        self.active |= 1 << number;
        Ok(())
    }

    /// Ends the one that was acknowledged last, which is the most urgent.
    fn end(&mut self) -> Result<(), &'static str> {
        let Some(number) = self.running.checked_ilog2() else {
            return Ok(());
        };
        self.controller.end(number);
        self.running &= !(1 << number);
        if !self.split {
            self.active &= !(1 << number);
        }
        Ok(())
    }

    /// Deactivates any of those that have ended.
    fn deactivate(&mut self, draw: u64) {
        let Some(number) = pick(self.active & !self.running, draw) else {
            return;
        };
        self.controller.deactivate(number);
        self.active &= !(1 << number);
    }

    fn compare(&self) -> Result<(), &'static str> {
        match self.controller.active() ^ self.active {
            0 => Ok(()),
            wrong if wrong & self.active != 0 => Err("an interrupt is not active any more"),
            _ => Err("an interrupt stays active"),
        }
    }
}

/// A member of a set, if it has any.
fn pick(set: u32, draw: u64) -> Option<u32> {
    let wanted = draw as u32 % set.count_ones().max(1);
    (0..u32::BITS)
        .filter(|number| set >> number & 1 != 0)
        .nth(wanted as usize)
}
