//! A remapping unit as the manual describes it (Intel 671081), with registers, caches and memory, for tests. It shares no constant with the
//! driver. What no driver may do makes it panic; what the manual leaves open it does in the way that is hardest on the driver: it keeps what it
//! has read, also what does not count, for as long as it may, and lets the driver wait for every status.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::RegisterFrame;
use crate::models::PhysicalMemory;
pub use crate::models::{MEMORY, Outcome};

/// What the tests have the hardware do.
#[derive(Clone, Copy, Debug)]
pub struct Behaviour {
    pub cap: u64,
    pub ecap: u64,
    /// Reads before a status changes.
    pub delay: u32,
    /// A kind of descriptor that it does not know.
    pub refused: Option<u64>,
    /// It takes no descriptors at all.
    pub deaf: bool,
    /// A device goes on with a write to address 0, whenever a record is made free.
    pub storm: Option<u16>,
}

impl Behaviour {
    /// QEMU's, with "caching mode" and two records.
    pub const USUAL: Self = Self {
        cap: 0x00d2_018c_222f_0686,
        ecap: 0x00f0_0f5a,
        delay: 2,
        refused: None,
        deaf: false,
        storm: None,
    };
}

/// An interrupt that reached a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raised {
    pub destination: u32,
    pub vector: u8,
}

pub struct Model {
    pub behaviour: Behaviour,
    memory: Rc<[std::sync::atomic::AtomicU64]>,
    registers: HashMap<usize, u32>,
    /// What GSTS is to be, after so many reads.
    pending: Option<(u32, u32)>,
    /// What RTADDR and IRTA were when they were taken.
    root: Option<u64>,
    vectors: Option<u64>,
    contexts: HashMap<u16, [u64; 2]>,
    translations: HashMap<(u16, u64), Option<u64>>,
    entries: HashMap<u16, [u64; 2]>,
    /// The next record to fill.
    record: usize,
    /// Kinds of descriptors in the order in which they were taken.
    pub taken: Vec<u64>,
    /// Some access passed untranslated.
    pub bypassed: bool,
    /// Messages that told of faults: address and data.
    pub told: Vec<(u64, u32)>,
}

/// The model, in the hands of the driver and of the test.
#[derive(Clone)]
pub struct Handle(pub Rc<RefCell<Model>>);

const RECORDS: usize = 0x220;

impl Model {
    pub fn with_memory(behaviour: Behaviour, memory: Rc<[std::sync::atomic::AtomicU64]>) -> Handle {
        let half = |value: u64| [value as u32, (value >> 32) as u32];
        let [[cap, cap_high], [ecap, ecap_high]] = [behaviour.cap, behaviour.ecap].map(half);
        let registers = [
            (0x8, cap),
            (0xc, cap_high),
            (0x10, ecap),
            (0x14, ecap_high),
            (0x38, 1 << 31),
        ];
        Handle(Rc::new(RefCell::new(Self {
            behaviour,
            memory,
            registers: HashMap::from(registers),
            pending: None,
            root: None,
            vectors: None,
            contexts: HashMap::new(),
            translations: HashMap::new(),
            entries: HashMap::new(),
            record: 0,
            taken: Vec::new(),
            bypassed: false,
            told: Vec::new(),
        })))
    }

    pub fn register(&self, offset: usize) -> u32 {
        self.registers.get(&offset).copied().unwrap_or(0)
    }

    pub fn set_register(&mut self, offset: usize, value: u32) {
        self.registers.insert(offset, value);
    }

    fn double(&self, offset: usize) -> u64 {
        u64::from(self.register(offset)) | u64::from(self.register(offset + 4)) << 32
    }

    /// The pair of words of memory at a physical address.
    fn pair(&self, address: u64) -> [u64; 2] {
        [0, 8].map(|offset| self.memory.load(address + offset).expect("memory"))
    }

    fn is_on(&self, bit: u32) -> bool {
        self.register(0x1c) >> bit & 1 != 0
    }

    /// Firmware's own tables, in which these streams reach everything that one-to-one tables at `tables` map.
    pub fn left_by_firmware(&mut self, root: u64) {
        self.root = Some(root);
        self.set_register(0x1c, 1 << 31 | 1 << 26 | 1 << 23);
        self.set_register(0x34, 1 << 4 | 1);
        self.set_register(0x64, 1 << 31 | 1);
    }

    fn records(&self) -> usize {
        (self.behaviour.cap >> 40 & 0xff) as usize + 1
    }

