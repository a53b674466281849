//! Three guests in one, told apart by what they own.
//!
//! With a device's registers it drives the DMA of QEMU's `edu` device: inside its own memory when `i` is typed, to places that are not its own
//! when `a` is typed, and as much as it can to such a place when `s` is typed; when `m` is typed it has the device interrupt, and when `r` is typed it starts
//! anew while a transfer to such a place is on its way.
//! With a network card's registers it has that interrupt by several messages when `m` is typed. Without, it is the victim: it fills half of its memory with a
//! secret, and says whether every byte is still there when `c` is typed.
#![no_std]
#![no_main]

mod edu;
mod nic;

use core::sync::atomic::{AtomicU32, Ordering::SeqCst};

use pc::console::read_byte;
use pc::second::{CALL, calls};
use pc::{Machine, apic, cpu, println};

use edu::{Edu, SIZE};
use nic::Nic;

pc::entry!(main);

/// Memory that the device reads and writes.
#[repr(align(4096))]
struct Buffer([AtomicU32; SIZE / 4]);

/// What is moved inside, and where it arrives.
static FROM: Buffer = Buffer([const { AtomicU32::new(0) }; SIZE / 4]);
static TO: Buffer = Buffer([const { AtomicU32::new(0) }; SIZE / 4]);

impl Buffer {
    fn address(&self) -> u64 {
        &raw const self.0 as u64
    }

    fn fill(&self, first: u32) {
        for (number, word) in (first..).zip(&self.0) {
            word.store(number, SeqCst);
        }
    }

    fn holds(&self, first: u32) -> bool {
        let mut pairs = (first..).zip(&self.0);
        pairs.all(|(number, word)| word.load(SeqCst) == number)
    }
}

/// Places of the PC that are not this partition's, with 16 MiB: just behind its memory, other partitions' where they lie, the hypervisor's
/// image, its VT-d unit's and the interrupt controllers' registers, and beyond the first 4 GiB.
const FOREIGN: [u64; 8] = [
    0x100_0000,
    0x200_0000,
    0x300_0000,
    0x3fef_f000,
    0xfed9_0020,
    0xfec0_0000,
    0x1_0000_0000,
    0x80_0000_0000,
];

fn main(machine: &Machine) -> ! {
    if let Some(nic) = Nic::of(machine) {
        serve(&nic);
    }
    match machine.registers().next() {
        Some(registers) => attack(&Edu::at(registers.address)),
        None => watch(machine),
    }
}

fn typed() -> u8 {
    loop {
        if let Some(byte) = read_byte() {
            return byte;
        }
    }
}

/// The PCI function, as bus, device and function in 16 bits, and its neighbour.
const OWN: u64 = 0x20;
const OTHER: u64 = 0x28;
/// What calls for something that is not the partition's answer.
const BAD: u64 = -2i64 as u64;
/// PSCI SYSTEM_RESET.
const RESET: u32 = 0x8400_0009;

/// The device moves nothing before the partition has made it a master, whatever it was told in an earlier life.
fn make_master(edu: &Edu) {
    let master = |function, on| cpu::hypercall_with_two(0xc600_0203, function, on);
    edu.finish();
    TO.fill(1);
    edu.write(TO.address(), SIZE);
    assert!(TO.holds(1), "the device wrote before it was a master");
    assert!(
        master(OTHER, 1) == BAD,
        "a foreign function was made a master"
    );
    assert!(master(OWN, 2) == BAD, "neither yes nor no");
    assert!(master(OWN, 1) == 0, "the device was not made a master");
}

fn serve(nic: &Nic) -> ! {
    println!("dma: nic is there");
    loop {
        if typed() == b'm' {
            nic.messages();
        }
    }
}

fn attack(edu: &Edu) -> ! {
    make_master(edu);
    println!("dma: edu is there");
    let mut round = 0;
    loop {
        match typed() {
            b'i' => {
                round += 0x0100_0000;
                FROM.fill(round);
                TO.fill(0);
                edu.read(FROM.address(), SIZE);
                edu.write(TO.address(), SIZE);
                assert!(
                    TO.holds(round),
                    "what went through the device did not arrive"
                );
                println!("dma: {SIZE} bytes arrived inside");
            }
            b'a' => abroad(edu),
            b'm' => interrupts(edu),
            b's' => {
                for _ in 0..3 {
                    edu.write(FOREIGN[1], SIZE);
                }
                println!("dma: storm is over");
            }
            b'r' => {
                edu.begin_write(FOREIGN[1], SIZE);
                cpu::hypercall(RESET);
            }
            _ => {}
        }
    }
}

/// The device interrupts once it is bound, by the vector that was chosen, and not before, nor when it is unbound. In the end it is bound.
fn interrupts(edu: &Edu) {
    const ROUNDS: u64 = 3;
    let bind = |function, vector| cpu::hypercall_with_two(0xc600_0202, function, vector);
    apic::enable();
    assert!(!comes(edu), "an interrupt came before the device was bound");
    assert!(bind(OTHER, CALL) == BAD, "a foreign function was bound");
    assert!(bind(OWN, 13) == BAD, "an exception was bound");
    assert!(bind(OWN, CALL) == 0, "the device was not bound");
    let before = calls();
    for round in 1..=ROUNDS {
        edu.interrupt();
        while calls() < before + round {
            cpu::sleep();
        }
    }
    assert!(bind(OWN, 0) == 0, "the device was not unbound");
    assert!(
        !comes(edu),
        "an interrupt came from a device that was unbound"
    );
    assert!(bind(OWN, CALL) == 0, "the device was not bound again");
    println!("dma: {ROUNDS} interrupts");
}

/// Has the device interrupt, and says whether one waits when it has done something else since.
fn comes(edu: &Edu) -> bool {
    edu.interrupt();
    edu.read(FROM.address(), SIZE);
    apic::is_requested(CALL as u8)
}

/// Reads and writes a word of each place.
fn abroad(edu: &Edu) {
    let mut secrets = 0;
    for place in FOREIGN {
        FROM.fill(0xa77a_c000);
        edu.read(FROM.address(), 4);
        edu.write(place, 4);
        edu.read(place, 4);
        edu.write(TO.address(), 4);
        secrets += u32::from(is_secret(TO.0[0].load(SeqCst)));
    }
    println!("dma: attack is over, {secrets} secrets read");
}

/// What every secret word begins with.
const MARK: u32 = 0x5ec0_0000;
const MASK: u32 = 0xffe0_0000;

const fn is_secret(word: u32) -> bool {
    word & MASK == MARK
}

const fn secret(index: usize) -> u32 {
    MARK | (index as u32 & !MASK)
}

fn watch(machine: &Machine) -> ! {
    let size = machine.memory_size();
    let words = core::ptr::with_exposed_provenance_mut::<u32>((size / 2) as usize);
    let count = (size / 2) as usize / size_of::<u32>();
    for index in 0..count {
        // SAFETY: the second half of the memory, which begins at 0: the program and its start information are in the first one.
        unsafe { words.add(index).write_volatile(secret(index)) };
    }
    println!("dma: secret is in place");
    loop {
        if typed() != b'c' {
            continue;
        }
        // SAFETY: as above.
        let holds = |index: usize| unsafe { words.add(index).read_volatile() } == secret(index);
        assert!((0..count).all(holds), "the secret has changed");
        println!("dma: {} bytes are intact", size / 2);
    }
}
