//! An Interrupt Translation Service (IHI 0069H, 5 and 12.19), with the facts of a chip: tables in the board's memory, commands from a queue there.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::{NOTHING, WIDTH};
use crate::bus::Device;
use crate::memory::Ram;

/// Bytes of the control frame; the frame behind it is for devices.
const FRAME: u64 = 0x1_0000;
/// Bytes of a command.
const COMMAND: u64 = 32;
/// Reads until the ITS rests once it is turned off.
const DELAY: u32 = 2;
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;
const VALID: u64 = 1 << 63;
const PAGE: u64 = 0x1_0000;

/// What chips differ in.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// `GITS_TYPER.HCC`: collections that the ITS holds by itself.
    pub collections: u64,
    /// It has a table for collections in memory, too.
    pub collection_table: bool,
    /// Bits of a DeviceID.
    pub device_bits: u64,
    /// Bytes of an event in a translation table.
    pub event_bytes: u64,
}

impl Facts {
    /// Cavium ThunderX (coreboot, `bdk-csrs-gic.h`): collections in the ITS alone, DeviceIDs of 21 bits, events of 4 bytes. How many collections it holds is not
    /// published: one for each of its 48 CPUs is the least that Linux takes.
    pub const THUNDERX: Self = Self {
        collections: 48,
        collection_table: false,
        device_bits: 21,
        event_bytes: 4,
    };
    /// The architecture's usual: collections in memory.
    pub const USUAL: Self = Self {
        collections: 0,
        collection_table: true,
        device_bits: 16,
        event_bytes: 8,
    };
}

/// An ITS.
pub struct Its {
    facts: Facts,
    ram: Rc<RefCell<Ram>>,
    on: bool,
    /// Reads until it rests.
    resting: u32,
    /// `GITS_BASER` of devices and of collections.
    tables: [u64; 2],
    queue: u64,
    read: u64,
    /// Translation tables by DeviceID: address and bits of an EventID.
    devices: HashMap<u64, (u64, u64)>,
    /// Redistributors by collection.
    targets: HashMap<u64, u64>,
}

