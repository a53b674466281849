use core::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use crate::layout::{
    FIRST_SLOT_AT, MAGIC_AT, SENT_AT, SLOT_WORDS, SLOTS_AT, TAKEN_AT, VERSION_AT, WANTS_MESSAGE_AT,
};
use crate::{End, MOST_BYTES, Message, Queue, QueueError, Ring, SendError};

/// Memory of a channel with so many slots each way.
fn memory(slots: usize) -> Vec<AtomicU32> {
    let half = FIRST_SLOT_AT + slots * SLOT_WORDS;
    (0..2 * half).map(|_| AtomicU32::new(0)).collect()
}

fn both(memory: &[AtomicU32]) -> (Queue<'_>, Queue<'_>) {
    let first = Queue::new(memory, End::First).unwrap();
    (first, Queue::new(memory, End::Second).unwrap())
}

fn take(queue: &mut Queue<'_>) -> Option<Vec<u8>> {
    let mut buffer = [0xaa; MOST_BYTES];
    let (message, _) = queue.receive(&mut buffer)?;
    let Message::Whole(length) = message else {
        panic!("lost");
    };
    Some(buffer[..length].to_vec())
}

/// What the first end writes, for the tests that write nonsense there.
fn poke(memory: &[AtomicU32], at: usize, value: u32) {
    memory[at].store(value, Ordering::Relaxed);
}

#[test]
fn messages_of_every_length_arrive_whole_and_in_order() {
    let memory = memory(2);
    let (mut first, mut second) = both(&memory);
    for length in 0..=MOST_BYTES {
        let message: Vec<u8> = (0..length).map(|n| (n * 7 + length) as u8).collect();
        let _ = first.send(&message).unwrap();
        assert_eq!(take(&mut second), Some(message));
    }
    assert_eq!(take(&mut second), None);
}

#[test]
fn both_directions_are_apart() {
    let memory = memory(1);
    let (mut first, mut second) = both(&memory);
    let _ = first.send(b"there").unwrap();
    let _ = second.send(b"back").unwrap();
    assert_eq!(take(&mut first), Some(b"back".to_vec()));
    assert_eq!(take(&mut second), Some(b"there".to_vec()));
}

#[test]
fn full_queue_refuses_and_has_room_after_one_is_taken() {
    let memory = memory(4);
    let (mut first, mut second) = both(&memory);
    for n in 0..4 {
        let _ = first.send(&[n]).unwrap();
    }
    assert_eq!(first.send(b"x"), Err(SendError::Full));
    assert_eq!(take(&mut second), Some(vec![0]));
    assert!(first.send(&[4]).is_ok());
    for n in 1..5 {
        assert_eq!(take(&mut second), Some(vec![n]));
    }
}

#[test]
fn too_long_message_is_refused() {
    let memory = memory(1);
    let (mut first, _second) = both(&memory);
    assert_eq!(first.send(&[0; MOST_BYTES + 1]), Err(SendError::TooLong));
}

#[test]
fn short_buffer_gets_the_beginning() {
    let memory = memory(1);
    let (mut first, mut second) = both(&memory);
    let _ = first.send(b"abcdefgh").unwrap();
    let mut buffer = [0; 5];
    let (message, _) = second.receive(&mut buffer).unwrap();
    assert_eq!((message, &buffer), (Message::Whole(5), b"abcde"));
}

#[test]
fn memory_for_less_than_one_message_each_way_is_refused() {
    let words = memory(1);
    let too_small = &words[..words.len() - 2];
    for end in [End::First, End::Second] {
        assert_eq!(Queue::new(too_small, end).err(), Some(QueueError::TooSmall));
        assert_eq!(Queue::new(&[], end).err(), Some(QueueError::TooSmall));
    }
}

#[test]
fn only_an_end_that_waits_is_rung_and_once() {
    let memory = memory(4);
    let (mut first, mut second) = both(&memory);
    assert_eq!(first.send(b"1"), Ok(Ring::NotNeeded));
    assert!(!second.wait_for_message(), "one is there");
    take(&mut second).unwrap();
    assert!(second.wait_for_message());
    assert_eq!(first.send(b"2"), Ok(Ring::Needed));
    assert_eq!(first.send(b"3"), Ok(Ring::NotNeeded));
}

