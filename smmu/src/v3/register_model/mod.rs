//! An SMMUv3 as the manual describes it (Arm IHI 0070), with registers, caches and memory, for tests. It shares no constant with the driver.
//! What no driver may do makes it panic; what the manual leaves open it does in the way that is hardest on the driver: it keeps stale
//! entries, valid or not, for as long as it may, and lets the driver wait for every acknowledgement.

mod queues;
mod translation;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::RegisterFrame;
#[cfg(test)]
pub use crate::models::MEMORY;
pub use crate::models::Outcome;
use crate::models::PhysicalMemory;

/// What the tests have the hardware do.
#[derive(Clone, Copy, Debug)]
pub struct Behaviour {
    pub idr0: u32,
    pub idr1: u32,
    pub idr5: u32,
    /// Reads before a change is acknowledged.
    pub delay: u32,
    /// A command that it does not know.
    pub refused: Option<u8>,
    /// It takes no commands at all.
    pub deaf: bool,
    /// Page 1 does not answer: its registers are in page 0.
    pub one_page: bool,
    /// Events cannot be written.
    pub events_abort: bool,
    /// A device goes on with an access that faults, whenever EVENTQ_CONS is written.
    pub storm: Option<u32>,
}

impl Behaviour {
    /// 16-bit streams, two levels, coherent, 44-bit addresses: what QEMU has.
    pub const USUAL: Self = Self {
        idr0: 0x0d40_101b,
        idr1: 0x0273_0010,
        idr5: 0x54,
        delay: 2,
        refused: None,
        deaf: false,
        one_page: false,
        events_abort: false,
        storm: None,
    };
}

pub struct Model {
    pub behaviour: Behaviour,
    memory: Box<dyn PhysicalMemory>,
    registers: HashMap<usize, u32>,
    /// Register, its new value, reads to go.
    pending: Vec<(usize, u32, u32)>,
    entries: HashMap<u32, Option<[u64; 8]>>,
    translations: HashMap<(u16, u64), u64>,
    /// Invalidations that the next CMD_SYNC completes.
    unfinished: Vec<Forget>,
    /// Commands in the order in which they were taken.
    pub commands: Vec<u8>,
    /// Interrupts that it raised.
    pub interrupts: usize,
    /// Some access passed untranslated.
    pub bypassed: bool,
    /// Reads and writes of registers.
    pub accesses: usize,
}

#[derive(Clone, Copy)]
enum Forget {
    Entries,
    Translations(Option<u16>),
}

/// The model, in the hands of the driver and of the test.
#[derive(Clone)]
pub struct Handle(pub Rc<RefCell<Model>>);

const CR0: usize = 0x20;
const CR0ACK: usize = 0x24;
const GBPA: usize = 0x44;
const GERROR: usize = 0x60;
const GERRORN: usize = 0x64;

impl Model {
    pub fn with_memory(behaviour: Behaviour, memory: impl PhysicalMemory + 'static) -> Handle {
        let registers = HashMap::from([
            (0, behaviour.idr0),
            (4, behaviour.idr1),
            (0x14, behaviour.idr5),
        ]);
        Handle(Rc::new(RefCell::new(Self {
            behaviour,
            memory: Box::new(memory),
            registers,
            pending: Vec::new(),
            entries: HashMap::new(),
            translations: HashMap::new(),
            unfinished: Vec::new(),
            commands: Vec::new(),
            interrupts: 0,
            bypassed: false,
            accesses: 0,
        })))
    }

    /// A register's value.
    pub fn register(&self, offset: usize) -> u32 {
        self.registers.get(&offset).copied().unwrap_or(0)
    }

    pub fn set_register(&mut self, offset: usize, value: u32) {
        self.registers.insert(offset, value);
    }

    fn double(&self, offset: usize) -> u64 {
        u64::from(self.register(offset)) | u64::from(self.register(offset + 4)) << 32
    }

