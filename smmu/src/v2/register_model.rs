//! An SMMUv2 as the manual describes it (Arm IHI 0062; Arm DDI 0517 for the MMU-500), with registers, TLB and memory, for tests. It shares
//! no constant with the driver. What no driver may do makes it panic; what the manual leaves open it does in the way that is hardest on
//! the driver: entries and translations that changed are used in their old form until a TLB synchronization is complete.

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
    pub idr2: u32,
    pub idr7: u32,
    /// Bits that a stream match register implements.
    pub match_bits: u32,
    /// Reads before a synchronization is complete.
    pub delay: u32,
    /// The secure side keeps ACTLR locked.
    pub locked: bool,
    /// A stream that repeats its access whenever a fault is cleared.
    pub storm: Option<u32>,
}

impl Behaviour {
    /// The MMU-500 of a ZynqMP: 48 entries, 16 banks, 15-bit streams, 48-bit addresses.
    pub const USUAL: Self = Self {
        idr0: 0xfc01_5e30,
        idr1: 0x3000_0f10,
        idr2: 0x5555,
        idr7: 0x21,
        match_bits: 0xffff_ffff,
        delay: 2,
        locked: false,
        storm: None,
    };
}

/// VMID and page, with the descriptor found: what SMMUs of a ThunderX share.
pub type Tlb = Rc<RefCell<HashMap<(u32, u64), u64>>>;

pub struct Model {
    pub behaviour: Behaviour,
    memory: Box<dyn PhysicalMemory>,
    tlb: Tlb,
    registers: HashMap<usize, u32>,
    /// SMR and S2CR as accesses use them.
    used: HashMap<usize, u32>,
    /// Invalidations that the next synchronization completes: of one VMID, or all.
    unfinished: Vec<Option<u32>>,
    /// Reads before the synchronization under way is complete.
    left: u32,
    /// Some access passed untranslated.
    pub bypassed: bool,
    /// Reads and writes of registers.
    pub accesses: usize,
}

/// The model, in the hands of the driver and of the test.
#[derive(Clone)]
pub struct Handle(pub Rc<RefCell<Model>>);

impl Model {
    pub fn with_memory(
        behaviour: Behaviour,
        memory: impl PhysicalMemory + 'static,
        tlb: Tlb,
    ) -> Handle {
        let mut registers = HashMap::from([
            (0x20, behaviour.idr0),
            (0x24, behaviour.idr1),
            (0x28, behaviour.idr2),
            (0x3c, behaviour.idr7),
            // Out of reset it lets everything pass.
            (0, 1),
        ]);
        let cache_lock = if behaviour.idr7 >> 4 >= 2 { 1 << 26 } else { 0 };
        registers.insert(0x10, cache_lock | 1 << 8);
        let mut model = Self {
            behaviour,
            memory: Box::new(memory),
            tlb,
            registers,
            used: HashMap::new(),
            unfinished: Vec::new(),
            left: 0,
            bypassed: false,
            accesses: 0,
        };
        for bank in 0..model.banks() {
            let at = model.bank(bank);
            model.registers.insert(at + 4, 0b11);
        }
        Handle(Rc::new(RefCell::new(model)))
    }

    pub fn register(&self, offset: usize) -> u32 {
        self.registers.get(&offset).copied().unwrap_or(0)
    }

    pub fn set_register(&mut self, offset: usize, value: u32) {
        self.registers.insert(offset, value);
    }

    /// Makes an entry count at once, as if firmware had set it up long ago.
    pub fn set_entry(&mut self, offset: usize, value: u32) {
        self.registers.insert(offset, value);
        self.used.insert(offset, value);
    }

    fn page(&self) -> usize {
        if self.behaviour.idr1 >> 31 != 0 {
            0x1_0000
        } else {
            0x1000
        }
    }

    /// Where a context bank's registers are.
    pub fn bank(&self, bank: usize) -> usize {
        let half = self.page() << ((self.behaviour.idr1 >> 28 & 7) + 1);
        half + bank * self.page()
    }

    fn banks(&self) -> usize {
        (self.behaviour.idr1 & 0xff) as usize
    }

