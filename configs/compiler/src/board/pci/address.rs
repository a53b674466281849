//! How system files name a PCI function: the host bridge, the bridges behind it that lead to the function, and the function.

use std::fmt::{self, Display};

/// Where a function is: bus, device and function, as `lspci` writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FunctionAddress {
    pub bus: u8,
    /// 0 to 31.
    pub device: u8,
    /// 0 to 7.
    pub function: u8,
}

impl FunctionAddress {
    /// Reads `00:03.0`.
    pub fn parse(text: &str) -> Option<Self> {
        let (bus, rest) = text.split_once(':')?;
        let (device, function) = rest.split_once('.')?;
        let number = |text: &str, digits: usize, most: u8| {
            let sound = text.len() == digits && text.bytes().all(|one| one.is_ascii_hexdigit());
            let number = u8::from_str_radix(text, 16).ok()?;
            (sound && number <= most).then_some(number)
        };
        Some(Self {
            bus: number(bus, 2, 0xff)?,
            device: number(device, 2, 31)?,
            function: number(function, 1, 7)?,
        })
    }

    /// Device and function in one number, as on its bus.
    pub const fn on_bus(self) -> u8 {
        self.device << 3 | self.function
    }

    /// The number by which the bus knows who requests something.
    pub const fn requester(self) -> u32 {
        (self.bus as u32) << 8 | self.on_bus() as u32
    }
}

impl Display for FunctionAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:02x}:{:02x}.{:x}",
            self.bus, self.device, self.function
        )
    }
}

impl FunctionAddress {
    /// The device that it is a function of.
    pub const fn slot(self) -> (u8, u8) {
        (self.bus, self.device)
    }
}

/// The way to a function.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FunctionPath {
    /// PCI-to-PCI bridges, the one on the first bus first. None for a function of the first bus.
    pub bridges: Vec<FunctionAddress>,
    pub function: FunctionAddress,
}

impl FunctionPath {
    /// The last components of a device's name, if those are bridges and a function: the host bridge's name, and the way.
    pub fn split(name: &str) -> Option<(&str, Self)> {
        let (mut host, last) = name.rsplit_once('/')?;
        let function = FunctionAddress::parse(last)?;
        let mut bridges = Vec::new();
        while let Some((above, name)) = host.rsplit_once('/')
            && let Some(bridge) = FunctionAddress::parse(name)
        {
            bridges.push(bridge);
            host = above;
        }
        bridges.reverse();
        Some((host, Self { bridges, function }))
    }

    /// What it begins with on the first bus: a bridge, or the function itself.
    pub fn top(&self) -> FunctionAddress {
        self.bridges.first().copied().unwrap_or(self.function)
    }

    /// The bus behind each bridge, with the bridge's number in the list.
    pub fn buses(&self) -> impl Iterator<Item = (usize, u8)> {
        let behind = self.bridges.iter().skip(1).chain([&self.function]);
        behind
            .map(|one| one.bus)
            .enumerate()
            .take(self.bridges.len())
    }

    /// The first number of a bus that cannot be behind the one before: numbers grow on the way down.
    pub fn misnumbered(&self) -> Option<FunctionAddress> {
        let way = || self.bridges.iter().chain([&self.function]);
        let mut steps = way().zip(way().skip(1));
        steps
            .find(|(above, below)| below.bus <= above.bus)
            .map(|(_, below)| *below)
    }

    /// The pin by which the function interrupts, 0 for INTA to 3 for INTD, as it is on the first bus: each bridge turns the pins of what is behind it
    /// by the number of the device (PCI-to-PCI Bridge 1.2, table 9-1).
    pub fn pin_at_top(&self, pin: u8) -> u8 {
        let below = self.bridges.iter().skip(1).chain([&self.function]);
        let turns = below.take(self.bridges.len()).map(|one| one.device % 4);
        turns.fold(pin, |pin, turn| (pin + turn) % 4)
    }
}

impl Display for FunctionPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for bridge in &self.bridges {
            write!(f, "{bridge}/")?;
        }
        self.function.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_is_read_as_lspci_writes_it() {
        let (bridge, address) = FunctionPath::split("/pcie@10000000/00:1f.7").unwrap();
        assert_eq!(bridge, "/pcie@10000000");
        assert_eq!(address.to_string(), "00:1f.7");
        let address = address.function;
        assert_eq!((address.on_bus(), address.requester()), (0xff, 0xff));
        let (_, other) = FunctionPath::split("pcie0/12:00.1").unwrap();
        assert_eq!(other.function.requester(), 0x1201);
    }

    #[test]
    fn bridges_on_the_way_are_read_from_the_first_bus_on() {
        let (host, path) = FunctionPath::split("/soc/pcie@1000/00:02.0/01:00.0/02:03.1").unwrap();
        assert_eq!(host, "/soc/pcie@1000");
        assert_eq!(path.to_string(), "00:02.0/01:00.0/02:03.1");
        assert_eq!(path.top().to_string(), "00:02.0");
        assert_eq!(path.buses().collect::<Vec<_>>(), [(0, 1), (1, 2)]);
        assert_eq!(path.misnumbered(), None);
        let (_, backwards) = FunctionPath::split("pcie/00:02.0/02:00.0/01:00.0").unwrap();
        assert_eq!(backwards.misnumbered().unwrap().to_string(), "01:00.0");
    }

    #[test]
    fn bridges_turn_pins_by_the_numbers_of_the_devices_behind_them() {
        for (name, pin, top) in [
            ("pcie/00:03.0", 1, 1),
            ("pcie/00:03.0/01:00.0", 1, 1),
            ("pcie/00:03.0/01:01.0", 3, 0),
            ("pcie/00:03.0/01:02.0/02:03.0", 0, 1),
            ("pcie/00:03.0/01:1f.0", 0, 3),
        ] {
            let (_, path) = FunctionPath::split(name).unwrap();
            assert_eq!(path.pin_at_top(pin), top, "{name}");
        }
    }

    #[test]
    fn what_is_no_function_is_a_device_name() {
        for name in [
            "00:03.0",
            "/pcie/0:03.0",
            "/pcie/00:20.0",
            "/pcie/00:03.8",
            "/pcie/00:3.0",
            "/pcie/+0:03.0",
            "/uart@9000000",
            "",
        ] {
            assert_eq!(FunctionPath::split(name), None, "{name}");
        }
    }
}
