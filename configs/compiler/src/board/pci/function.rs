//! PCI functions that are given away one by one: each with a window of its bridge for its BARs, its stream and its messages.

use super::address::FunctionPath;
use super::{HostMsi, host_msi_of};
use crate::board::device::{Device, DeviceError, Handover, Member, buses, sound_interrupts};
use crate::board::{Board, pci};
use crate::devicetree::NodeId;
use crate::devicetree::addresses::{MemorySpace, PciWindow, memory_windows, registers};
use crate::devicetree::interrupts::{Interrupt, Line, of_pin};
use crate::devicetree::streams::{Stream, of_requester};
use crate::range::AddressRange;

/// Bridges whose configuration space is laid out as PCI Express defines it (PCI Express Base 5.0, 7.2.2).
const ECAM: &[&str] = &["pci-host-ecam-generic"];
/// Configuration space of one bus: 32 devices of 8 functions with 4 KiB each.
pub(crate) const BUS_BYTES: u64 = 1 << 20;
/// What a function's BARs get when the system file does not say it.
const WINDOW: u64 = 1 << 20;
/// Messages of a function when the system file does not say it: as many as MSI can have.
const VECTORS: u16 = 32;

/// What the system file says of a function beside its place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FunctionTerms {
    /// Vendor and device.
    pub id: Option<(u16, u16)>,
    /// Bytes for its BARs.
    pub window: Option<u64>,
    /// Bytes for its BARs of 64 bits above 4 GiB.
    pub high_window: Option<u64>,
    /// Messages that it may have.
    pub vectors: Option<u16>,
    /// The pin by which it interrupts: 0 for INTA to 3 for INTD.
    pub pin: Option<u8>,
    /// Every bridge to it keeps it apart from what else is behind it.
    pub acs: bool,
}

impl FunctionTerms {
    /// The fields that are there.
    pub fn named(&self) -> impl Iterator<Item = &'static str> {
        let fields = [
            (self.id.is_some(), "id"),
            (self.window.is_some(), "window"),
            (self.high_window.is_some(), "high_window"),
            (self.vectors.is_some(), "vectors"),
            (self.pin.is_some(), "pin"),
            (self.acs, "acs"),
        ];
        fields
            .into_iter()
            .filter_map(|(there, name)| there.then_some(name))
    }
}

/// A function, and what it takes to give it away.
#[derive(Clone, Debug)]
pub(crate) struct PciFunction {
    pub path: FunctionPath,
    /// Where its partition sees it, once that is found: device and function in one number.
    pub seen: u8,
    /// Configuration space of the first bus, where its partition sees the bus with its functions.
    pub configuration: AddressRange,
    /// Configuration space of all buses up to its own.
    pub reached: AddressRange,
    /// Number of the first bus.
    pub first_bus: u8,
    pub window: Window,
    /// For BARs of 64 bits.
    pub high: Option<Window>,
    /// What it must be at start.
    pub id: Option<(u16, u16)>,
    /// Messages that it may have.
    pub vectors: u16,
    pub msi: Option<HostMsi>,
    pub pin: Option<Pin>,
    /// Every bridge to it keeps it apart from what else is behind it.
    pub acs: bool,
}

/// A part of the host bridge's memory for a function's BARs.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// Where the host bridge has room.
    pub room: Vec<PciWindow>,
    /// Bytes: a power of two, at least a page.
    pub size: u64,
    /// Which ones, once they are found.
    pub place: Option<PciWindow>,
}

/// A pin, and the interrupt that it ends in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pin {
    /// 0 for INTA to 3 for INTD.
    pub number: u8,
    pub interrupt: Interrupt,
}

