//! Messages from a Linux partition to a bare guest and back, by a queue in a channel: `channel-messages NAME`. The other end is the guest
//! `messages` (tests/guests/messages), which says what the three runs are.

use std::time::Instant;

use anyhow::{Context, bail, ensure};
use bulkhead_channel::{End, Message, Queue, SendError};
use bulkhead_linux::Channel;

/// Bytes of each message.
const BYTES: usize = 64;
/// Messages of the first two runs.
const SINGLE: u64 = 200;
/// Messages of the last one.
const STREAM: u64 = 5_000;

fn main() -> anyhow::Result<()> {
    let name = std::env::args().nth(1);
    let name =
        name.context("usage: channel-messages NAME, with the channel's name in the system file")?;
    let channel = Channel::open(&name)?;
    ensure!(
        channel.end() == End::First,
        "the other end is to answer: this one must be the first of the channel"
    );
    let queue = channel.queue()?;
    let mut peer = Peer { channel, queue };
    while !peer.queue.is_connected()? {
        peer.channel.wait()?;
    }
    println!("channel-messages: connected, {} slots", peer.queue.slots());

    // It answers with the time at which it was rung, by a clock that this end does not have.
    for number in 0..SINGLE {
        peer.send(&message(1, number))?;
        let (run, _) = peer.receive()?;
        ensure!(run == 1, "an answer of run {run} came in the first");
    }
    let began = Instant::now();
    for number in 0..SINGLE {
        peer.send(&message(2, number))?;
        let answer = peer.receive()?;
        ensure!(answer == (2, number), "{answer:?} came for (2, {number})");
    }
    println!(
        "channel-messages: {SINGLE} there and back, {} us each",
        began.elapsed().as_micros() / u128::from(SINGLE)
    );
    let began = Instant::now();
    for number in 0..STREAM {
        peer.send(&message(3, number))?;
    }
    let answer = peer.receive()?;
    ensure!(answer == (3, STREAM), "{answer:?} came for (3, {STREAM})");
    println!(
        "channel-messages: {STREAM} of {BYTES} bytes, {} ns each",
        began.elapsed().as_nanos() / u128::from(STREAM)
    );
    println!("channel-messages: done");
    Ok(())
}

/// The other end, with the sleep while it has nothing to say or to take.
struct Peer {
    channel: Channel,
    queue: Queue<'static>,
}

impl Peer {
    fn send(&mut self, message: &[u8]) -> anyhow::Result<()> {
        loop {
            match self.queue.send(message) {
                Ok(ring) => {
                    self.channel.answer(ring);
                    return Ok(());
                }
                Err(SendError::Full) => {
                    if self.queue.wait_for_room() {
                        self.channel.wait()?;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The run and the number of the next message.
    fn receive(&mut self) -> anyhow::Result<(u64, u64)> {
        let mut bytes = [0; BYTES];
        loop {
            if let Some((message, ring)) = self.queue.receive(&mut bytes) {
                self.channel.answer(ring);
                return match message {
                    Message::Whole(BYTES) => read(&bytes),
                    Message::Whole(length) => bail!("a message of {length} bytes came"),
                    Message::Lost => bail!("a message was lost"),
                };
            }
            if self.queue.wait_for_message() {
                self.channel.wait()?;
            }
        }
    }
}

/// A message of a run.
fn message(run: u64, number: u64) -> [u8; BYTES] {
    let mut bytes = [number as u8; BYTES];
    bytes[..8].copy_from_slice(&run.to_le_bytes());
    bytes[8..16].copy_from_slice(&number.to_le_bytes());
    bytes
}

fn read(bytes: &[u8; BYTES]) -> anyhow::Result<(u64, u64)> {
    let word = |at: usize| anyhow::Ok(u64::from_le_bytes(bytes[at..at + 8].try_into()?));
    let (run, number) = (word(0)?, word(8)?);
    ensure!(*bytes == message(run, number), "a message is not whole");
    Ok((run, number))
}
