//! An end of a channel that keeps no rule of it.

use board::random::Random;
use board::{Board, cpu, println};
use core::sync::atomic::Ordering;
use messages::end::{End, Ring};
use vandal::report::Tally;

/// Stores between two rings.
const STORES: u32 = 64;
/// The words of each half that are no message: magic number, version, slots, the counts and what is waited for (docs/channels.md).
const CONTROL: [usize; 7] = [0, 1, 2, 16, 32, 48, 64];

/// Rings the other end as fast as it goes.
pub fn ring(board: &'static Board, _: &mut Tally) {
    let mut end = find(board);
    loop {
        end.answer(Ring::Needed);
    }
}

/// Writes anything anywhere, the other end's half included, and rings.
pub fn corrupt(board: &'static Board, _: &mut Tally) {
    let mut end = find(board);
    let mut random = Random::new(u64::from(STORES));
    loop {
        for _ in 0..STORES {
            let (place, value) = (random.draw() as usize, random.draw());
            let half = end.words.len() / 2;
            let index = match place % 2 {
                0 => place / 4 % 2 * half + CONTROL[place / 8 % CONTROL.len()],
                _ => place / 2 % end.words.len(),
            };
            let word = &end.words[index];
            let value = match value % 4 {
                0 => 0,
                1 => u32::MAX,
                2 => word
                    .load(Ordering::Relaxed)
                    .wrapping_add(((value >> 32) as u32 % 9).wrapping_sub(4)),
                _ => (value >> 32) as u32,
            };
            word.store(value, Ordering::Relaxed);
        }
        end.answer(Ring::Needed);
    }
}

fn find(board: &Board) -> End {
    End::find(board).unwrap_or_else(|what| {
        println!("attacker: FAILED, {what}");
        cpu::park()
    })
}
