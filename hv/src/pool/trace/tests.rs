//! What turns leave in the trace.

use crate::fake::{FakeMachine, advance, run_on};
use crate::pool::fixture::{decide, first_turn};
use crate::pool::schedule;
use crate::trace::tests::events;

#[test]
fn turn_is_recorded_from_wake_to_block() {
    let (world, guest) = first_turn();
    let turns = |events: Vec<String>| -> Vec<String> {
        let of_turns = ["wake", "run", "stop", "block"];
        let is_one = |event: &String| of_turns.iter().any(|kind| event.starts_with(kind));
        events.into_iter().filter(is_one).collect()
    };
    assert_eq!(
        turns(events(&world, 0)),
        ["wake/0.0@1000", "run/0.0@1000"],
        "in the ring of the first pCPU"
    );
    guest.vcpu.wait_its_turn();
    let vcpu = guest.vcpu;
    vcpu.context.entered = 1_300;
    run_on(0, || {
        schedule::<FakeMachine>(vcpu);
    });
    let all = turns(events(&world, 0));
    assert!(
        all.ends_with(&["block/0.0@1300".to_owned(), "stop/0.0@1300".to_owned()]),
        "{all:?}"
    );
    assert!(turns(events(&world, 1)).is_empty());
}

#[test]
fn end_of_a_budget_and_of_a_period_are_recorded() {
    let (world, mut guest) = first_turn();
    advance(200);
    decide(&mut guest);
    advance(10_000);
    decide(&mut guest);
    let all = events(&world, 0);
    for event in ["budget-end/0.0@11200", "replenish/0.0@11200"] {
        assert!(all.iter().any(|one| one == event), "{all:?}");
    }
}