    fn record(&mut self, source: u16, reason: u8, address: u64, read: bool) {
        if self.register(0x34) & 1 != 0 {
            return;
        }
        let at = RECORDS + self.record * 16;
        if self.register(at + 12) >> 31 != 0 {
            self.set_register(0x34, self.register(0x34) | 1);
            return;
        }
        self.record = (self.record + 1) % self.records();
        let last = 1 << 31 | u32::from(read) << 30 | u32::from(reason);
        let words = [address as u32, (address >> 32) as u32, source.into(), last];
        for (index, word) in words.into_iter().enumerate() {
            self.set_register(at + 4 * index, word);
        }
        let before = self.register(0x34);
        self.set_register(0x34, before | 0b10);
        if before & 0b10 == 0 && self.register(0x38) >> 31 == 0 {
            let address = u64::from(self.register(0x40)) | u64::from(self.register(0x44)) << 32;
            self.told.push((address, self.register(0x3c)));
        }
    }

    /// The context entry of a stream; what was read is kept, whether it counts or not.
    fn context(&mut self, stream: u16) -> Result<[u64; 2], u8> {
        if let Some(kept) = self.contexts.get(&stream) {
            return Ok(*kept);
        }
        let root = self.root.expect("a root table");
        let [low, high] = self.pair(root + u64::from(stream >> 8) * 16);
        if low & 1 == 0 {
            return Err(1);
        }
        assert_eq!((low & 0xffe, high), (0, 0), "reserved bits of a root entry");
        let entry = self.pair((low & !0xfff) + u64::from(stream & 0xff) * 16);
        self.contexts.insert(stream, entry);
        Ok(entry)
    }

    /// A device's access.
    pub fn access(&mut self, stream: u16, address: u64, write: bool) -> Outcome {
        if !self.is_on(31) {
            self.bypassed = true;
            return Outcome::Reached(address);
        }
        let [low, high] = match self.context(stream) {
            Ok(entry) => entry,
            Err(reason) => return self.refuse(stream, reason, address, write),
        };
        let silent = low & 2 != 0;
        let found = if low & 1 == 0 {
            Err(2)
        } else {
            assert_eq!(
                (low >> 2 & 3, high & 7),
                (0, 2),
                "the second stage, with four levels"
            );
            self.walk(low & !0xfff, (high >> 8) as u16, address, write)
        };
        match found {
            Ok(reached) => Outcome::Reached(reached),
            Err(_) if silent => Outcome::Aborted,
            Err(reason) => self.refuse(stream, reason, address, write),
        }
    }

    fn refuse(&mut self, stream: u16, reason: u8, address: u64, write: bool) -> Outcome {
        self.record(stream, reason, address & !0xfff, !write);
        Outcome::Aborted
    }

    fn walk(&mut self, root: u64, domain: u16, address: u64, write: bool) -> Result<u64, u8> {
        if address >> 48 != 0 {
            return Err(4);
        }
        let denied = if write { 5 } else { 6 };
        let kept = self.translations.get(&(domain, address >> 12)).copied();
        let leaf = kept.unwrap_or_else(|| {
            let mut table = root;
            let mut allowed = 3;
            for level in (0..4).rev() {
                let index = address >> (12 + 9 * level) & 0x1ff;
                let entry = self.memory.load(table + index * 8).unwrap_or(0);
                allowed &= entry;
                if allowed & 3 == 0 {
                    return None;
                }
                if level == 0 {
                    return Some(entry & 0x000f_ffff_ffff_f000 | allowed & 3);
                }
                table = entry & 0x000f_ffff_ffff_f000;
            }
            None
        });
        self.translations.insert((domain, address >> 12), leaf);
        let leaf = leaf.ok_or(denied)?;
        let wanted = if write { 2 } else { 1 };
        if leaf & wanted == 0 {
            return Err(denied);
        }
        Ok(leaf & !0xfff | address & 0xfff)
    }

    /// A device's message in the remappable format, which names entry `index`.
    pub fn message(&mut self, stream: u16, index: u16) -> Option<Raised> {
        if !self.is_on(25) {
            self.bypassed = true;
            return None;
        }
        let table = self.vectors.expect("an interrupt table");
        let length = 2 << (table & 0xf);
        let refused = |model: &mut Self, reason| {
            model.record(stream, reason, u64::from(index) << 48, false);
            None
        };
        if u64::from(index) >= length {
            return refused(self, 0x21);
        }
        let address = (table & !0xfff) + u64::from(index) * 16;
        let [low, high] = match self.entries.get(&index) {
            Some(kept) => *kept,
            None => self.pair(address),
        };
        self.entries.insert(index, [low, high]);
        if low & 1 == 0 {
            return refused(self, 0x22);
        }
        assert_eq!(high >> 16, 0b01_00, "the requester is verified, all of it");
        assert_eq!(low & 0xff00_fffe, 0, "fixed, edge, one destination");
        if high as u16 != stream {
            return refused(self, 0x26);
        }
        assert_ne!(table & 1 << 11, 0, "destinations of 32 bits");
        Some(Raised {
            destination: (low >> 32) as u32,
            vector: (low >> 16) as u8,
        })
    }

