//! PCI host bridges that are given away as a whole, with everything behind them, or function by function (Linux, host-generic-pci.yaml,
//! pci-msi.txt).

mod address;
mod function;

pub(crate) use address::{FunctionAddress, FunctionPath};
pub(super) use function::function;
pub(crate) use function::{BUS_BYTES, FunctionTerms, PciFunction, Window};

use model::device::Trigger;
use model::ids::IntId;
use model::its::DeviceIds;

use super::Board;
use super::device::{DeviceError, LARGEST_REGISTERS};
use super::gic::{MsiController, MsiKind};
use crate::devicetree::addresses::bus_windows;
use crate::devicetree::interrupts::{Interrupt, Line, Mapped, mapped};
use crate::devicetree::msi::{Msi, msis, of_requester};
use crate::devicetree::streams::Ids;
use crate::devicetree::{NodeId, Tree};
use crate::range::AddressRange;

/// Bridges that need nothing but their configuration space and their windows: no registers, clocks or firmware of their own kind.
const GENERIC: &[&str] = &["pci-host-ecam-generic", "pci-host-cam-generic"];

/// What a system file leaves out to do without messages.
pub(super) const WITHOUT: &str = "msi";

/// What of PCI a device is.
#[derive(Clone, Debug)]
pub(crate) enum Pci {
    /// A host bridge with all its functions.
    Host(PciHost),
    /// One function.
    Function(Box<PciFunction>),
}

impl Pci {
    /// Where its messages go.
    pub const fn msi(&self) -> Option<&HostMsi> {
        match self {
            Self::Host(host) => host.msi.as_ref(),
            Self::Function(function) => function.msi.as_ref(),
        }
    }
}

/// A PCI host bridge.
#[derive(Clone, Debug)]
pub(crate) struct PciHost {
    /// Where the CPU reaches its functions. A window of more than 4 GiB is left out: functions live in the others.
    pub windows: Vec<AddressRange>,
    /// Interrupts of its functions' pins, where they end.
    pub pins: Vec<Mapped>,
    /// Where its functions' messages go.
    pub msi: Option<HostMsi>,
}

/// Where messages of PCI functions go.
#[derive(Clone, Debug)]
pub(crate) enum HostMsi {
    /// To a GICv2m frame, which cannot tell writers apart: all of it goes with the bridge.
    V2m {
        frame: NodeId,
        registers: AddressRange,
        /// First SPI and number of SPIs.
        spis: (u32, u32),
    },
    /// To the ITS, which knows the functions by these numbers.
    Its {
        node: NodeId,
        devices: Vec<DeviceIds>,
    },
}

/// True for every PCI host bridge.
pub(super) fn is_host(tree: &Tree, node: NodeId) -> bool {
    tree.string(node, "device_type") == Some("pci")
}

/// What it takes to give a bridge away. `without_msi`: its functions are to do without messages.
pub(super) fn host(board: &Board, node: NodeId, without_msi: bool) -> Result<PciHost, DeviceError> {
    let tree = &board.tree;
    if !tree.is_compatible(node, GENERIC) {
        return Err(DeviceError::PciHost);
    }
    let mut windows = bus_windows(tree, node)?;
    windows.retain(|window| window.size <= LARGEST_REGISTERS);
    let pins = mapped(tree, node, board.gic.node)?;
    let msi = match without_msi {
        true => None,
        false => host_msi(board, node)?,
    };
    Ok(PciHost { windows, pins, msi })
}

fn host_msi(board: &Board, node: NodeId) -> Result<Option<HostMsi>, DeviceError> {
    let mut found: Option<(&MsiController, Vec<DeviceIds>)> = None;
    for one in msis(&board.tree, node)? {
        let controller = controller(board, &one)?;
        match &mut found {
            None => found = Some((controller, vec![device_ids(one.devices)])),
            Some((known, devices)) if known.node == controller.node => {
                devices.push(device_ids(one.devices));
            }
            Some(_) => return Err(DeviceError::UnknownMsi(board.tree.path(one.controller))),
        }
    }
    found
        .map(|(controller, devices)| target(board, controller, devices))
        .transpose()
}