#[test]
fn sender_that_waits_for_room_is_rung_when_half_is_free() {
    let memory = memory(4);
    let (mut first, mut second) = both(&memory);
    for _ in 0..4 {
        let _ = first.send(b"").unwrap();
    }
    assert!(first.wait_for_room());
    let mut rung = Vec::new();
    for _ in 0..4 {
        rung.push(second.receive(&mut []).unwrap().1);
    }
    assert_eq!(
        rung,
        [
            Ring::NotNeeded,
            Ring::Needed,
            Ring::NotNeeded,
            Ring::NotNeeded
        ]
    );
    assert!(!first.wait_for_room());
}

#[test]
fn end_that_starts_again_goes_on_with_an_empty_queue_both_ways() {
    let memory = memory(2);
    let (mut first, mut second) = both(&memory);
    let _ = first.send(b"old").unwrap();
    let _ = second.send(b"old").unwrap();
    let mut first = Queue::new(&memory, End::First).unwrap();
    assert_eq!((take(&mut first), take(&mut second)), (None, None));
    for n in 0..5 {
        let _ = first.send(&[n]).unwrap();
        assert_eq!(take(&mut second), Some(vec![n]));
        let _ = second.send(&[n]).unwrap();
        assert_eq!(take(&mut first), Some(vec![n]));
    }
}

#[test]
fn sender_that_starts_while_the_other_end_takes_its_last_message_is_in_step_again_after_one_loss() {
    let memory = memory(2);
    let (mut first, mut second) = both(&memory);
    let of_second = &memory[memory.len() / 2..];
    let _ = first.send(b"old").unwrap();
    take(&mut second).unwrap();
    // The first end starts before it can see that.
    poke(of_second, TAKEN_AT, 0);
    let mut first = Queue::new(&memory, End::First).unwrap();
    poke(of_second, TAKEN_AT, 1);
    assert_eq!(first.send(b"new"), Err(SendError::Full));
    assert_eq!(second.receive(&mut []), Some((Message::Lost, Ring::Needed)));
    let _ = first.send(b"new").unwrap();
    assert_eq!(take(&mut second), Some(b"new".to_vec()));
}

#[test]
fn connection_is_seen_when_the_other_end_is_there_with_the_same_format() {
    let memory = memory(2);
    let second = Queue::new(&memory, End::Second).unwrap();
    assert_eq!(second.is_connected(), Ok(false));
    let _first = Queue::new(&memory, End::First).unwrap();
    assert_eq!(second.is_connected(), Ok(true));
    poke(&memory, SLOTS_AT, 4);
    assert_eq!(second.is_connected(), Err(QueueError::Slots(4)));
    poke(&memory, VERSION_AT, 2);
    assert_eq!(second.is_connected(), Err(QueueError::Version(2)));
    poke(&memory, MAGIC_AT, 0);
    assert_eq!(second.is_connected(), Ok(false));
}

#[test]
fn length_beyond_the_slot_loses_that_message_only() {
    let memory = memory(2);
    let (mut first, mut second) = both(&memory);
    let _ = first.send(b"bad").unwrap();
    let _ = first.send(b"good").unwrap();
    for length in [MOST_BYTES as u32 + 1, u32::MAX] {
        poke(&memory, FIRST_SLOT_AT, length);
    }
    assert_eq!(
        second.receive(&mut []).map(|got| got.0),
        Some(Message::Lost)
    );
    assert_eq!(take(&mut second), Some(b"good".to_vec()));
}

#[test]
fn counts_work_across_the_end_of_32_bits() {
    let memory = memory(2);
    let half = memory.len() / 2;
    poke(&memory[half..], TAKEN_AT, u32::MAX - 1);
    poke(&memory, SENT_AT, u32::MAX - 1);
    let mut first = Queue::new(&memory, End::First).unwrap();
    let mut second = Queue::new(&memory, End::Second).unwrap();
    for n in 0..6 {
        assert!(second.wait_for_message());
        assert_eq!(first.send(&[n]), Ok(Ring::Needed));
        assert_eq!(take(&mut second), Some(vec![n]));
    }
}

