//! PCI functions that are given away one by one: each with a window of its bridge for its BARs, its stream and its messages.

use std::fmt::{self, Display};

use super::{HostMsi, host_msi_of};
use crate::board::device::{Device, DeviceError, Handover, Member, buses};
use crate::board::{Board, pci};
use crate::devicetree::NodeId;
use crate::devicetree::addresses::{PciWindow, memory_windows, registers};
use crate::devicetree::streams::of_requester;
use crate::range::AddressRange;

/// Bridges whose configuration space is laid out as PCI Express defines it (PCI Express Base 5.0, 7.2.2).
const ECAM: &[&str] = &["pci-host-ecam-generic"];
/// Configuration space of one bus: 32 devices of 8 functions with 4 KiB each.
pub(crate) const BUS_BYTES: u64 = 1 << 20;
/// What a function's BARs get when the system file does not say it.
const WINDOW: u64 = 1 << 20;
/// Messages of a function when the system file does not say it: as many as MSI can have.
const VECTORS: u16 = 32;

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
    fn parse(text: &str) -> Option<Self> {
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

    /// The last component of a device's name, if that is a function: the bridge's name and the function.
    pub fn split(name: &str) -> Option<(&str, Self)> {
        let (bridge, function) = name.rsplit_once('/')?;
        Some((bridge, Self::parse(function)?))
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

/// What the system file says of a function beside its place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FunctionTerms {
    /// Vendor and device.
    pub id: Option<(u16, u16)>,
    /// Bytes for its BARs.
    pub window: Option<u64>,
    /// Messages that it may have.
    pub vectors: Option<u16>,
}

impl FunctionTerms {
    /// The fields that are there.
    pub fn named(&self) -> impl Iterator<Item = &'static str> {
        let fields = [
            (self.id.is_some(), "id"),
            (self.window.is_some(), "window"),
            (self.vectors.is_some(), "vectors"),
        ];
        fields
            .into_iter()
            .filter_map(|(there, name)| there.then_some(name))
    }
}

/// A function, and what it takes to give it away.
#[derive(Clone, Debug)]
pub(crate) struct PciFunction {
    pub address: FunctionAddress,
    /// Configuration space of its bus.
    pub configuration: AddressRange,
    /// Where the bridge has room for BARs.
    pub room: Vec<PciWindow>,
    /// Bytes that it gets there: a power of two, at least a page.
    pub window_size: u64,
    /// Which ones, once they are found.
    pub window: Option<PciWindow>,
    /// What it must be at start.
    pub id: Option<(u16, u16)>,
    /// Messages that it may have.
    pub vectors: u16,
    pub msi: Option<HostMsi>,
}

/// What it takes to give a function away.
pub(in crate::board) fn function(
    board: &Board,
    bridge: NodeId,
    address: FunctionAddress,
    handover: &Handover,
) -> Result<Device, DeviceError> {
    let tree = &board.tree;
    if !pci::is_host(tree, bridge) {
        return Err(DeviceError::NoBridge(tree.path(bridge)));
    }
    if !tree.is_enabled(bridge) {
        let status = tree.string(bridge, "status").unwrap_or("disabled");
        return Err(DeviceError::Disabled(status.to_owned()));
    }
    if !tree.is_compatible(bridge, ECAM) {
        return Err(DeviceError::PciHost);
    }
    if handover.read_only || handover.clocks.is_some() {
        return Err(DeviceError::NotOfAFunction);
    }
    if let Some(other) = handover.without.iter().find(|one| *one != pci::WITHOUT) {
        return Err(DeviceError::NothingToLeaveOut(other.clone()));
    }
    let first_bus = tree.cells(bridge, "bus-range")?;
    let first_bus = first_bus.and_then(|cells| cells.first().copied());
    if u32::from(address.bus) != first_bus.unwrap_or(0) {
        return Err(DeviceError::BehindBridge(address));
    }
    let all = registers(tree, bridge)?;
    let configuration = all.first().filter(|one| one.size >= BUS_BYTES);
    let configuration = configuration.ok_or(DeviceError::NoRegisters)?;
    let terms = &handover.function;
    let without_msi = handover.without.iter().any(|one| one == pci::WITHOUT);
    let function = PciFunction {
        address,
        configuration: AddressRange {
            base: configuration.base,
            size: BUS_BYTES,
        },
        room: memory_windows(tree, bridge)?,
        window_size: terms.window.unwrap_or(WINDOW),
        window: None,
        id: terms.id,
        vectors: terms.vectors.unwrap_or(VECTORS),
        msi: match without_msi {
            true => None,
            false => host_msi_of(board, bridge, address.requester())?,
        },
    };
    let stream = of_requester(tree, bridge, address.requester())?;
    Ok(Device {
        node: bridge,
        path: format!("{}/{address}", tree.path(bridge)),
        buses: buses(tree, bridge)?,
        // The bridge comes along, and no register of it.
        members: vec![Member {
            node: bridge,
            registers: Vec::new(),
            lines: Vec::new(),
        }],
        registers: function.frame().into_iter().collect(),
        interrupts: pci::messages(function.msi.as_ref()),
        streams: stream.into_iter().collect(),
        pci: Some(pci::Pci::Function(function)),
        clocks: None,
        without: handover.without.clone(),
        read_only: false,
    })
}

impl PciFunction {
    /// Registers of the frame that its messages go to, if it has it for itself.
    fn frame(&self) -> Option<AddressRange> {
        match &self.msi {
            Some(HostMsi::V2m { registers, .. }) => Some(*registers),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_is_read_as_lspci_writes_it() {
        let (bridge, address) = FunctionAddress::split("/pcie@10000000/00:1f.7").unwrap();
        assert_eq!(bridge, "/pcie@10000000");
        assert_eq!(address.to_string(), "00:1f.7");
        assert_eq!((address.on_bus(), address.requester()), (0xff, 0xff));
        let (_, behind) = FunctionAddress::split("pcie0/12:00.1").unwrap();
        assert_eq!(behind.requester(), 0x1201);
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
            assert_eq!(FunctionAddress::split(name), None, "{name}");
        }
    }
}
