//! Has QEMU's `edu` device send it interrupts by message, through a GICv2m frame or an ITS, and counts them.
//!
//! Run with `-device edu`. The first time it resets itself at the end. The second time, which it knows by the device's settings, the device sends a message
//! before anything is set up to take it: that one must not arrive later.
#![no_std]

pub mod its;
pub mod target;

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use board::{Board, cpu, interrupt, println, timer};

use edu::Edu;
use target::Target;

/// Messages that are sent and counted.
const MESSAGES: u32 = 100;
/// Those before these are not timed: everything is done for the first time.
const WARM_UP: u32 = 10;
/// A message takes microseconds; this is for a machine that is busy with others.
const PATIENCE_US: u64 = 5_000_000;

/// The interrupt that the messages raise.
static EXPECTED: AtomicU32 = AtomicU32::new(0);
/// How often it came.
static ARRIVED: AtomicU32 = AtomicU32::new(0);
/// Any other interrupt that came, or zero.
static STRANGER: AtomicU32 = AtomicU32::new(0);
/// When it last came, in ticks.
static ARRIVED_AT: AtomicU64 = AtomicU64::new(0);

/// Counts the messages of one start and prints what came of it, as the guest `name`. True after the first start.
///
/// # Errors
/// What is missing on the board, or what went wrong with a message.
pub fn run(name: &str, board: &'static Board) -> Result<bool, &'static str> {
    let edu = Edu::find(board)?;
    if !edu.has_messages() {
        return Err("the device has no messages");
    }
    let first = !edu.sends_messages();
    if !first {
        // Whoever took the last start's messages must have forgotten them.
        edu.raise();
        edu.acknowledge();
    }
    board.gic.init_distributor();
    board.gic.init_cpu();
    interrupt::set_handler(handle);
    let target = Target::find(board)?;
    let (intid, through) = target.set_up(board, edu.requester())?;
    EXPECTED.store(intid, Ordering::Release);
    cpu::unmask_interrupts();
    let start = if first { "first" } else { "second" };
    println!("{name}: {start} start, INTID {intid} through the {through}");
    if ARRIVED.load(Ordering::Acquire) != 0 {
        return Err("a message of the last start arrived");
    }

    let (address, data) = target.doorbell();
    edu.send_messages_to(address, data);
    let mut ticks = 0;
    for number in 1..=MESSAGES {
        let sent_at = timer::Timer::Virtual.now();
        edu.raise();
        if !timer::wait_until(PATIENCE_US, || ARRIVED.load(Ordering::Acquire) >= number) {
            return Err("a message was lost");
        }
        if number > WARM_UP {
            ticks += ARRIVED_AT.load(Ordering::Acquire) - sent_at;
        }
        edu.acknowledge();
    }
    let arrived = ARRIVED.load(Ordering::Acquire);
    let stranger = STRANGER.load(Ordering::Acquire);
    if arrived != MESSAGES {
        return Err("more messages arrived than were sent");
    }
    if stranger != 0 {
        return Err("another interrupt came");
    }
    println!(
        "{name}: {arrived} of {MESSAGES} messages, {} ticks each",
        ticks / u64::from(MESSAGES - WARM_UP)
    );
    Ok(first)
}

fn handle(intid: u32) {
    if intid == EXPECTED.load(Ordering::Acquire) {
        ARRIVED_AT.store(timer::Timer::Virtual.now(), Ordering::Release);
        ARRIVED.fetch_add(1, Ordering::AcqRel);
    } else {
        STRANGER.store(intid, Ordering::Release);
    }
}