impl Its {
    /// As firmware leaves it: at work, with tables of its own.
    pub fn new(facts: Facts, ram: Rc<RefCell<Ram>>) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            facts,
            ram,
            on: true,
            resting: DELAY,
            tables: [VALID | 0x1000, 0],
            queue: VALID | 0x2000,
            read: 0x40,
            devices: HashMap::from([(8, (0x3000, 5))]),
            targets: HashMap::new(),
        }))
    }

    /// Addresses and sizes of all memory that it uses: its tables and its queue, once it is on.
    pub fn memory(&self) -> Vec<(u64, u64)> {
        let table = |register: &u64| {
            let used = self.on && register & VALID != 0;
            used.then_some((register & ADDRESS, (register & 0xff) * PAGE + PAGE))
        };
        let queue = (self.on && self.queue & VALID != 0)
            .then(|| (self.queue & ADDRESS, (self.queue & 0xff) * 4096 + 4096));
        let bits = self.facts.event_bytes;
        let events = self.devices.values();
        let events = events.map(|(address, ids)| (*address, bits << ids));
        self.tables
            .iter()
            .filter_map(table)
            .chain(queue)
            .chain(events)
            .collect()
    }

    /// DeviceIDs that have a translation table.
    pub fn mapped(&self) -> usize {
        self.devices.len()
    }

    /// TYPER: Physical, ITT_entry_size, ID_bits, Devbits, HCC; redistributors go by their number.
    fn kind(&self) -> u64 {
        let facts = self.facts;
        1 | (facts.event_bytes - 1) << 4
            | 15 << 8
            | (facts.device_bits - 1) << 13
            | facts.collections << 24
    }

    /// BASER as it reads: the type, the size of an entry and the size of a page are the chip's.
    fn table(&self, index: usize) -> u64 {
        let fixed = match index {
            0 => 1 << 56,
            1 if self.facts.collection_table => 4 << 56,
            _ => return 0,
        };
        // Entries of 8 bytes, pages of 64 KiB.
        self.tables[index] & !(7 << 56 | 0x1f << 48 | 3 << 8) | fixed | 7 << 48 | 2 << 8
    }

    fn read(&mut self, offset: u64, size: usize) -> Result<u64, &'static str> {
        match (offset, size) {
            (0x0000, 4) => {
                let rests = !self.on && self.resting == 0;
                if !self.on {
                    self.resting = self.resting.saturating_sub(1);
                }
                Ok(u64::from(self.on) | u64::from(rests) << 31)
            }
            (0x0008, 8) => Ok(self.kind()),
            (0x0080, 8) => Ok(self.queue),
            (0x0088 | 0x0090, 8) => Ok(self.read),
            (0x0100..0x0140, 8) => Ok(self.table((offset as usize - 0x100) / 8)),
            (0x0000..0x0140, _) => Err(WIDTH),
            _ => Err(NOTHING),
        }
    }

    fn write(&mut self, offset: u64, size: usize, value: u64) -> Result<(), &'static str> {
        match (offset, size) {
            (0x0000, 4) => {
                let on = value & 1 != 0;
                if on && self.resting != 0 {
                    return Err("the ITS is turned on before it rests");
                }
                self.resting = if on { DELAY } else { self.resting };
                if !on {
                    // What is mapped is kept in tables that software has just taken away.
                    self.devices.clear();
                    self.targets.clear();
                }
                self.on = on;
                self.checked()
            }
            (0x0080 | 0x0100..0x0140, 8) if self.on || self.resting != 0 => {
                Err("tables or the queue change while the ITS works")
            }
            (0x0080, 8) => {
                (self.queue, self.read) = (value, 0);
                Ok(())
            }
            (0x0088, 8) => self.execute(value & 0xf_ffe0),
            (0x0100..0x0140, 8) => {
                let index = (offset as usize - 0x100) / 8;
                if let Some(table) = self.tables.get_mut(index) {
                    *table = value;
                }
                Ok(())
            }
            (0x0000..0x0140, _) => Err(WIDTH),
            _ => Err(NOTHING),
        }
    }

    /// What it uses once it is on lies in RAM, and is all there.
    fn checked(&self) -> Result<(), &'static str> {
        if !self.on {
            return Ok(());
        }
        if self.queue & VALID == 0 || self.tables[0] & VALID == 0 {
            return Err("the ITS is turned on without a queue or a device table");
        }
        if self.tables[1] & VALID != 0 && !self.facts.collection_table {
            return Err("this ITS has no table for collections");
        }
        let ram = self.ram.borrow();
        let there = |(address, size): (u64, u64)| ram.has(address, size as usize);
        match self.memory().into_iter().all(there) {
            true => Ok(()),
            false => Err("a table or the queue is not in RAM"),
        }
    }

    /// Does all commands up to an offset in the queue.
    fn execute(&mut self, end: u64) -> Result<(), &'static str> {
        let size = (self.queue & 0xff) * 4096 + 4096;
        if end >= size {
            return Err("CWRITER is behind the queue's end");
        }
        if !self.on {
            // 12.19.6: the queue is read once the ITS is on.
            return match end == self.read {
                true => Ok(()),
                false => Err("commands for an ITS that is off"),
            };
        }
        while self.read != end {
            let place = (self.queue & ADDRESS) + self.read;
            let word = |index: u64| self.ram.borrow().word(place + index * 8);
            let [Ok(first), Ok(second), Ok(third)] = [word(0), word(1), word(2)] else {
                return Err("the queue is not in RAM");
            };
            self.command(first, second, third)?;
            self.read = (self.read + COMMAND) % size;
        }
        Ok(())
    }

    /// One command (5.3): its number is in the lowest byte, a DeviceID in the upper word.
    fn command(&mut self, first: u64, second: u64, third: u64) -> Result<(), &'static str> {
        let (device, event) = (first >> 32, second & 0xffff_ffff);
        let collection = third & 0xffff;
        let held = match self.facts.collection_table {
            true => ((self.tables[1] & 0xff) + 1) * PAGE / 8,
            false => 0,
        };
        let has_collection = collection < self.facts.collections + held;
        let has_event = |devices: &HashMap<u64, (u64, u64)>| {
            let found = devices.get(&device);
            found.is_some_and(|(_, bits)| event >> bits == 0)
        };
        match first & 0xff {
            // MAPD.
            0x08 => {
                let entries = ((self.tables[0] & 0xff) + 1) * PAGE / 8;
                if device >> self.facts.device_bits != 0 || device >= entries {
                    return Err("no such DeviceID");
                }
                if third & VALID == 0 {
                    self.devices.remove(&device);
                    return Ok(());
                }
                let (address, bits) = (third & 0x000f_ffff_ffff_ff00, (second & 0x1f) + 1);
                let size = self.facts.event_bytes << bits;
                if !self.ram.borrow().has(address, size as usize) {
                    return Err("a translation table is not in RAM");
                }
                self.devices.insert(device, (address, bits));
                Ok(())
            }
            // MAPC.
            0x09 if has_collection => {
                self.targets.insert(collection, third >> 16 & 0x7_ffff_ffff);
                Ok(())
            }
            // MAPTI and MOVI name an event and a collection, INV, CLEAR and DISCARD an event.
            0x0a | 0x01 if has_event(&self.devices) && self.targets.contains_key(&collection) => {
                Ok(())
            }
            0x0c | 0x04 | 0x0f if has_event(&self.devices) => Ok(()),
            // SYNC.
            0x05 => Ok(()),
            0x09 => Err("no such collection"),
            0x0a | 0x01 | 0x0c | 0x04 | 0x0f => Err("the event or its collection is not mapped"),
            _ => Err("no such command"),
        }
    }
}

