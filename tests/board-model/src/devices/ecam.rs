//! Configuration space of a PCI host bridge (PCI Express Base 5.0, 7.2.2): functions that answer as the standard says, and all ones elsewhere.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::WIDTH;
use crate::bus::Device;

/// Bytes of a function's configuration space.
const FUNCTION: u64 = 0x1000;
const COMMAND: u64 = 0x04;
/// `Command.BusMaster`.
const BUS_MASTER: u32 = 1 << 2;

/// A register: its value, and the bits that can be written.
#[derive(Clone, Copy)]
struct Word {
    value: u32,
    writable: u32,
}

/// The functions of a bridge. Each is a storage controller: BAR 0 of 64 KiB, MSI-X with 32 vectors, no reset of its own. Firmware has left it at work.
pub struct Ecam {
    functions: BTreeMap<u64, BTreeMap<u64, Word>>,
}

impl Ecam {
    /// Functions at these numbers: bus, device and function as in a requester ID.
    pub fn new(places: &[u64]) -> Rc<RefCell<Self>> {
        let words = [
            (0x00, 0x1001_1234, 0),
            (COMMAND, 0x0010_0006, 0xffff),
            (0x08, 0x0108_0200, 0),
            (0x0c, 0, 0xff),
            (0x10, 0xdead_0000, 0xffff_0000),
            (0x2c, 0x0001_1234, 0),
            (0x34, 0x40, 0),
            (0x3c, 0x0000_0100, 0xff),
            // MSI-X: its table and its pending bits are in BAR 0.
            (0x40, 0x001f_5011, 0xc000_0000),
            (0x44, 0x2000, 0),
            (0x48, 0x3000, 0),
            // PCI Express: an endpoint.
            (0x50, 0x0002_0010, 0),
            (0x54, 0x0000_8000, 0),
            (0x58, 0x0000_2810, 0xffff),
        ];
        let function = || {
            let words = words.map(|(offset, value, writable)| (offset, Word { value, writable }));
            BTreeMap::from(words)
        };
        let functions = places.iter().map(|place| (*place, function())).collect();
        Rc::new(RefCell::new(Self { functions }))
    }

    /// Functions that may write memory.
    pub fn masters(&self) -> Vec<u64> {
        let on = |words: &BTreeMap<u64, Word>| {
            let command = words.get(&COMMAND);
            command.is_some_and(|word| word.value & BUS_MASTER != 0)
        };
        let found = self.functions.iter().filter(|(_, words)| on(words));
        found.map(|(place, _)| *place).collect()
    }
}

impl Device for Rc<RefCell<Ecam>> {
    fn read(&mut self, _: usize, offset: u64, size: usize) -> Result<u64, &'static str> {
        if size != 4 || !offset.is_multiple_of(4) {
            return Err(WIDTH);
        }
        let ecam = self.borrow();
        let Some(words) = ecam.functions.get(&(offset / FUNCTION)) else {
            return Ok(u32::MAX.into());
        };
        Ok(words
            .get(&(offset % FUNCTION))
            .map_or(0, |word| word.value)
            .into())
    }

    fn write(
        &mut self,
        _: usize,
        offset: u64,
        size: usize,
        value: u64,
    ) -> Result<(), &'static str> {
        if size != 4 || !offset.is_multiple_of(4) {
            return Err(WIDTH);
        }
        let mut ecam = self.borrow_mut();
        let words = ecam.functions.get_mut(&(offset / FUNCTION));
        if let Some(word) = words.and_then(|words| words.get_mut(&(offset % FUNCTION))) {
            word.value = word.value & !word.writable | value as u32 & word.writable;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bar_tells_its_size_and_bus_master_is_counted() {
        let ecam = Ecam::new(&[0x18, 0x20]);
        let mut bus = ecam.clone();
        bus.write(0, 0x1_8010, 4, 0xffff_ffff).unwrap();
        assert_eq!(bus.read(0, 0x1_8010, 4), Ok(0xffff_0000));
        assert_eq!(ecam.borrow().masters(), [0x18, 0x20]);
        bus.write(0, 0x1_8004, 4, 0).unwrap();
        assert_eq!(ecam.borrow().masters(), [0x20]);
    }

    #[test]
    fn place_without_a_function_reads_all_ones_and_other_widths_are_refused() {
        let mut bus = Ecam::new(&[0x18]);
        assert_eq!(bus.read(0, 0x8000, 4), Ok(0xffff_ffff));
        assert_eq!(bus.read(0, 0x1_8000, 2), Err(WIDTH));
        assert_eq!(bus.write(0, 0x1_8004, 1, 0), Err(WIDTH));
    }
}
