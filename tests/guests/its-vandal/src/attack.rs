//! The random things (Arm IHI 0069H, chapters 5 and 6, 12.11 and 12.19).

use core::cell::UnsafeCell;

use board::fault::catch;
use board::gic::Gic;
use board::random::Random;
use board::{Board, Region, cpu, mmio};
use edu::Edu;

/// The same in every run.
const SEED: u64 = 0x6974_735f_7661_6e64;

/// Registers of the ITS.
const CTLR: u64 = 0x0000;
const CBASER: u64 = 0x0080;
const CWRITER: u64 = 0x0088;
const CREADR: u64 = 0x0090;
/// Registers of a redistributor about LPIs: `GICR_CTLR`, `PROPBASER`, `PENDBASER`, `INVLPIR`, `INVALLR`, `SYNCR`.
const REDISTRIBUTOR: [u64; 6] = [0x00, 0x70, 0x78, 0xa0, 0xb0, 0xc0];
const VALID: u64 = 1 << 63;
const ID_BITS: u64 = 13;

/// Memory that is told of as queue and as configuration table.
#[repr(C, align(0x10000))]
struct Table(UnsafeCell<[u64; WORDS]>);
const WORDS: usize = 0x2000;

// SAFETY: only its address is used, and volatile accesses through it; the boot CPU alone runs.
unsafe impl Sync for Table {}

impl Table {
    fn address(&self) -> u64 {
        self.0.get() as u64
    }

    fn set(&self, word: u64, value: u64) {
        let at = self.address() + word % WORDS as u64 * 8;
        // SAFETY: a word of the table, which nothing of Rust's depends on.
        unsafe { (at as *mut u64).write_volatile(value) };
    }
}

static QUEUE: Table = Table(UnsafeCell::new([0; WORDS]));
static CONFIGURATION: Table = Table(UnsafeCell::new([0; WORDS]));

/// Addresses that are no queue of this guest's: nothing, the console, the hypervisor's or a neighbour's RAM, and the end of all addresses.
const FOREIGN: [u64; 6] = [
    0,
    0x0900_0000,
    0x4000_0000,
    0x4800_0000,
    0x7fff_f000,
    0xf_ffff_ffff_f000,
];

struct Attack {
    frames: Region,
    /// Distributor and redistributors.
    others: [Region; 2],
    redistributor: u64,
    edu: Edu,
    /// Where the next command goes, in bytes from the queue's beginning.
    place: u64,
}

