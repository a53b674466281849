//! Who pays for what.

use crate::fake::{Outcome, advance};
use crate::pool::counters::Counter;
use crate::pool::fixture::{decide, first_turn_after};

#[test]
fn boot_that_is_longer_than_a_budget_is_charged_to_nobody() {
    let (_, mut guest) = first_turn_after(5_500, |_| ());
    advance(100);
    assert_eq!(decide(&mut guest), Outcome::Resumed);
    assert_eq!(guest.vcpu.counter(Counter::Depletions), Some(0));
}

#[test]
fn budget_that_was_used_is_charged() {
    let (_, mut guest) = first_turn_after(5_500, |_| ());
    advance(1_100);
    decide(&mut guest);
    assert_eq!(guest.vcpu.counter(Counter::Depletions), Some(1));
}