    fn extended(&self) -> bool {
        self.behaviour.idr0 >> 8 & 1 != 0 && self.register(0) >> 3 & 1 != 0
    }

    fn matches(&self) -> bool {
        self.behaviour.idr0 >> 27 & 1 != 0
    }

    fn entries(&self) -> usize {
        match self.matches() {
            true => (self.behaviour.idr0 & 0xff) as usize,
            false => 1 << (self.behaviour.idr0 >> 9 & 0xf),
        }
    }

    /// The SMMU's interrupt lines, or-ed together.
    pub fn interrupts(&self) -> bool {
        let global = self.register(0x48) != 0 && self.register(0) >> 2 & 1 != 0;
        global
            || (0..self.banks()).any(|bank| {
                let at = self.bank(bank);
                self.register(at + 0x58) != 0 && self.register(at) >> 6 & 1 != 0
            })
    }

    /// An access of a device.
    pub fn access(&mut self, stream: u32, address: u64, write: bool) -> Outcome {
        let control = self.register(0);
        if control & 1 != 0 {
            return self.pass(address);
        }
        let found: Vec<usize> = (0..self.entries())
            .filter(|entry| self.entry_is_of(*entry, stream))
            .collect();
        let entry = match found.as_slice() {
            [] if control >> 10 & 1 == 0 => return self.pass(address),
            [] => return self.global_fault(1, stream, address, write),
            [entry] => *entry,
            _ if control >> 21 & 1 == 0 => return self.pass(address),
            _ => return self.global_fault(2, stream, address, write),
        };
        let leads = self.used.get(&(0xc00 + 4 * entry)).copied().unwrap_or(0);
        let bank = (leads & 0xff) as usize;
        match leads >> 16 & 3 {
            0 if bank >= self.banks() => self.global_fault(3, stream, address, write),
            0 => self.translate(bank, stream, address, write),
            1 => self.pass(address),
            2 => self.global_fault(0, stream, address, write),
            _ => panic!("reserved type of an entry"),
        }
    }

    fn pass(&mut self, address: u64) -> Outcome {
        self.bypassed = true;
        Outcome::Reached(address)
    }

    fn entry_is_of(&self, entry: usize, stream: u32) -> bool {
        if !self.matches() {
            return entry as u32 == stream;
        }
        let [compared, leads] =
            [0x800, 0xc00].map(|base| self.used.get(&(base + 4 * entry)).copied().unwrap_or(0));
        let (valid, id, mask) = match self.extended() {
            true => (leads >> 10 & 1 != 0, compared & 0xffff, compared >> 16),
            false => (
                compared >> 31 != 0,
                compared & 0x7fff,
                compared >> 16 & 0x7fff,
            ),
        };
        valid && (stream ^ id) & !mask == 0
    }

    fn translate(&mut self, bank: usize, stream: u32, address: u64, write: bool) -> Outcome {
        let at = self.bank(bank);
        let half = self.page();
        let control = self.register(at);
        if control & 1 == 0 {
            return self.pass(address);
        }
        assert_eq!(control >> 7 & 1, 0, "an access that faults would be held");
        assert!(control >> 5 & 1 != 0, "faults would read as zero");
        let attributes = self.register(half + 4 * bank);
        assert_eq!(attributes >> 16 & 3, 0, "not stage 2 alone");
        let format = self.register(half + 0x800 + 4 * bank);
        assert_eq!(format & 1, 1, "tables of the AArch32 format");
        let pending = self.register(at + 0x58) != 0;
        if pending && control >> 8 & 1 == 0 {
            // HUPCF is 0: nothing hits under a fault that was not served.
            return Outcome::Aborted;
        }
        match self.look_up(at, attributes & 0xff, address) {
            Ok(descriptor) => {
                let needed = if write { 2 } else { 1 };
                if descriptor >> 10 & 1 == 0 {
                    self.context_fault(bank, 2, stream, address, write, false)
                } else if descriptor >> 6 & needed == 0 {
                    self.context_fault(bank, 3, stream, address, write, false)
                } else {
                    Outcome::Reached(descriptor & 0x0000_ffff_ffff_f000 | address & 0xfff)
                }
            }
            Err((bit, walk)) => self.context_fault(bank, bit, stream, address, write, walk),
        }
    }

