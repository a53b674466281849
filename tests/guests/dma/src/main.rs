//! Two guests in one, told apart by their device trees.
//!
//! With a PCI host bridge it drives the DMA of QEMU's `edu` device: inside its own memory when `i` is typed, to places that are not its own
//! when `a` is typed, one by one to such a place when `f` is typed, and as much as it can when `s` is typed. Without a bridge it is the victim: it fills half of its
//! RAM with a secret, and says whether every byte is still there when `c` is typed.
#![no_std]
#![no_main]

mod device;
mod victim;

use board::sleep::Sleeper;
use board::{Board, println, psci, uart};

use device::Edu;

/// Accesses that are refused, one by one, when `f` is typed.
const FAULTS: usize = 12;
/// Bytes moved at once: all that the device holds.
const WHOLE: usize = device::SIZE as usize;

/// What is moved inside.
static FROM: Buffer = Buffer::new();
/// Where it arrives.
static TO: Buffer = Buffer::new();

/// Memory that the device reads and writes.
#[repr(align(4096))]
struct Buffer([core::sync::atomic::AtomicU32; WHOLE / 4]);

impl Buffer {
    const fn new() -> Self {
        Self([const { core::sync::atomic::AtomicU32::new(0) }; WHOLE / 4])
    }

    fn address(&self) -> u64 {
        self as *const Self as u64
    }

    fn fill(&self, first: u32) {
        use core::sync::atomic::Ordering::SeqCst;
        for (number, word) in (first..).zip(&self.0) {
            word.store(number, SeqCst);
        }
    }

    fn word(&self, index: usize) -> u32 {
        self.0[index].load(core::sync::atomic::Ordering::SeqCst)
    }

    fn holds(&self, first: u32) -> bool {
        (first..)
            .zip(0..self.0.len())
            .all(|(number, index)| self.word(index) == number)
    }
}

board::entry!(main);

fn main(board: &'static Board) -> ! {
    let sleeper = Sleeper::new(board);
    match board.find("pci-host-ecam-generic") {
        Some(_) => {
            let edu = Edu::find(board, &sleeper).unwrap_or_else(|what| fail(what));
            println!("dma: edu is there");
            attack(board, &edu, &sleeper)
        }
        None => victim::watch(board, &sleeper),
    }
}

fn attack(board: &Board, edu: &Edu<'_>, sleeper: &Sleeper) -> ! {
    let mut round = 0;
    loop {
        match typed(sleeper) {
            b'i' => {
                round += 0x0100_0000;
                inside(edu, round);
            }
            b'a' => abroad(board, edu),
            b'f' => {
                for _ in 0..FAULTS {
                    edu.write(FOREIGN[0], 4);
                }
                println!("dma: {FAULTS} accesses were refused");
            }
            b's' => {
                for _ in 0..3 {
                    edu.write(FOREIGN[0], WHOLE as u64);
                }
                println!("dma: storm is over");
            }
            b'r' => {
                println!("dma: resetting");
                psci::system_reset()
            }
            _ => (),
        }
    }
}

/// Memory goes through the device and arrives.
fn inside(edu: &Edu<'_>, round: u32) {
    FROM.fill(round);
    TO.fill(0);
    edu.read(FROM.address(), WHOLE as u64);
    edu.write(TO.address(), WHOLE as u64);
    match TO.holds(round) {
        true => println!("dma: {WHOLE} bytes arrived inside"),
        false => println!("dma: FAILED: {:#x} arrived inside", TO.word(0)),
    }
}

/// Places on QEMU's virt machine that are not a partition's with a few MiB of RAM: the victim's secret, its program, the end of RAM, beyond
/// it, and registers of the GIC, the ITS and the SMMU.
const FOREIGN: [u64; 7] = [
    0x6080_0000,
    0x6020_0000,
    0xbfff_f000,
    0x1_0000_0000,
    0x0800_0000,
    0x0809_0040,
    0x0905_0020,
];

/// Reads and writes a word of each place, and just behind the own RAM.
fn abroad(board: &Board, edu: &Edu<'_>) {
    let behind = board.ram.first().map_or(0, |ram| ram.end());
    let mut secrets = 0;
    for place in FOREIGN.into_iter().chain([behind]) {
        FROM.fill(0xa77a_c000);
        edu.read(FROM.address(), 4);
        edu.write(place, 4);
        edu.read(place, 4);
        edu.write(TO.address(), 4);
        secrets += u32::from(victim::is_secret(TO.word(0)));
        println!("dma: tried {place:#x}");
    }
    println!("dma: attack is over, {secrets} secrets read");
}

/// The next character that is typed.
fn typed(sleeper: &Sleeper) -> u8 {
    loop {
        if let Some(byte) = uart::read_byte() {
            return byte;
        }
        sleeper.sleep(1_000);
    }
}

fn fail(what: &str) -> ! {
    println!("dma: FAILED: {what}");
    psci::system_off()
}
