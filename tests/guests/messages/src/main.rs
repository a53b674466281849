//! One end of a channel's queue. The first end sends and says what it cost; the second one answers.
//!
//! Three runs, in this order; their messages begin with the run's number:
//! 1. a ring at a time, whose answer says when the other end's handler began;
//! 2. one message at a time, there and back: one ring each way;
//! 3. as many as fit: the other end is rung only when it has nothing left to do.
#![no_std]
#![no_main]

use board::timer::{Timer, wait_until};
use board::{Board, cpu, println, psci};
use bulkhead_channel as channel;
use channel::{Message, Ring};

use messages::end::{End, rung};

/// Bytes of each message.
const BYTES: usize = 64;
/// Messages of the first two runs.
const SINGLE: u64 = 200;
/// Messages of the last one.
const STREAM: u64 = 5_000;
/// Time for the other end to fall asleep, in microseconds.
const SETTLE_US: u64 = 30;

board::entry!(main);

fn main(board: &'static Board) -> ! {
    let mut end = End::find(board).unwrap_or_else(|what| fail(what));
    end.connect().unwrap_or_else(|what| fail(what));
    println!("messages: connected, {} slots", end.queue.slots());
    let done = match end.which {
        channel::End::First => send(&mut end),
        channel::End::Second => answer(&mut end),
    };
    match done {
        Ok(()) => println!("messages: done"),
        Err(what) => fail(what),
    }
    loop {
        cpu::wait_for_interrupt();
    }
}

/// A message of a run.
fn message(run: u64, number: u64) -> [u8; BYTES] {
    let mut bytes = [number as u8; BYTES];
    bytes[..8].copy_from_slice(&run.to_le_bytes());
    bytes[8..16].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// The run and the number of a message, if it is whole.
fn read(bytes: &[u8; BYTES]) -> Option<(u64, u64)> {
    let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let (run, number) = (word(0)?, word(8)?);
    (*bytes == message(run, number)).then_some((run, number))
}

fn take(end: &mut End) -> Result<(u64, u64), &'static str> {
    let mut buffer = [0; BYTES];
    match end.receive(&mut buffer) {
        Message::Whole(BYTES) => read(&buffer).ok_or("a message is not whole"),
        Message::Whole(_) => Err("a message has another length"),
        Message::Lost => Err("a message was lost"),
    }
}

/// What the first end does.
fn send(end: &mut End) -> Result<(), &'static str> {
    let mut samples = [0; SINGLE as usize];
    let mut asleep = 0;
    for number in 0..SINGLE {
        wait_until(SETTLE_US, || false);
        let sent = end.queue.send(&message(1, number));
        // On a CPU that the two share the other end may not have had its turn yet.
        let rang_at = match sent.map_err(|_| "a message was not sent")? {
            Ring::Needed => Some(end.ring_and_sleep()),
            Ring::NotNeeded => None,
        };
        let (run, rung_at) = take(end)?;
        expect((run, 0), (1, 0))?;
        if let Some(rang_at) = rang_at {
            samples[asleep] = rung_at.saturating_sub(rang_at);
            asleep += 1;
        }
    }
    let samples = &mut samples[..asleep];
    if samples.is_empty() {
        return Err("the other end never slept");
    }
    samples.sort_unstable();
    println!(
        "bench: doorbell min={} p50={} p99={} max={} ticks",
        samples[0],
        samples[samples.len() / 2 - 1],
        samples[samples.len() * 99 / 100 - 1],
        samples[samples.len() - 1]
    );

    let (rings, began) = (end.rings, Timer::Physical.now());
    for number in 0..SINGLE {
        send_one(end, &message(2, number))?;
        expect(take(end)?, (2, number))?;
    }
    println!(
        "messages: {SINGLE} there and back, {} ticks each, {} rings",
        (Timer::Physical.now() - began) / SINGLE,
        end.rings - rings
    );

    let (rings, rung_before, began) = (end.rings, rung().0, Timer::Physical.now());
    for number in 0..STREAM {
        send_one(end, &message(3, number))?;
    }
    expect(take(end)?, (3, STREAM))?;
    let each = (Timer::Physical.now() - began) / STREAM;
    println!(
        "messages: {STREAM} of {BYTES} bytes, {} rings, rung {} times",
        end.rings - rings,
        rung().0 - rung_before
    );
    println!("bench: message min={each} p50={each} p99={each} max={each} ticks");
    Ok(())
}

/// What the second end does.
fn answer(end: &mut End) -> Result<(), &'static str> {
    for number in 0..SINGLE {
        expect(take(end)?, (1, number))?;
        send_one(end, &message(1, rung().1))?;
    }
    let rings = end.rings;
    for number in 0..SINGLE {
        expect(take(end)?, (2, number))?;
        send_one(end, &message(2, number))?;
    }
    println!("messages: {SINGLE} answered, {} rings", end.rings - rings);
    for number in 0..STREAM {
        expect(take(end)?, (3, number))?;
    }
    send_one(end, &message(3, STREAM))
}

fn send_one(end: &mut End, message: &[u8]) -> Result<(), &'static str> {
    end.send(message).map_err(|_| "a message is too long")
}

fn expect(found: (u64, u64), expected: (u64, u64)) -> Result<(), &'static str> {
    if found == expected {
        Ok(())
    } else {
        println!("messages: {found:?} came, not {expected:?}");
        Err("another message was expected")
    }
}

fn fail(what: &str) -> ! {
    println!("messages: FAILED: {what}");
    psci::system_off()
}