    /// The descriptor of the page, as if every page had one; or the fault's bit and whether a table read failed.
    fn look_up(&self, at: usize, vmid: u32, address: u64) -> Result<u64, (u32, bool)> {
        let control = self.register(at + 0x30);
        let field = |bit: u32, mask: u32| control >> bit & mask;
        let (size, start, granule, output) =
            (field(0, 63), field(6, 3), field(14, 3), field(16, 7));
        let bits = 64 - size;
        let agree = match start {
            1 => (31..=43).contains(&bits),
            2 => (40..=48).contains(&bits),
            _ => false,
        };
        let [input, physical] = [0, 4].map(|bit| self.behaviour.idr2 >> bit & 0xf);
        let widest = [32, 36, 40, 42, 44, 48][input.min(5) as usize];
        assert!(
            agree && granule == 0 && control >> 31 == 1,
            "TCR is {control:#x}"
        );
        assert!(bits <= widest && output <= physical, "TCR is {control:#x}");
        let coherent = field(8, 3) == 1 && field(10, 3) == 1 && field(12, 3) == 3;
        let plain = field(8, 3) == 0 && field(10, 3) == 0 && field(12, 3) == 2;
        assert!(plain || coherent, "attributes of walks in {control:#x}");
        assert!(
            plain || self.behaviour.idr0 >> 14 & 1 != 0,
            "walks are not coherent"
        );
        if address >> bits != 0 {
            return Err((1, false));
        }
        let page = address >> 12;
        let kept = self.tlb.borrow().get(&(vmid, page)).copied();
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let root = u64::from(self.register(at + 0x20)) | u64::from(self.register(at + 0x24)) << 32;
        let mut table = root & 0x0000_ffff_ffff_fff0;
        let first = if start == 2 { 0 } else { 1 };
        for level in first..=3u32 {
            let shift = 39 - 9 * level;
            // Tables side by side at the first level are one.
            let mask = if level == first { u64::MAX } else { 511 };
            let read = self.load(table + (address >> shift & mask) * 8);
            let descriptor = read.ok_or((4, true))?;
            let target = descriptor & 0x0000_ffff_ffff_f000;
            match (descriptor & 3, level) {
                (3, 0..=2) => table = target,
                (3, 3) | (1, 1..=2) => {
                    let page_at = target | address & ((1 << shift) - 1) & !0xfff;
                    let reach = [32, 36, 40, 42, 44, 48][output.min(5) as usize];
                    if page_at >> reach != 0 {
                        return Err((7, false));
                    }
                    let found = descriptor & !0x0000_ffff_ffff_f000 | page_at;
                    self.tlb.borrow_mut().insert((vmid, page), found);
                    return Ok(found);
                }
                _ => return Err((1, false)),
            }
        }
        Err((1, false))
    }

    /// The word of memory that the SMMU reads at a physical address; `None` where a bus error answers.
    fn load(&self, address: u64) -> Option<u64> {
        self.memory.load(address)
    }

    fn global_fault(&mut self, bit: u32, stream: u32, address: u64, write: bool) -> Outcome {
        assert!(self.register(0) >> 1 & 1 != 0, "faults would read as zero");
        if self.register(0x48) != 0 {
            self.set_register(0x48, self.register(0x48) | 1 << 31);
            return Outcome::Aborted;
        }
        self.set_register(0x48, 1 << bit);
        self.set_register(0x40, address as u32);
        self.set_register(0x44, (address >> 32) as u32);
        self.set_register(0x50, u32::from(write) << 1);
        self.set_register(0x54, stream);
        Outcome::Aborted
    }