    /// Takes descriptors up to the tail.
    fn take_descriptors(&mut self) {
        let base = self.double(0x90);
        assert_eq!(
            base & 0xfff,
            0,
            "a queue of one page, 128 bits a descriptor"
        );
        while self.is_on(26)
            && !self.behaviour.deaf
            && self.register(0x34) & 1 << 4 == 0
            && self.register(0x80) != self.register(0x88)
        {
            let head = self.register(0x80);
            let [low, high] = self.pair(base + u64::from(head));
            let kind = low & 0xf;
            if self.behaviour.refused == Some(kind) {
                self.set_register(0x34, self.register(0x34) | 1 << 4);
                return;
            }
            self.taken.push(kind);
            let domain = (low >> 16) as u16;
            match (kind, low >> 4 & 3) {
                (1, 1) => self.contexts.clear(),
                (2, 1) => self.translations.clear(),
                (2, 2) => self.translations.retain(|(owner, _), _| *owner != domain),
                (4, 0) => self.entries.clear(),
                (5, _) => {
                    assert_eq!(low & 0xfff, 0x65, "a wait that writes a status");
                    self.memory.store(high, low >> 32);
                }
                _ => panic!("descriptor {low:#x}"),
            }
            self.set_register(0x80, (head + 16) % 4096);
        }
    }

    fn command(&mut self, value: u32) {
        assert!(self.pending.is_none(), "one order at a time");
        let now = self.register(0x1c);
        let lasting = 1 << 31 | 1 << 26 | 1 << 25 | 1 << 23;
        let changed = (value ^ now) & lasting | value & !lasting;
        assert!(
            changed.count_ones() <= 1,
            "one change at a time: {changed:#x}"
        );
        let mut next = now & !lasting | value & lasting;
        if changed & (1 << 30) != 0 {
            self.root = Some(self.double(0x20));
            next |= 1 << 30;
        }
        if changed & (1 << 24) != 0 {
            self.vectors = Some(self.double(0xb8));
            next |= 1 << 24;
        }
        if changed & (1 << 26) != 0 && next & (1 << 26) == 0 {
            assert_eq!(
                self.register(0x80),
                self.register(0x88),
                "the queue is empty"
            );
            self.set_register(0x80, 0);
        }
        if changed & (1 << 27) != 0 {
            // Stands until it is done.
            self.set_register(0x1c, now | 1 << 27);
        }
        self.pending = Some((next, self.behaviour.delay));
    }
}

impl RegisterFrame for Handle {
    fn read(&mut self, offset: usize) -> u32 {
        let mut model = self.0.borrow_mut();
        if offset == 0x1c
            && let Some((next, left)) = model.pending
        {
            model.pending = (left > 0).then_some((next, left.saturating_sub(1)));
            if left == 0 {
                model.set_register(0x1c, next);
                model.take_descriptors();
            }
        }
        model.register(offset)
    }

    fn write(&mut self, offset: usize, value: u32) {
        let mut model = self.0.borrow_mut();
        match offset {
            0x18 => model.command(value),
            0x34 => {
                let left = model.register(0x34) & !(value & 0x7d);
                model.set_register(0x34, left);
                model.take_descriptors();
            }
            0x64 => model.set_register(0x64, value & 1 << 31 | value >> 31),
            0x80 | 0x8 | 0x10 | 0x1c => panic!("{offset:#x} is read only"),
            0x88 => {
                model.set_register(0x88, value);
                model.take_descriptors();
            }
            0x90 => {
                assert!(!model.is_on(26), "the queue is in use");
                model.set_register(0x90, value);
            }
            RECORDS.. => {
                let last = model.register(offset);
                if (offset - RECORDS) % 16 != 12 || value >> 31 == 0 || last >> 31 == 0 {
                    return;
                }
                model.set_register(offset, last & !(1 << 31));
                let any = (0..model.records())
                    .any(|index| model.register(RECORDS + index * 16 + 12) >> 31 != 0);
                let status = model.register(0x34) & !0b10 | u32::from(any) << 1;
                model.set_register(0x34, status);
                if let Some(stream) = model.behaviour.storm {
                    model.access(stream, 0, true);
                }
            }
            _ => model.set_register(offset, value),
        }
    }
}
