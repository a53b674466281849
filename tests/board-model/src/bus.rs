//! What a physical address leads to: RAM, or the registers of a device that the hypervisor drives. Anything else is an error.

use std::cell::RefCell;
use std::rc::Rc;

use crate::fault::{Access, Fault};
use crate::memory::Ram;

/// Registers of a device. An error says why the device does not take the access.
pub trait Device {
    /// Reads `size` bytes; `cpu` is the index of the CPU that does.
    ///
    /// # Errors
    /// What is wrong with the access.
    fn read(&mut self, cpu: usize, offset: u64, size: usize) -> Result<u64, &'static str>;

    /// Writes `size` bytes.
    ///
    /// # Errors
    /// What is wrong with the access.
    fn write(
        &mut self,
        cpu: usize,
        offset: u64,
        size: usize,
        value: u64,
    ) -> Result<(), &'static str>;
}

struct Place {
    name: String,
    base: u64,
    size: u64,
    device: Box<dyn Device>,
}

/// The board between its CPUs and all else.
pub struct Bus {
    /// RAM, which IOMMUs read, too.
    pub ram: Rc<RefCell<Ram>>,
    devices: Vec<Place>,
}

impl Bus {
    /// A board with RAM and nothing else.
    pub fn new(ram: Ram) -> Self {
        Self {
            ram: Rc::new(RefCell::new(ram)),
            devices: Vec::new(),
        }
    }

    /// Adds a device's registers.
    pub fn add(&mut self, name: &str, (base, size): (u64, u64), device: impl Device + 'static) {
        self.devices.push(Place {
            name: name.to_owned(),
            base,
            size,
            device: Box::new(device),
        });
    }

    /// Names and registers of all devices.
    pub fn devices(&self) -> impl Iterator<Item = (&str, u64, u64)> {
        let all = self.devices.iter();
        all.map(|place| (place.name.as_str(), place.base, place.size))
    }

    fn device(&mut self, address: u64, size: usize) -> Option<(&mut Place, u64)> {
        self.devices.iter_mut().find_map(|place| {
            let offset = address.checked_sub(place.base)?;
            (place.size.checked_sub(offset)? >= size as u64).then_some((place, offset))
        })
    }

    /// Reads `size` bytes, at most 8.
    ///
    /// # Errors
    /// Nothing is there, or the device does not take it.
    pub fn read(&mut self, cpu: usize, address: u64, size: usize) -> Result<u64, Fault> {
        let mut bytes = [0; 8];
        if self.ram.borrow().read(address, &mut bytes[..size]) {
            return Ok(u64::from_le_bytes(bytes));
        }
        let access = Access::Read;
        let outside = Fault::Outside {
            access,
            address,
            size,
        };
        let (place, offset) = self.device(address, size).ok_or(outside)?;
        let answer = place.device.read(cpu, offset, size);
        answer.map_err(|why| refused(place, access, offset, size, why))
    }

    /// Writes `size` bytes, at most 8.
    ///
    /// # Errors
    /// Nothing is there, or the device does not take it.
    pub fn write(
        &mut self,
        cpu: usize,
        address: u64,
        size: usize,
        value: u64,
    ) -> Result<(), Fault> {
        if self
            .ram
            .borrow_mut()
            .write(address, &value.to_le_bytes()[..size])
        {
            return Ok(());
        }
        let access = Access::Write;
        let outside = Fault::Outside {
            access,
            address,
            size,
        };
        let (place, offset) = self.device(address, size).ok_or(outside)?;
        let answer = place.device.write(cpu, offset, size, value);
        answer.map_err(|why| refused(place, access, offset, size, why))
    }
}

fn refused(place: &Place, access: Access, offset: u64, size: usize, why: &'static str) -> Fault {
    Fault::Device {
        device: place.name.clone(),
        access,
        offset,
        size,
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Odd;

    impl Device for Odd {
        fn read(&mut self, _: usize, offset: u64, _: usize) -> Result<u64, &'static str> {
            Ok(offset)
        }
        fn write(&mut self, _: usize, _: u64, _: usize, _: u64) -> Result<(), &'static str> {
            Err("read-only")
        }
    }

    fn bus() -> Bus {
        let mut bus = Bus::new(Ram::new([(0, 0x1000)]));
        bus.add("/odd", (0x8000, 0x10), Odd);
        bus
    }

    #[test]
    fn access_reaches_memory_or_the_device_at_the_address() {
        let mut bus = bus();
        bus.write(0, 8, 8, 0x0102_0304_0506_0708).unwrap();
        assert_eq!(bus.read(0, 8, 4), Ok(0x0506_0708));
        assert_eq!(bus.read(0, 0x8004, 4), Ok(4));
    }

    #[test]
    fn access_where_nothing_is_or_that_a_device_refuses_is_a_fault() {
        let mut bus = bus();
        let outside = bus.read(0, 0x800c, 8).unwrap_err();
        assert!(matches!(
            outside,
            Fault::Outside {
                address: 0x800c,
                ..
            }
        ));
        let refused = bus.write(0, 0x8000, 4, 1).unwrap_err().to_string();
        assert!(
            refused.contains("/odd") && refused.contains("read-only"),
            "{refused}"
        );
    }
}