/// Does `operations` things. Returns how many accesses faulted.
///
/// # Errors
/// The board has no ITS, or no `edu`.
pub fn run(board: &'static Board, operations: u64) -> Result<u64, &'static str> {
    let its = board.find("arm,gic-v3-its").ok_or("no ITS")?;
    let Gic::V3(gic) = board.gic else {
        return Err("an ITS without a GICv3");
    };
    let mut attack = Attack {
        frames: its.region().ok_or("the ITS has no registers")?,
        others: gic_vandal::frames::of(board),
        redistributor: gic
            .redistributor(cpu::affinity())
            .ok_or("no redistributor")?,
        edu: Edu::find(board)?,
        place: 0,
    };
    let mut random = Random::new(SEED);
    let mut faults = 0;
    for _ in 0..operations {
        let choice = random.draw();
        let values = [random.draw(), random.draw(), random.draw()];
        faults += u64::from(!attack.operate(choice, values));
    }
    Ok(faults)
}

impl Attack {
    /// One thing. `choice` says which. False when an access faults.
    fn operate(&mut self, choice: u64, values: [u64; 3]) -> bool {
        match choice & 7 {
            0 => {
                let register = || {
                    // SAFETY: interrupts are masked, and nothing of Rust's depends on the CPU interface.
                    unsafe { gic_vandal::system_registers::operate(choice >> 3, values[0]) }
                };
                // SAFETY: one instruction, without effect on memory of Rust's.
                unsafe { catch(register) }.is_ok()
            }
            1..=3 => {
                let register = || {
                    // SAFETY: as above, for the distributor and the redistributors.
                    unsafe {
                        gic_vandal::frames::operate(&self.others, choice >> 3, values[0]);
                    }
                };
                // SAFETY: as above.
                unsafe { catch(register) }.is_ok()
            }
            _ => self.attack_its(choice >> 3, values),
        }
    }

    /// One thing about the ITS, or what redistributors have of it.
    fn attack_its(&mut self, choice: u64, [a, b, c]: [u64; 3]) -> bool {
        match choice & 15 {
            0..=5 => {
                let words = likely_command(choice >> 8, a);
                self.command(words)
            }
            6 => self.command([a, b, c, a ^ b]),
            // Many at once.
            7 => {
                for step in 0..16 {
                    self.queue(likely_command(a.rotate_left(step * 4), b.rotate_left(step)));
                }
                self.tell()
            }
            // The queue changes while it is executed, as this read helps to.
            8 => {
                QUEUE.set(a, b);
                self.load(CREADR)
            }
            9 => {
                let offset = match a & 7 {
                    0 => a >> 8 & 0x1_ffff,
                    1 => a >> 8 & 0xfff,
                    _ => a >> 8 & 0x1f8,
                };
                self.access(self.frames.base + offset, choice >> 8, b)
            }
            // Up to four pages: a place written at random then makes 512 commands at most.
            10 => self.point_to(VALID | QUEUE.address() | a & 3),
            11 => {
                let foreign = FOREIGN[(a % FOREIGN.len() as u64) as usize];
                let told = self.point_to(VALID | foreign | b & 0xff);
                // A place that may be odd or past the end, and a retry.
                told && self.store(CWRITER, c & 0xf_ffff)
            }
            12 => {
                let offset = REDISTRIBUTOR[(a % REDISTRIBUTOR.len() as u64) as usize];
                self.access(self.redistributor + offset, choice >> 8, b)
            }
            13 => {
                let (off, on) = (self.redistributor, CONFIGURATION.address() | ID_BITS);
                CONFIGURATION.set(b, c);
                self.store_at(off, 0) && self.store_at(off + 0x70, on) && self.store_at(off, 1)
            }
            14 => {
                self.edu.raise();
                self.edu.acknowledge();
                true
            }
            _ => self.access(self.redistributor + (a & 0x1_ffff), choice >> 8, b),
        }
    }

    /// Makes the queue something else, from its beginning on.
    fn point_to(&mut self, queue: u64) -> bool {
        self.place = 0;
        self.store(CTLR, 0) && self.store(CBASER, queue) && self.store(CTLR, 1)
    }

    fn queue(&mut self, words: [u64; 4]) {
        for (at, word) in (self.place / 8..).zip(words) {
            QUEUE.set(at, word);
        }
        // The smallest queue has one page.
        self.place = (self.place + 32) % 4096;
    }

    fn command(&mut self, words: [u64; 4]) -> bool {
        self.queue(words);
        self.tell()
    }

    fn tell(&self) -> bool {
        self.store(CWRITER, self.place)
    }

    fn load(&self, offset: u64) -> bool {
        let address = self.frames.base + offset;
        // SAFETY: a register of the ITS; reading it has no effect on memory of Rust's.
        unsafe { catch(|| mmio::read64(address)) }.is_ok()
    }

    fn store(&self, offset: u64, value: u64) -> bool {
        self.store_at(self.frames.base + offset, value)
    }

    fn store_at(&self, address: u64, value: u64) -> bool {
        // SAFETY: a register of the ITS or a redistributor. Where there is a hypervisor it lets them write to no memory, and without one the
        // guest may be destroyed, as it asked for.
        unsafe { catch(|| mmio::write64(address, value)) }.is_ok()
    }

    /// A load or store of 32 or 64 bits, one in eight not aligned.
    fn access(&self, address: u64, choice: u64, value: u64) -> bool {
        let aligned = match choice & 7 {
            0 => address,
            _ => address & !7 | (choice & 8) >> 1,
        };
        let wide = choice & 16 != 0;
        let store = choice & 32 != 0;
        // SAFETY: as in `store_at`.
        unsafe {
            catch(|| match (store, wide) {
                (true, true) => mmio::write64(aligned, value),
                (true, false) => mmio::write32(aligned, value as u32),
                (false, true) => _ = mmio::read64(aligned),
                (false, false) => _ = mmio::read32(aligned),
            })
        }
        .is_ok()
    }
}

/// A command of any kind, about things that may exist: the first devices of the bus, events and LPIs of which there are many, a few
/// collections. One in eight names something wild.
fn likely_command(choice: u64, value: u64) -> [u64; 4] {
    let wild = if choice >> 4 & 7 == 0 { value } else { 0 };
    let number = choice & 0xf;
    let device = value & 0x18;
    let event = value >> 8 & 0x3f;
    let lpi = 8192 + (value >> 16 & 0x7f);
    let collection = value >> 24 & 3;
    let valid = if value >> 32 & 3 == 0 { 0 } else { VALID };
    [
        number | device << 32,
        // Where there is no event this is the size of the device's table.
        (if number == 8 { 5 } else { event }) | lpi << 32,
        (collection | valid) ^ wild,
        wild >> 1 & 0xff_0000,
    ]
}
