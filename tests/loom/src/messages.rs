//! Two ends of a channel's queue, each on a CPU of its own.

use loom::sync::atomic::AtomicU32;
use loom::thread;

use crate::channel::layout::{End, FIRST_SLOT_AT, SLOT_WORDS};
use crate::channel::queue::{Message, Queue, Ring};

/// The memory of a channel with one slot each way. It outlives the threads, whatever their order.
fn memory() -> &'static [AtomicU32] {
    let words = 2 * (FIRST_SLOT_AT + SLOT_WORDS);
    let memory: Vec<AtomicU32> = (0..words).map(|_| AtomicU32::new(0)).collect();
    memory.leak()
}

fn end(memory: &'static [AtomicU32], which: End) -> Queue<'static> {
    Queue::new(memory, which).expect("one slot fits")
}

/// Both ends.
fn both() -> (Queue<'static>, Queue<'static>) {
    let memory = memory();
    (end(memory, End::First), end(memory, End::Second))
}

/// The next message of four bytes, if it is there.
fn take(queue: &mut Queue<'_>) -> Option<([u8; 4], Ring)> {
    let mut buffer = [0; 4];
    let (message, ring) = queue.receive(&mut buffer)?;
    assert_eq!(message, Message::Whole(4));
    Some((buffer, ring))
}

#[test]
fn message_that_is_seen_is_whole() {
    loom::model(|| {
        let (mut first, mut second) = both();
        let sender = thread::spawn(move || first.send(b"abcd").is_ok());
        let seen = take(&mut second);
        assert!(sender.join().expect("it does not panic"));
        let got = seen.or_else(|| take(&mut second));
        assert_eq!(got.map(|(message, _)| message), Some(*b"abcd"));
    });
}

#[test]
fn slot_is_not_written_again_before_its_message_was_read() {
    loom::model(|| {
        let (mut first, mut second) = both();
        let _ = first.send(b"abcd").expect("it is empty");
        let sender = thread::spawn(move || first.send(b"efgh").is_ok());
        let seen = take(&mut second).map(|(message, _)| message);
        assert_eq!(seen, Some(*b"abcd"));
        let again = sender.join().expect("it does not panic");
        let next = take(&mut second).map(|(message, _)| message);
        assert_eq!(next, again.then_some(*b"efgh"));
    });
}

#[test]
fn end_that_waits_for_a_message_sees_it_or_is_rung() {
    loom::model(|| {
        let (mut first, mut second) = both();
        let sender = thread::spawn(move || first.send(b"abcd").expect("it is empty"));
        let sleeps = second.wait_for_message();
        let ring = sender.join().expect("it does not panic");
        assert!(!sleeps || ring == Ring::Needed, "it sleeps for ever");
    });
}

#[test]
fn end_that_waits_for_room_sees_it_or_is_rung() {
    loom::model(|| {
        let (mut first, mut second) = both();
        let _ = first.send(b"abcd").expect("it is empty");
        let taker = thread::spawn(move || take(&mut second).map(|(_, ring)| ring));
        let sleeps = first.wait_for_room();
        let ring = taker.join().expect("it does not panic");
        assert!(!sleeps || ring == Some(Ring::Needed), "it sleeps for ever");
    });
}

#[test]
fn end_that_is_seen_has_told_its_format() {
    loom::model(|| {
        let memory = memory();
        let second = end(memory, End::Second);
        let starts = thread::spawn(move || end(memory, End::First).slots());
        let seen = second.is_connected();
        assert!(seen.is_ok(), "{seen:?}");
        assert_eq!(starts.join().expect("it does not panic"), 1);
        assert_eq!(second.is_connected(), Ok(true));
    });
}