    fn context_fault(
        &mut self,
        bank: usize,
        bit: u32,
        stream: u32,
        address: u64,
        write: bool,
        walk: bool,
    ) -> Outcome {
        let at = self.bank(bank);
        if self.register(at + 0x58) != 0 {
            self.set_register(at + 0x58, self.register(at + 0x58) | 1 << 31);
            return Outcome::Aborted;
        }
        self.set_register(at + 0x58, 1 << bit);
        self.set_register(at + 0x60, address as u32);
        self.set_register(at + 0x64, (address >> 32) as u32);
        self.set_register(at + 0x68, u32::from(write) << 4 | u32::from(walk) << 10);
        self.set_register(self.page() + 0x400 + 4 * bank, stream);
        Outcome::Aborted
    }

    fn read(&mut self, offset: usize) -> u32 {
        self.accesses += 1;
        if offset == 0x74 && self.register(0x74) != 0 {
            self.left = self.left.saturating_sub(1);
            if self.left == 0 {
                self.set_register(0x74, 0);
                self.synchronize();
            }
        }
        self.register(offset)
    }

    fn synchronize(&mut self) {
        for what in std::mem::take(&mut self.unfinished) {
            match what {
                None => self.tlb.borrow_mut().clear(),
                Some(wanted) => self.tlb.borrow_mut().retain(|(vmid, _), _| *vmid != wanted),
            }
        }
        for entry in 0..self.entries() {
            for offset in [0x800 + 4 * entry, 0xc00 + 4 * entry] {
                self.used.insert(offset, self.register(offset));
            }
        }
    }

    fn write(&mut self, offset: usize, value: u32) {
        self.accesses += 1;
        let entries = 4 * self.entries();
        let page = self.page();
        match offset {
            0 => self.set_register(0, value),
            0x10 => self.set_register(0x10, value),
            0x64 => self.unfinished.push(Some(value & 0xff)),
            0x68 | 0x6c => self.unfinished.push(None),
            0x70 => {
                self.set_register(0x74, 1);
                self.left = self.behaviour.delay + 1;
            }
            0x48 => self.clear(0x48, value),
            _ if (0x800..0x800 + entries).contains(&offset) => {
                assert!(self.matches(), "there are no stream match registers");
                let implemented = match self.extended() {
                    true => u32::MAX,
                    false => 0xffff_7fff,
                };
                let value = value & implemented & self.behaviour.match_bits;
                self.set_register(offset, value);
            }
            _ if (0xc00..0xc00 + entries).contains(&offset) => self.set_register(offset, value),
            _ if (page..page + 4 * self.banks()).contains(&offset) => {
                self.set_register(offset, value);
            }
            _ if (page + 0x800..page + 0x800 + 4 * self.banks()).contains(&offset) => {
                self.set_register(offset, value);
            }
            _ => self.write_bank(offset, value),
        }
    }

    fn write_bank(&mut self, offset: usize, value: u32) {
        let bank = (offset.checked_sub(self.bank(0))).map(|inside| inside / self.page());
        let bank = bank.filter(|bank| *bank < self.banks());
        let Some(bank) = bank else {
            panic!("write to {offset:#x}")
        };
        let inside = offset - self.bank(bank);
        let live = self.is_led_to(bank) && self.register(self.bank(bank)) & 1 != 0;
        match inside {
            0 => self.set_register(offset, value),
            4 if self.behaviour.locked || self.register(0x10) >> 26 & 1 != 0 => {}
            4 => self.set_register(offset, value),
            0x20 | 0x24 | 0x30 => {
                assert!(!live, "{inside:#x} of a bank that translates");
                self.set_register(offset, value);
            }
            0x58 => self.clear(offset, value),
            _ => panic!("write to {inside:#x} of a context bank"),
        }
    }

    fn is_led_to(&self, bank: usize) -> bool {
        let leads = |entry: usize| self.used.get(&(0xc00 + 4 * entry)).copied();
        self.register(0) & 1 == 0
            && (0..self.entries()).any(|entry| leads(entry) == Some(bank as u32))
    }

    /// Each bit of a fault status register goes when it is written as 1.
    fn clear(&mut self, offset: usize, value: u32) {
        let left = self.register(offset) & !value;
        self.set_register(offset, left);
        if let Some(stream) = self.behaviour.storm.filter(|_| left == 0 && value != 0) {
            self.access(stream, 0xdead_0000, true);
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
