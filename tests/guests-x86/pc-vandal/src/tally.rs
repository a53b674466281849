//! What attacks got, counted and told in the words that the vandal of the Arm boards has.

use pc::println;

/// All attacks so far.
#[derive(Default)]
pub struct Tally {
    tried: usize,
    breaches: usize,
}

impl Tally {
    /// Counts the attacks of one kind: true is one that was contained, which is told as `answer`.
    pub fn add(&mut self, what: &str, answer: &str, attacks: impl IntoIterator<Item = bool>) {
        let (mut contained, mut breaches) = (0, 0);
        for is_contained in attacks {
            if is_contained {
                contained += 1;
            } else {
                breaches += 1;
            }
        }
        self.tried += contained + breaches;
        self.breaches += breaches;
        if breaches > 0 {
            println!("vandal: {what} -> BREACH x{breaches}, {answer} x{contained}");
        } else {
            println!("vandal: {what} -> {answer} x{contained}");
        }
    }

    /// Tells how many there were.
    pub fn tell(&self) {
        let Self { tried, breaches } = self;
        println!(
            "vandal: tried {tried}, contained {}, breaches {breaches}",
            tried - breaches
        );
    }
}