    /// The word of memory that the SMMU reads at a physical address.
    fn load(&self, address: u64) -> u64 {
        self.memory.load(address).expect("memory")
    }

    fn store(&self, address: u64, value: u64) {
        self.memory.store(address, value);
    }

    fn is_on(&self, bit: u32) -> bool {
        self.register(CR0ACK) >> bit & 1 != 0
    }

    /// A global error: its bit differs from the acknowledgement's until software makes them equal.
    pub fn global_error(&mut self, bit: u32) {
        let active = (self.register(GERROR) ^ self.register(GERRORN)) >> bit & 1 != 0;
        if !active {
            let value = self.register(GERROR) ^ 1 << bit;
            self.set_register(GERROR, value);
            self.interrupts += (self.register(0x54) & 1) as usize;
        }
    }

    fn step(&mut self) {
        let mut done = Vec::new();
        self.pending.retain_mut(|(register, value, left)| {
            *left = left.saturating_sub(1);
            if *left == 0 {
                done.push((*register, *value));
            }
            *left > 0
        });
        for (register, value) in done {
            self.set_register(register, value);
        }
    }

    /// The manual's offset of the register that answers at this one.
    fn answering(&self, offset: usize) -> usize {
        match (self.behaviour.one_page, offset) {
            (true, 0xa8 | 0xac) => offset + 0x1_0000,
            (true, 0x1_0000..) => panic!("there is nothing at {offset:#x}"),
            _ => offset,
        }
    }

    fn read(&mut self, offset: usize) -> u32 {
        let offset = self.answering(offset);
        self.accesses += 1;
        self.step();
        if offset == 0x9c {
            self.take_command();
        }
        self.register(offset)
    }

    fn write(&mut self, offset: usize, value: u32) {
        let offset = self.answering(offset);
        self.accesses += 1;
        let delay = self.behaviour.delay + 1;
        let on = self.register(CR0) | self.register(CR0ACK);
        match offset {
            0x0..=0x1c | CR0ACK | 0x54 | GERROR => panic!("{offset:#x} is read-only"),
            CR0 => {
                let under_way = self.pending.iter().any(|(one, ..)| *one == CR0ACK);
                assert!(!under_way, "CR0 while a change of it is under way");
                self.set_register(CR0, value);
                self.pending.push((CR0ACK, value, delay));
            }
            // CR1's table fields, CR2 and the stream table are guarded by SMMUEN.
            0x28 | 0x2c | 0x80..=0x88 => {
                assert!(on & 1 == 0, "{offset:#x} while translation is on");
                self.set_register(offset, value);
            }
            0x90 | 0x94 | 0x9c => {
                assert!(on & 8 == 0, "{offset:#x} while commands are on");
                self.set_register(offset, value);
            }
            0xa0 | 0xa4 | 0x100a8 => {
                assert!(on & 4 == 0, "{offset:#x} while events are on");
                self.set_register(offset, value);
            }
            GBPA => {
                if value >> 31 != 0 && self.register(GBPA) >> 31 == 0 {
                    self.set_register(GBPA, self.register(GBPA) | 1 << 31);
                    self.pending.push((GBPA, value & !(1 << 31), delay));
                }
            }
            0x50 => {
                self.set_register(0x50, value);
                self.pending.push((0x54, value, delay));
            }
            0x100ac => {
                self.set_register(offset, value);
                if let Some(stream) = self.behaviour.storm {
                    self.access(stream, 0xdead_0000, true);
                }
            }
            0x98 | GERRORN | 0x68 | 0x6c | 0xb0 | 0xb4 => self.set_register(offset, value),
            _ => panic!("write to {offset:#x}"),
        }
    }
}

impl RegisterFrame for Handle {
    fn read(&mut self, offset: usize) -> u32 {
        self.0.borrow_mut().read(offset)
    }

    fn write(&mut self, offset: usize, value: u32) {
        self.0.borrow_mut().write(offset, value);
    }
}
