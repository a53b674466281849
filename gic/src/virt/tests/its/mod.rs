//! Tests of the virtual ITS and of LPIs, against a fake physical ITS that refuses what no partition may ask of it.

mod commands;
mod random;
mod registers;

use super::*;
use crate::its_command::Command;
use crate::virt::its::{Change, Device, Its, Memory, Translation};
use model::Ipa;
use model::device::{DeviceIds, VirtualIts};
use std::collections::{BTreeMap, BTreeSet};

/// The partition's part of the system's ITS.
static CONFIG: VirtualIts = VirtualIts {
    base: Ipa::new(0x808_0000),
    devices: &[DeviceIds {
        first: 0x10,
        count: 0x20,
    }],
    share: 2,
};
const FIRST_PHYSICAL: u32 = 8192 + 512;
const FIRST_COLLECTION: u16 = 32;
const FIRST_TABLE: u16 = 64;
/// Devices that can have a table at the same time.
const TABLES: usize = 4;

/// A device of the partition.
const DEVICE: u32 = 0x18;
/// A device of another partition.
const FOREIGN: u32 = 0x30;
/// Where the guest has its command queue: one page.
const QUEUE: u64 = 0x4000_0000;
/// Where it has its configuration table.
const PROPERTIES: u64 = 0x4001_0000;
/// The guest's number of its first LPI.
const LPI: IntId = IntId::new(8192);

/// A physical ITS, as the changes leave it.
#[derive(Default)]
pub struct PhysicalIts {
    /// DeviceID to the number of its table.
    tables: RefCell<BTreeMap<u32, u16>>,
    /// DeviceID and EventID to LPI and collection.
    events: RefCell<BTreeMap<(u32, u16), (IntId, u16)>>,
    enabled: RefCell<BTreeSet<IntId>>,
    collections: RefCell<BTreeMap<u16, u8>>,
    /// How many changes it was told of.
    pub changes: Cell<u32>,
    /// It does nothing any more.
    pub broken: Cell<bool>,
}

impl PhysicalIts {
    fn own(collection: u16) {
        assert!(
            (FIRST_COLLECTION..FIRST_COLLECTION + 16).contains(&collection),
            "collection {collection} is not the partition's"
        );
    }

    pub fn apply(&self, change: Change) -> bool {
        self.changes.set(self.changes.get() + 1);
        if self.broken.get() {
            return false;
        }
        let mut events = self.events.borrow_mut();
        match change {
            Change::Device {
                device,
                slot,
                mapped,
            } => {
                assert!(CONFIG.devices[0].contains(device));
                assert!((FIRST_TABLE..FIRST_TABLE + TABLES as u16).contains(&slot));
                let mut tables = self.tables.borrow_mut();
                if mapped {
                    assert!(!tables.values().any(|used| *used == slot));
                    assert_eq!(tables.insert(device, slot), None);
                } else {
                    assert_eq!(tables.remove(&device), Some(slot));
                    assert!(events.keys().all(|(of, _)| *of != device));
                }
            }
            Change::Map {
                device,
                event,
                lpi,
                collection,
            } => {
                Self::own(collection);
                assert!(self.tables.borrow().contains_key(&device) && event < 64);
                assert!((FIRST_PHYSICAL..FIRST_PHYSICAL + 256).contains(&lpi.get()));
                assert!(events.values().all(|(other, _)| *other != lpi));
                assert_eq!(events.insert((device, event), (lpi, collection)), None);
            }
            Change::Move {
                device,
                event,
                collection,
            } => {
                Self::own(collection);
                events.get_mut(&(device, event)).expect("mapped").1 = collection;
            }
            Change::Enable {
                device,
                event,
                lpi,
                collection,
                enabled,
            } => {
                assert_eq!(events.get(&(device, event)), Some(&(lpi, collection)));
                let mut all = self.enabled.borrow_mut();
                assert_ne!(all.contains(&lpi), enabled);
                match enabled {
                    true => all.insert(lpi),
                    false => all.remove(&lpi),
                };
            }
            Change::Clear {
                device,
                event,
                collection,
            } => {
                let found = events.get(&(device, event)).expect("mapped");
                assert_eq!(found.1, collection);
            }
            Change::Discard {
                device,
                event,
                collection,
            } => {
                let (lpi, from) = events.remove(&(device, event)).expect("mapped");
                assert_eq!(from, collection);
                self.enabled.borrow_mut().remove(&lpi);
            }
            Change::Collect { collection, cpu } => {
                Self::own(collection);
                self.collections.borrow_mut().insert(collection, cpu.get());
            }
        }
        true
    }

    /// Where a message of a device arrives: which LPI, and on which virtual CPU's physical CPU.
    fn signal(&self, device: u32, event: u16) -> Option<(IntId, u8)> {
        let (lpi, collection) = *self.events.borrow().get(&(device, event))?;
        let cpu = *self.collections.borrow().get(&collection)?;
        self.enabled.borrow().contains(&lpi).then_some((lpi, cpu))
    }
}

/// The partition's memory, doublewords by address.
#[derive(Default)]
pub struct GuestMemory(RefCell<BTreeMap<u64, u64>>);

impl Memory for GuestMemory {
    fn read(&self, ipa: u64) -> Option<u64> {
        assert!(ipa.is_multiple_of(8));
        let ram = (0x4000_0000..0x5000_0000).contains(&ipa);
        ram.then(|| self.0.borrow().get(&ipa).copied().unwrap_or(0))
    }
}

/// A machine with an ITS.
pub struct Bench {
    pub machine: Machine,
    pub memory: GuestMemory,
}

