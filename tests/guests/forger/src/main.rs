//! Tries to raise interrupts that are not its own with a PCI device: QEMU's `edu`, which sends messages and does DMA.
//!
//! What is typed says what it does: `m` has the device send messages that are its own, and counts them; `w` has it write numbers of others'
//! interrupts to doorbells by DMA; `f` has it send them as messages; `p` has it send messages to places that are no doorbell; `t` tells the ITS
//! about others' devices; `c` says what has arrived. A device without messages does `w` only. It is its own victim, too: whatever arrives that
//! it did not ask for is counted.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering};

use board::{Board, cpu, interrupt, println, psci, timer, uart};
use edu::Edu;
use msi::target::Target;

/// Messages of its own that are sent at a time.
const MESSAGES: u32 = 10;
/// Messages and transfers of DMA arrive within it, in microseconds.
const PATIENCE_US: u64 = edu::PATIENCE_US;
/// For what ought not to arrive, in microseconds.
const SILENCE_US: u64 = 10_000;

/// Numbers that are not its own: EventIDs, LPIs, and SPIs, the SMMU's among them.
const NUMBERS: [u32; 7] = [1, 33, 63, 106, 8192, 8193, u32::MAX];
/// Doorbells of QEMU's virt machine: of a v2m frame and of the ITS.
const DOORBELLS: [u64; 2] = [0x0802_0040, 0x0809_0040];
/// Where a message raises an interrupt without a doorbell, or changes memory: `GICD_SETSPI_NSR`, `GICD_ISPENDR1`, another partition's RAM,
/// and the SMMU's commands.
const PLACES: [u64; 4] = [0x0800_0040, 0x0800_0204, 0x6080_0000, 0x0905_0098];
/// Functions 0 of so many devices of the first bus.
const DEVICES: u32 = 8;

/// The interrupt that is its own, or none.
static OWN: AtomicU32 = AtomicU32::new(u32::MAX);
/// How often that came.
static ARRIVED: AtomicU32 = AtomicU32::new(0);
/// How often any other one came.
static STRANGERS: AtomicU32 = AtomicU32::new(0);
/// The word that the device reads from here and writes elsewhere.
static WORD: AtomicU32 = AtomicU32::new(0);

board::entry!(main);

fn main(board: &'static Board) -> ! {
    let done = run(board);
    let what = done.err().unwrap_or("ended");
    println!("forger: FAILED: {what}");
    psci::system_off()
}

fn run(board: &'static Board) -> Result<(), &'static str> {
    let edu = Edu::find(board)?;
    board.gic.init_distributor();
    board.gic.init_cpu();
    interrupt::set_handler(handle);
    let target = match edu.has_messages() {
        true => Some(Target::find(board)?),
        false => None,
    };
    if let Some(target) = &target {
        let (intid, _) = target.set_up(board, edu.requester())?;
        OWN.store(intid, Ordering::Release);
        to_itself(&edu, target);
    }
    cpu::unmask_interrupts();
    println!("forger: edu is there");
    loop {
        match (typed(), &target) {
            (b'm', Some(_)) => own(&edu)?,
            (b'f', Some(target)) => by_message(&edu, target),
            (b'p', Some(target)) => to_places(&edu, target),
            (b't', Some(Target::Its(its))) => {
                for device in (0..DEVICES).map(|device| device << 3) {
                    if device != edu.requester() {
                        its.meddle_with(device)?;
                    }
                }
                println!("forger: told the ITS of others' devices");
            }
            (b'w', _) => by_dma(&edu)?,
            (b'c', _) => {
                let [own, strangers] =
                    [&ARRIVED, &STRANGERS].map(|count| count.load(Ordering::Acquire));
                println!("forger: {own} own, {strangers} strange interrupts");
            }
            _ => {}
        }
    }
}

/// The device's messages go where they ought to.
fn to_itself(edu: &Edu, target: &Target) {
    let (address, data) = target.doorbell();
    edu.send_messages_to(address, data);
}

/// Messages that are its own arrive, each once.
fn own(edu: &Edu) -> Result<(), &'static str> {
    for _ in 0..MESSAGES {
        let before = ARRIVED.load(Ordering::Acquire);
        edu.raise();
        if !timer::wait_until(PATIENCE_US, || ARRIVED.load(Ordering::Acquire) != before) {
            return Err("a message was lost");
        }
        edu.acknowledge();
    }
    println!("forger: {MESSAGES} messages arrived");
    Ok(())
}

fn send(edu: &Edu, address: u64, data: u32) {
    edu.send_messages_to(address, data);
    edu.raise();
    edu.acknowledge();
}

fn by_message(edu: &Edu, target: &Target) {
    for data in NUMBERS {
        send(edu, target.doorbell().0, data);
    }
    listen();
    to_itself(edu, target);
    println!("forger: messages of others are sent");
}

fn to_places(edu: &Edu, target: &Target) {
    for place in PLACES {
        send(edu, place, NUMBERS[1]);
    }
    listen();
    to_itself(edu, target);
    println!("forger: messages to other places are sent");
}

fn by_dma(edu: &Edu) -> Result<(), &'static str> {
    let bytes = size_of_val(&WORD) as u64;
    let wait = || match timer::wait_until(PATIENCE_US, || edu.is_idle()) {
        true => Ok(()),
        false => Err("the device does not end its transfer"),
    };
    for data in NUMBERS {
        WORD.store(data, Ordering::SeqCst);
        edu.read(&raw const WORD as u64, bytes);
        wait()?;
        for doorbell in DOORBELLS {
            edu.write(doorbell, bytes);
            wait()?;
        }
    }
    listen();
    println!("forger: doorbells are written");
    Ok(())
}

/// Waits for what ought not to arrive.
fn listen() {
    timer::wait_until(SILENCE_US, || false);
}

fn handle(intid: u32) {
    let count = match intid == OWN.load(Ordering::Acquire) {
        true => &ARRIVED,
        false => &STRANGERS,
    };
    count.fetch_add(1, Ordering::AcqRel);
}

/// The next character that is typed.
fn typed() -> u8 {
    loop {
        if let Some(byte) = uart::read_byte() {
            return byte;
        }
    }
}