/// What it takes to give a function away.
pub(in crate::board) fn function(
    board: &Board,
    bridge: NodeId,
    path: FunctionPath,
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
    let buses_there = tree.cells(bridge, "bus-range")?.unwrap_or_default();
    let (first_bus, last_bus) = match buses_there.as_slice() {
        [first, last, ..] => (*first as u8, (*last).min(0xff) as u8),
        _ => (0, 0xff),
    };
    let all = registers(tree, bridge)?;
    let configuration = all.first().filter(|one| one.size >= BUS_BYTES);
    let configuration = configuration.ok_or(DeviceError::NoRegisters)?;
    if path.top().bus != first_bus {
        return Err(DeviceError::NotOnFirstBus(path.top(), first_bus));
    }
    if let Some(below) = path.misnumbered() {
        return Err(DeviceError::Misnumbered(below));
    }
    let reached = BUS_BYTES * (u64::from(path.function.bus - first_bus) + 1);
    if path.function.bus > last_bus || reached > configuration.size {
        return Err(DeviceError::NoSuchBus(path.function));
    }
    let terms = &handover.function;
    if terms.acs && path.bridges.is_empty() {
        return Err(DeviceError::NoBridges);
    }
    let requester = path.function.requester();
    let without_msi = handover.without.iter().any(|one| one == pci::WITHOUT);
    let msi = match without_msi {
        true => None,
        false => host_msi_of(board, bridge, requester)?,
    };
    let pin = match terms.pin {
        Some(number) => Some(Pin {
            number,
            interrupt: interrupt(board, bridge, &path, number)?,
        }),
        None => None,
    };
    let window = |space, size| -> Result<Window, DeviceError> {
        Ok(Window {
            room: memory_windows(tree, bridge, space)?,
            size,
            place: None,
        })
    };
    let high = terms
        .high_window
        .map(|size| window(MemorySpace::Bits64, size));
    let function = PciFunction {
        seen: path.function.on_bus(),
        configuration: AddressRange {
            base: configuration.base,
            size: BUS_BYTES,
        },
        reached: AddressRange {
            base: configuration.base,
            size: reached,
        },
        first_bus,
        window: window(MemorySpace::Bits32, terms.window.unwrap_or(WINDOW))?,
        high: high.transpose()?,
        id: terms.id,
        vectors: terms.vectors.unwrap_or(VECTORS),
        msi,
        pin,
        acs: terms.acs,
        path,
    };
    let mut interrupts = pci::messages(function.msi.as_ref());
    interrupts.extend(function.pin.map(|pin| pin.interrupt));
    sound_interrupts(board, &interrupts)?;
    Ok(Device {
        node: bridge,
        path: format!("{}/{}", tree.path(bridge), function.path),
        buses: buses(tree, bridge)?,
        // The bridge comes along, and no register of it.
        members: vec![Member {
            node: bridge,
            registers: Vec::new(),
            lines: Vec::new(),
        }],
        registers: function.frame().into_iter().collect(),
        interrupts,
        streams: streams(board, bridge, &function)?,
        pci: Some(pci::Pci::Function(Box::new(function))),
        clocks: None,
        without: handover.without.clone(),
        read_only: false,
    })
}

/// The interrupt that a pin ends in, by the host bridge's map.
fn interrupt(
    board: &Board,
    bridge: NodeId,
    path: &FunctionPath,
    pin: u8,
) -> Result<Interrupt, DeviceError> {
    let top = path.top().requester();
    match of_pin(
        &board.tree,
        bridge,
        top,
        path.pin_at_top(pin),
        board.gic.node,
    )? {
        Line::Gic(interrupt) => Ok(interrupt),
        Line::Other { controller, .. } => {
            Err(DeviceError::PinElsewhere(board.tree.path(controller)))
        }
    }
}

/// The streams by which an IOMMU may know a function; none when it may have one that no IOMMU sees.
fn streams(
    board: &Board,
    bridge: NodeId,
    function: &PciFunction,
) -> Result<Vec<Stream>, DeviceError> {
    let mut found: Vec<Stream> = Vec::new();
    for requester in function.requesters() {
        match of_requester(&board.tree, bridge, requester)? {
            Some(stream) if found.contains(&stream) => {}
            Some(stream) => found.push(stream),
            None => return Ok(Vec::new()),
        }
    }
    Ok(found)
}

impl PciFunction {
    /// True when the bridges to it must leave it its own number: by that it is kept apart, or its messages are known.
    pub const fn has_own_number(&self) -> bool {
        self.acs || self.msi.is_some()
    }

    /// The numbers by which it may be known as a requester. A bridge to a conventional bus stands for what is behind it, with its own number or with
    /// that of device 0 behind it (PCI Express to PCI/PCI-X Bridge 1.0, 2.3).
    fn requesters(&self) -> Vec<u32> {
        let mut found = vec![self.path.function.requester()];
        if !self.has_own_number() {
            found.extend(self.path.bridges.iter().map(|one| one.requester()));
            found.extend(self.path.buses().map(|(_, bus)| u32::from(bus) << 8));
        }
        found
    }

    /// Where it is seen among the requesters of its partition's bus.
    pub const fn seen_requester(&self) -> u32 {
        (self.first_bus as u32) << 8 | self.seen as u32
    }

    /// The devices that it can reach without passing the IOMMU, by the bus and the number of the one through which all of them are reached: its own
    /// where the bridges to it keep it apart, else the bridge's on the first bus.
    pub fn group(&self) -> (u8, u8) {
        match self.acs {
            true => self.path.function.slot(),
            false => self.path.top().slot(),
        }
    }

    /// True when the two may reach one another without passing the IOMMU.
    pub fn shares_group_with(&self, other: &Self) -> bool {
        match self.acs && other.acs {
            true => self.group() == other.group(),
            false => self.path.top().slot() == other.path.top().slot(),
        }
    }

    /// Registers of the frame that its messages go to, if it has it for itself.
    fn frame(&self) -> Option<AddressRange> {
        match &self.msi {
            Some(HostMsi::V2m { registers, .. }) => Some(*registers),
            _ => None,
        }
    }
}
