//! An end of a channel. Its place among the ends says what it does: the first sends messages and counts the answers, the second answers for ever, and any
//! other one may only look: it tries to write, and rings.
//!
//! The first starts its partition anew when `r` is typed. It says first whether the channel holds anything.
#![no_std]
#![no_main]

use core::slice;
use core::sync::atomic::{AtomicU32, Ordering};

use bulkhead_channel as channel;
use channel::{Message, Queue, Ring};
use pc::console::read_byte;
use pc::cpu::{hypercall, hypercall_with, hypercall_with_two, sleep};
use pc::second::{CALL, calls};
use pc::{End, Machine, apic, println, probe};

/// Rings the other ends of the channel whose end has the number in RBX.
const RING: u32 = 0xc600_0200;
/// This CPU takes rings of the end with the number in RBX by the vector in RCX.
const LISTEN: u32 = 0xc600_0201;
/// PSCI SYSTEM_RESET.
const RESET: u32 = 0x8400_0009;
/// PSCI INVALID_PARAMETERS.
const REFUSED: u64 = -2i64 as u64;

/// Messages of the first end.
const MESSAGES: u32 = 1_000;
const BYTES: usize = 64;

pc::entry!(main);

fn main(machine: &Machine) -> ! {
    let Some(end) = machine.ends().next() else {
        fail("there is no channel");
    };
    let first = end.address as *const AtomicU32;
    // SAFETY: the table says that the channel is there and that it is for nothing else; what others write meanwhile, they write to atomic words.
    let words = unsafe { slice::from_raw_parts(first, end.size as usize / 4) };
    match end.place {
        0 => send(&mut Talk::new(end, words, channel::End::First)),
        1 => answer(&mut Talk::new(end, words, channel::End::Second)),
        _ => look(end, words),
    }
}

/// A queue and its doorbells.
struct Talk {
    end: End,
    queue: Queue<'static>,
    rings: u32,
}

impl Talk {
    fn new(end: End, words: &'static [AtomicU32], which: channel::End) -> Self {
        let empty = words.iter().all(|word| word.load(Ordering::Relaxed) == 0);
        println!(
            "channel: {} KiB at {:#x}, {}",
            end.size >> 10,
            end.address,
            if empty { "zeros" } else { "not empty" }
        );
        apic::enable();
        if hypercall_with_two(LISTEN, end.number.into(), CALL) != 0 {
            fail("nobody can ring");
        }
        let Ok(queue) = Queue::new(words, which) else {
            fail("the channel is too small");
        };
        let mut talk = Self {
            end,
            queue,
            rings: 0,
        };
        // The other end may wait for what will never come.
        talk.ring(Ring::Needed);
        while !matches!(talk.queue.is_connected(), Ok(true)) {
            sleep();
        }
        talk
    }

    fn ring(&mut self, ring: Ring) {
        if ring == Ring::Needed {
            self.rings += 1;
            if hypercall_with(RING, self.end.number.into()) != 0 {
                fail("a ring was refused");
            }
        }
    }

    fn receive(&mut self, buffer: &mut [u8; BYTES]) -> Message {
        loop {
            if let Some((message, ring)) = self.queue.receive(buffer) {
                self.ring(ring);
                return message;
            }
            // Interrupts are taken in `sleep` alone: none is missed between the look and it.
            if self.queue.wait_for_message() {
                sleep();
            }
        }
    }

    fn send(&mut self, message: &[u8; BYTES]) {
        loop {
            if let Ok(ring) = self.queue.send(message) {
                return self.ring(ring);
            }
            if self.queue.wait_for_room() {
                sleep();
            }
        }
    }
}

fn message(number: u32) -> [u8; BYTES] {
    let mut bytes = [number as u8; BYTES];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    bytes
}

fn send(talk: &mut Talk) -> ! {
    let number = u64::from(talk.end.number);
    let bad = [
        hypercall_with(RING, number + 7),
        hypercall_with_two(LISTEN, number + 7, CALL),
        hypercall_with_two(LISTEN, number, 2),
        hypercall_with_two(LISTEN, number, 0x141),
    ];
    if bad != [REFUSED; 4] {
        fail("a call that means nothing was not refused");
    }
    let mut buffer = [0; BYTES];
    for number in 0..MESSAGES {
        talk.send(&message(number));
        if talk.receive(&mut buffer) != Message::Whole(BYTES) || buffer != message(!number) {
            fail("an answer is not whole");
        }
    }
    println!(
        "channel: {MESSAGES} answered, {} rings, rung {} times",
        talk.rings,
        calls()
    );
    loop {
        if read_byte() == Some(b'r') {
            hypercall(RESET);
        }
    }
}

fn answer(talk: &mut Talk) -> ! {
    let mut buffer = [0; BYTES];
    loop {
        // What is lost was of an earlier run of the other end.
        if talk.receive(&mut buffer) == Message::Whole(BYTES) {
            let [a, b, c, d, ..] = buffer;
            talk.send(&message(!u32::from_le_bytes([a, b, c, d])));
        }
    }
}

fn look(end: End, words: &[AtomicU32]) -> ! {
    println!(
        "channel: {}, word 0 is {:#x}",
        if end.writable {
            "read-write"
        } else {
            "read-only"
        },
        words[0].load(Ordering::Relaxed)
    );
    for at in [end.address, end.address + end.size - 8] {
        // SAFETY: the two words are the others'; a write that is not refused is what this looks for.
        match unsafe { probe::write(at, 0) } {
            None => println!("channel: write at {at:#x} refused"),
            Some(_) => println!("channel: write at {at:#x} was not refused"),
        }
    }
    println!("channel: ring {}", hypercall_with(RING, end.number.into()));
    println!(
        "channel: listen {}",
        hypercall_with_two(LISTEN, end.number.into(), CALL) as i64
    );
    loop {
        sleep();
    }
}

fn fail(what: &str) -> ! {
    println!("channel: FAILED: {what}");
    pc::cpu::power_off()
}