impl Bench {
    /// As after reset.
    fn new(vcpus: u8) -> Self {
        let mut machine = Machine::started(Version::V3, vcpus);
        let its = Its::new(
            &CONFIG,
            vec![Translation::NONE; MOST_LPIS].leak(),
            vec![Device::NONE; TABLES].leak(),
        );
        let plain = std::mem::replace(&mut machine.vgic, Machine::new(Version::V3, 1).vgic);
        machine.vgic = plain.with_its(its, vec![Interrupt::ROOM; MOST_LPIS].leak());
        machine.vgic.reset(&machine.physical);
        machine.set(0, 0, 3);
        Self {
            machine,
            memory: GuestMemory::default(),
        }
    }

    /// With queue, configuration table, LPIs enabled everywhere, collection n at virtual CPU n, and a table for [`DEVICE`].
    fn ready(vcpus: u8) -> Self {
        let mut bench = Self::new(vcpus);
        bench.set_up();
        bench
    }

    fn set_up(&mut self) {
        let vcpus = self.machine.interfaces.len() as u8;
        for cpu in 0..vcpus {
            self.gicr(cpu, 0x70, Width::Double, PROPERTIES | 13);
        }
        self.set_up_without_tables();
    }

    /// The same with whatever configuration table there is.
    fn set_up_without_tables(&mut self) {
        let vcpus = self.machine.interfaces.len() as u8;
        for cpu in 0..vcpus {
            self.gicr(cpu, 0, Width::Word, 1);
        }
        self.write(0x80, 1 << 63 | QUEUE);
        self.write(0, 1);
        for cpu in 0..vcpus {
            self.command(Command::Mapc {
                collection: cpu.into(),
                target: u64::from(cpu) << 16,
                valid: true,
            });
        }
        self.map_device(DEVICE);
    }

    fn gicr(&mut self, cpu: u8, offset: u32, width: Width, value: u64) {
        let frame = Frame::Redistributor(VcpuId::new(cpu));
        self.machine.write(cpu, frame, offset, width, value);
    }

    /// A write of a register of the ITS, and the commands that it leads to.
    fn write(&mut self, offset: u32, value: u64) {
        let width = match offset {
            0 => Width::Word,
            _ => Width::Double,
        };
        self.machine.vgic.write_its(offset, width, value);
        self.run();
    }

    /// One call of `run_commands` by virtual CPU 0.
    fn run(&mut self) {
        let memory = &self.memory;
        let kicks = self
            .machine
            .act(0, |vgic, caller| vgic.run_commands(memory, caller));
        self.machine.kick(kicks);
    }

    fn read(&self, offset: u32) -> u64 {
        match self.machine.vgic.read_its(offset, Width::Double) {
            Access::Done(value) => value,
            Access::Unknown => panic!("no register at {offset:#x}"),
        }
    }

    /// Puts commands into the queue.
    fn queue(&mut self, words: &[[u64; 4]]) -> u64 {
        let mut place = self.read(0x88);
        for command in words {
            self.overwrite(place, *command);
            place = (place + 32) % 4096;
        }
        place
    }

    /// Writes a command to a place of the queue, without a word to the ITS.
    fn overwrite(&self, place: u64, command: [u64; 4]) {
        let mut memory = self.memory.0.borrow_mut();
        for (at, word) in (QUEUE + place..).step_by(8).zip(command) {
            memory.insert(at, word);
        }
    }

    /// Has one command executed to its end.
    fn command(&mut self, command: Command) {
        let place = self.queue(&[command.encode()]);
        self.write(0x88, place);
        while self.machine.vgic.has_commands() {
            self.run();
        }
    }

    fn map_device(&mut self, device: u32) {
        self.command(Command::Mapd {
            device,
            bits: 6,
            table: 0,
            valid: true,
        });
    }

    /// Maps an event of [`DEVICE`] to LPI 8192 + `lpi`, enabled at priority 0x80.
    fn map(&mut self, event: u32, lpi: u32, collection: u16) {
        self.set_properties(lpi, 0x81);
        self.command(Command::Mapti {
            device: DEVICE,
            event,
            intid: 8192 + lpi,
            collection,
        });
    }

    fn set_properties(&mut self, lpi: u32, byte: u8) {
        let at = PROPERTIES + u64::from(lpi & !7);
        let shift = lpi % 8 * 8;
        let mut memory = self.memory.0.borrow_mut();
        let word = memory.entry(at).or_default();
        *word = *word & !(0xff << shift) | u64::from(byte) << shift;
    }

    /// A device sends a message. Returns the virtual CPU on whose physical CPU it arrived.
    fn signal(&mut self, device: u32, event: u16) -> Option<u8> {
        let (physical, cpu) = self.machine.physical.messages.signal(device, event)?;
        self.arrive(physical, cpu);
        Some(cpu)
    }

    fn arrive(&mut self, physical: IntId, cpu: u8) {
        let index = usize::from(cpu);
        let empty = self.machine.interfaces[index].empty();
        if let Some((slot, value)) = self.machine.grants[index].straight(physical, empty) {
            self.machine.interfaces[index].write_image(slot, value);
            self.machine.straight += 1;
        } else if let Some(lpi) = self.machine.vgic.lpi(physical) {
            let kicks = self
                .machine
                .act(cpu, |vgic, caller| vgic.deliver(lpi, caller));
            self.machine.kick(kicks);
        }
    }

    fn refused(&self) -> u32 {
        self.machine.vgic.refused_commands()
    }

    /// What a virtual CPU's list registers hold.
    fn held(&self, cpu: usize) -> Vec<ListRegister> {
        self.machine.interfaces[cpu].held()
    }
}
