//! Events as they are recorded, and as a report prints them.

use super::*;
use crate::fake::{FakeMachine, LINUX, advance, run_on};
use crate::pool::fixture::{decide, first_turn};
use crate::pool::schedule;

/// What a report says of the events of a virtual CPU of `LINUX`, without the head of each line.
fn events(partition: &Partition, vcpu: usize) -> Vec<String> {
    let mut events = Vec::new();
    for index in vcpu * LINES..(vcpu + 1) * LINES {
        let mut line = Line::new();
        assert!(report(partition, index, &mut line));
        let text = str::from_utf8(line.bytes()).unwrap();
        let head = format!("report events partition=linux vcpu={vcpu} ");
        let Some(own) = text.strip_prefix(&head) else {
            assert_eq!(text, "");
            continue;
        };
        events.extend(own.split_whitespace().map(str::to_owned));
    }
    events
}

#[test]
fn turn_is_recorded_from_wake_to_block() {
    let (world, guest) = first_turn();
    let partition = world.partition(LINUX);
    assert_eq!(events(partition, 0), ["wake@1000", "run@1000"]);
    guest.vcpu.wait_its_turn();
    let vcpu = guest.vcpu;
    vcpu.context.entered = 1_300;
    run_on(0, || {
        schedule::<FakeMachine>(vcpu);
    });
    let all = events(partition, 0);
    assert!(
        all.ends_with(&["block@1300".to_owned(), "stop@1300".to_owned()]),
        "{all:?}"
    );
    assert!(events(partition, 1).is_empty());
}

#[test]
fn end_of_a_budget_and_of_a_period_are_recorded() {
    let (world, mut guest) = first_turn();
    advance(200);
    decide(&mut guest);
    advance(10_000);
    decide(&mut guest);
    let all = events(world.partition(LINUX), 0);
    assert!(all.contains(&"budget-end@11200".to_owned()), "{all:?}");
    assert!(all.contains(&"replenish@11200".to_owned()), "{all:?}");
}

#[test]
fn full_ring_keeps_the_latest_events_and_a_frozen_one_what_it_has() {
    let ring = Ring::new();
    for at in 0..u64::from(ROOM) + 3 {
        ring.record(Instant::from_ticks(at), Kind::Wake);
    }
    let times = |line| ring.line(line).map(|event| event >> TIME);
    assert_eq!(times(0).next(), Some(3));
    assert_eq!(times(LINES - 1).last(), Some(u64::from(ROOM) + 2));
    ring.freeze();
    ring.record(Instant::from_ticks(9_999), Kind::Wake);
    assert_eq!(times(LINES - 1).last(), Some(u64::from(ROOM) + 2));
}

#[test]
fn longest_line_on_events_fits() {
    let world = crate::fake::World::with(|linux| linux.name = "fifteen-letters");
    let partition = world.partition(LINUX);
    let longest = Instant::from_ticks(u64::MAX >> TIME);
    for _ in 0..IN_A_LINE {
        partition.vcpus[1]
            .turns
            .ring()
            .record(longest, Kind::BudgetEnd);
    }
    let mut line = Line::new();
    assert!(report(partition, LINES, &mut line));
    assert!(line.bytes().len() < Line::LONGEST);
    assert!(line.bytes().ends_with(b"\n"));
}
