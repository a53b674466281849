//! Tests of the virtual ITS and of LPIs, against a fake physical ITS that refuses what no partition may ask of it.

mod commands;
pub mod physical;
mod random;
mod registers;

use super::*;
use crate::its_command::Command;
use crate::virt::its::{Change, Device, Its, Memory, Translation};
use model::Ipa;
use model::its::{DeviceIds, VirtualIts};
use physical::{CONFIG, FIRST_PHYSICAL, TABLES};
use std::collections::{BTreeMap, BTreeSet};

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
        self.machine.vgic.refused_commands().iter().sum()
    }

    /// What a virtual CPU's list registers hold.
    fn held(&self, cpu: usize) -> Vec<ListRegister> {
        self.machine.interfaces[cpu].held()
    }
}