impl Device for Rc<RefCell<Its>> {
    fn read(&mut self, _: usize, offset: u64, size: usize) -> Result<u64, &'static str> {
        match offset < FRAME {
            true => self.borrow_mut().read(offset, size),
            false => Err("messages are for devices to write"),
        }
    }

    fn write(
        &mut self,
        _: usize,
        offset: u64,
        size: usize,
        value: u64,
    ) -> Result<(), &'static str> {
        match offset < FRAME {
            true => self.borrow_mut().write(offset, size, value),
            false => Err("messages are for devices to write"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAM: u64 = 0x4000_0000;
    const QUEUE: u64 = RAM + 0x8_0000;

    /// One that software has set up, and its memory.
    fn working(facts: Facts) -> (Rc<RefCell<Its>>, Rc<RefCell<Ram>>) {
        let ram = Rc::new(RefCell::new(Ram::new([(RAM, 0x10_0000)])));
        let its = Its::new(facts, ram.clone());
        let mut one = its.clone();
        one.write(0, 0, 4, 0).unwrap();
        while one.read(0, 0, 4).unwrap() >> 31 == 0 {}
        one.write(0, 0x100, 8, VALID | RAM).unwrap();
        if facts.collection_table {
            one.write(0, 0x108, 8, VALID | (RAM + PAGE)).unwrap();
        }
        one.write(0, 0x80, 8, VALID | QUEUE).unwrap();
        one.write(0, 0x88, 8, 0).unwrap();
        one.write(0, 0, 4, 1).unwrap();
        (its, ram)
    }

    /// Has it do one command more.
    fn command(
        (its, ram): &(Rc<RefCell<Its>>, Rc<RefCell<Ram>>),
        words: [u64; 3],
    ) -> Result<(), &'static str> {
        let at = its.borrow().read;
        for (index, word) in (0..).zip(words) {
            assert!(
                ram.borrow_mut()
                    .write(QUEUE + at + index * 8, &word.to_le_bytes())
            );
        }
        its.clone().write(0, 0x88, 8, at + COMMAND)
    }

    #[test]
    fn tables_of_a_working_its_do_not_change() {
        let mut fresh = Its::new(Facts::USUAL, Rc::new(RefCell::new(Ram::new([]))));
        assert!(fresh.write(0, 0x100, 8, 0).is_err());
        fresh.write(0, 0, 4, 0).unwrap();
        assert!(fresh.write(0, 0x80, 8, 0).is_err(), "it does not rest yet");
        assert_eq!(fresh.write(0, 0x80, 4, 0), Err(WIDTH));
    }

    #[test]
    fn memory_that_is_no_ram_is_refused() {
        let (its, _) = working(Facts::USUAL);
        let mut one = its.clone();
        one.write(0, 0, 4, 0).unwrap();
        while one.read(0, 0, 4).unwrap() >> 31 == 0 {}
        one.write(0, 0x100, 8, VALID | 0x1000).unwrap();
        assert!(one.write(0, 0, 4, 1).is_err());
    }

    #[test]
    fn devices_and_collections_are_those_of_the_chip() {
        let map_collection = |number: u64| [0x09, 0, VALID | number];
        let usual = working(Facts::USUAL);
        assert_eq!(command(&usual, map_collection(127)), Ok(()));
        let thunderx = working(Facts::THUNDERX);
        assert_eq!(command(&thunderx, map_collection(47)), Ok(()));
        assert!(command(&thunderx, map_collection(48)).is_err());
    }

    #[test]
    fn event_needs_a_table_and_a_collection() {
        let its = working(Facts::USUAL);
        let (device, table) = (0x18 << 32, VALID | (RAM + 0x9_0000));
        let event = |number: u64| [device | 0x0a, number | 8192 << 32, 3];
        assert!(command(&its, event(0)).is_err());
        assert_eq!(command(&its, [0x09, 0, VALID | 3]), Ok(()));
        assert_eq!(command(&its, [device | 0x08, 4, table]), Ok(()));
        assert_eq!(its.0.borrow().mapped(), 1);
        assert_eq!(command(&its, event(31)), Ok(()));
        assert!(command(&its, event(32)).is_err());
        assert!(command(&its, [0x7f, 0, 0]).is_err());
        assert!(command(&its, [device | 0x08, 4, VALID | 0x9000]).is_err());
    }
}