#[test]
fn ends_over_two_channels_write_only_their_own() {
    let (one, other) = (memory(1), memory(1));
    let mut first = Queue::of_halves(&one, &other).unwrap();
    let before: Vec<u32> = other
        .iter()
        .map(|word| word.load(Ordering::Relaxed))
        .collect();
    let _ = first.send(b"to read only memory").unwrap();
    first.receive(&mut []);
    first.wait_for_message();
    first.wait_for_room();
    let after: Vec<u32> = other
        .iter()
        .map(|word| word.load(Ordering::Relaxed))
        .collect();
    assert_eq!(before, after);
}

/// What the victim does between two writes of a hostile end.
#[derive(Clone, Copy, Debug)]
enum Call {
    Send(usize),
    Receive(usize),
    WaitForMessage,
    WaitForRoom,
    IsConnected,
    StartAgain,
}

fn any_call() -> impl Strategy<Value = Call> {
    prop_oneof![
        (0..MOST_BYTES + 2).prop_map(Call::Send),
        (0..MOST_BYTES + 2).prop_map(Call::Receive),
        Just(Call::WaitForMessage),
        Just(Call::WaitForRoom),
        Just(Call::IsConnected),
        Just(Call::StartAgain),
    ]
}

/// Where a hostile end writes, and what: often near what would be right.
fn any_write() -> impl Strategy<Value = (usize, u32)> {
    let at = prop_oneof![
        Just(SENT_AT),
        Just(TAKEN_AT),
        Just(WANTS_MESSAGE_AT),
        Just(FIRST_SLOT_AT),
        0..FIRST_SLOT_AT + 4 * SLOT_WORDS
    ];
    (at, prop_oneof![0u32..8, any::<u32>()])
}

proptest! {
    #[test]
    fn nothing_that_the_other_end_writes_panics_overflows_a_buffer_or_reaches_this_ends_counts(
        steps in prop::collection::vec((any_write(), any_call()), 1..200)
    ) {
        let memory = memory(4);
        let mut second = Queue::new(&memory, End::Second).unwrap();
        for ((at, value), call) in steps {
            poke(&memory, at, value);
            match call {
                Call::Send(length) => {
                    let count = || memory[memory.len() / 2 + SENT_AT].load(Ordering::Relaxed);
                    let before = count();
                    let sent = second.send(&vec![1; length]);
                    prop_assert_eq!(count().wrapping_sub(before), u32::from(sent.is_ok()));
                }
                Call::Receive(length) => {
                    let mut buffer = vec![0; length];
                    if let Some((Message::Whole(got), _)) = second.receive(&mut buffer) {
                        prop_assert!(got <= length && got <= MOST_BYTES);
                    }
                }
                Call::WaitForMessage => {
                    second.wait_for_message();
                }
                Call::WaitForRoom => {
                    second.wait_for_room();
                }
                Call::IsConnected => {
                    let _ = second.is_connected();
                }
                Call::StartAgain => second = Queue::new(&memory, End::Second).unwrap(),
            }
        }
        // An end that behaves from here on is understood at once, or after one loss.
        let mut first = Queue::new(&memory, End::First).unwrap();
        while second.receive(&mut []).is_some() {}
        let _ = first.send(b"sound").unwrap();
        prop_assert_eq!(take(&mut second), Some(b"sound".to_vec()));
    }

    #[test]
    fn every_message_arrives_once_and_in_order_whatever_the_ends_do_when(
        turns in prop::collection::vec(any::<bool>(), 1..500), slots in 1usize..9
    ) {
        let memory = memory(slots);
        let (mut first, mut second) = both(&memory);
        let (mut sent, mut got) = (0u32, 0u32);
        for sends in turns {
            if sends {
                if first.send(&sent.to_le_bytes()).is_ok() {
                    sent += 1;
                }
            } else if let Some(message) = take(&mut second) {
                prop_assert_eq!(message, got.to_le_bytes());
                got += 1;
            }
        }
        prop_assert!(sent - got <= first.slots());
    }
}