/// Where the messages of one requester behind a bridge go.
fn host_msi_of(
    board: &Board,
    bridge: NodeId,
    requester: u32,
) -> Result<Option<HostMsi>, DeviceError> {
    let Some(msi) = of_requester(&board.tree, bridge, requester)? else {
        return Ok(None);
    };
    let controller = controller(board, &msi)?;
    target(board, controller, vec![device_ids(msi.devices)]).map(Some)
}

/// The controller, if the image knows how to have it used.
fn controller<'a>(board: &'a Board, msi: &Msi) -> Result<&'a MsiController, DeviceError> {
    let first = board.gic.its().map(|its| its.node);
    let mut controllers = board.gic.msi.iter();
    controllers
        .find(|known| known.node == msi.controller)
        .filter(|known| known.kind != MsiKind::Its || first == Some(known.node))
        .ok_or_else(|| DeviceError::UnknownMsi(board.tree.path(msi.controller)))
}

fn target(
    board: &Board,
    controller: &MsiController,
    devices: Vec<DeviceIds>,
) -> Result<HostMsi, DeviceError> {
    Ok(match controller.kind {
        MsiKind::Its => HostMsi::Its {
            node: controller.node,
            devices,
        },
        MsiKind::V2m { spis } => HostMsi::V2m {
            frame: controller.node,
            registers: controller.registers,
            spis: spis
                .ok_or_else(|| DeviceError::UnknownFrame(board.tree.path(controller.node)))?,
        },
    })
}

/// DeviceIDs of an entry. Without any they are the requester IDs: 16 bits (Linux, pci-msi.txt).
fn device_ids(ids: Option<Ids>) -> DeviceIds {
    match ids {
        Some(Ids::Range { first, count }) => DeviceIds { first, count },
        Some(Ids::Masked { id, ignored }) => DeviceIds {
            first: id,
            count: ignored.saturating_add(1),
        },
        None => DeviceIds {
            first: 0,
            count: 0x1_0000,
        },
    }
}

impl HostMsi {
    /// The frame or the ITS.
    pub const fn node(&self) -> NodeId {
        match self {
            Self::V2m { frame: node, .. } | Self::Its { node, .. } => *node,
        }
    }
}

impl PciHost {
    /// Its interrupts at the GIC: those of pins, each once, and the SPIs of its frame, which are pulses.
    pub fn interrupts(&self) -> Vec<Interrupt> {
        let mut found: Vec<Interrupt> = Vec::new();
        for pin in &self.pins {
            if let Line::Gic(one) = &pin.line
                && !found.iter().any(|other| other.intid == one.intid)
            {
                found.push(*one);
            }
        }
        found.extend(messages(self.msi.as_ref()));
        found
    }

    /// Everything that the CPU reaches of it beside its configuration space.
    pub fn registers(&self) -> impl Iterator<Item = AddressRange> {
        let frame = match &self.msi {
            Some(HostMsi::V2m { registers, .. }) => Some(*registers),
            _ => None,
        };
        self.windows.iter().copied().chain(frame)
    }
}

/// The SPIs that messages raise: those of a frame.
fn messages(msi: Option<&HostMsi>) -> Vec<Interrupt> {
    match msi {
        Some(HostMsi::V2m {
            spis: (first, count),
            ..
        }) => (*first..first.saturating_add(*count))
            .map(message)
            .collect(),
        _ => Vec::new(),
    }
}

/// An SPI that a message raises: a pulse.
fn message(number: u32) -> Interrupt {
    Interrupt {
        intid: IntId::new(number),
        trigger: Trigger::Edge,
        cells: [0, number.saturating_sub(IntId::FIRST_SPI), 1],
        partition: None,
        defined: true,
    }
}
