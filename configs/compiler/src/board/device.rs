//! A device that a system file names, and what it takes to give it away.

use super::Board;
use crate::codes::{self, Code};
use crate::devicetree::addresses::registers;
use crate::devicetree::interrupts::{Interrupt, interrupts};
use crate::devicetree::{NodeId, Tree, TreeError};
use crate::guest_gic::END_INTID;
use crate::range::AddressRange;

/// Registers larger than this are no register block; a tree that says so is wrong.
const LARGEST_REGISTERS: u64 = 4 << 30;

/// A device of the board.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub node: NodeId,
    pub path: String,
    pub registers: Vec<AddressRange>,
    /// SPIs only.
    pub interrupts: Vec<Interrupt>,
    /// Fixed clocks that it names.
    pub clocks: Vec<NodeId>,
}

/// Why a device cannot be given away.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeviceError {
    #[error("{0}")]
    Tree(#[from] TreeError),
    #[error("it has no registers in the CPU's address space")]
    NoRegisters,
    #[error("its registers {0} span more than 4 GiB")]
    HugeRegisters(AddressRange),
    #[error("its interrupt {0} is not an SPI")]
    PrivateInterrupt(u32),
    #[error("its interrupt {0} lies beyond the 960 SPIs of a virtual distributor")]
    FarInterrupt(u32),
    #[error("it is the interrupt controller")]
    InterruptController,
    #[error("it is a PCI host bridge: its functions need an owner each")]
    PciHost,
    #[error("its `status` is \"{0}\"")]
    Disabled(String),
    #[error("its `{property}` needs {provider}")]
    Provider { property: String, provider: String },
}

impl DeviceError {
    pub fn code(&self) -> Code {
        match self {
            Self::InterruptController => codes::HYPERVISOR_DEVICE,
            Self::Provider { .. } => codes::NEEDS_PROVIDER,
            _ => codes::UNUSABLE_DEVICE,
        }
    }

    pub fn help(&self) -> &'static str {
        match self {
            Self::Tree(_) | Self::HugeRegisters(_) => "correct the board's device tree",
            Self::InterruptController => "remove it: every partition gets a virtual one",
            Self::NoRegisters => "name the device whose registers it uses",
            Self::PrivateInterrupt(_) => {
                "leave it to the hypervisor: each CPU has its own copy of such an interrupt"
            }
            Self::FarInterrupt(_) => "remove it: no partition can have this interrupt",
            Self::PciHost => "remove it: PCI devices cannot be passed through in this version",
            Self::Disabled(_) => "enable it in the board's device tree if the board has it",
            Self::Provider { .. } => {
                "only devices with fixed clocks can be passed through in this version"
            }
        }
    }
}

/// Devices without a bus master: they cannot write memory by themselves.
const NO_DMA: &[&str] = &[
    "arm,pl011",
    "arm,sbsa-uart",
    "arm,pl031",
    "arm,pl061",
    "arm,sp804",
    "arm,sp805",
    "arm,sbsa-gwdt",
    "ns16550a",
    "cdns,uart-r1p12",
    "renesas,scif",
    "renesas,hscif",
];

/// The node with that label, alias or path.
pub(crate) fn named(tree: &Tree, name: &str) -> Option<NodeId> {
    if name.starts_with('/') {
        return tree.find(name);
    }
    let path_in = |table: &str| tree.find(table).and_then(|node| tree.string(node, name));
    // `dtc -@` keeps labels in `/__symbols__`.
    let path = path_in("/aliases").or_else(|| path_in("/__symbols__"))?;
    tree.find(path)
}

impl Board {
    /// The node that a system file names by label, alias or path.
    pub fn device_node(&self, name: &str) -> Option<NodeId> {
        named(&self.tree, name).filter(|node| *node != Tree::ROOT)
    }

    /// Every name by which a device can be called, for "did you mean …?".
    pub fn device_names(&self) -> Vec<String> {
        let tree = &self.tree;
        let tables = ["/aliases", "/__symbols__"]
            .into_iter()
            .filter_map(|table| tree.find(table));
        let mut names: Vec<String> = tables
            .flat_map(|table| tree.properties(table).iter().map(|one| one.name.clone()))
            .collect();
        names.extend(
            tree.nodes()
                .filter(|node| tree.has(*node, "compatible"))
                .map(|node| tree.path(node)),
        );
        names
    }

    /// What it takes to give a device away.
    ///
    /// # Errors
    /// Why it cannot be given away.
    pub fn device(&self, node: NodeId) -> Result<Device, DeviceError> {
        let tree = &self.tree;
        if node == self.gic.node || tree.parent(node) == Some(self.gic.node) {
            return Err(DeviceError::InterruptController);
        }
        if !tree.is_enabled(node) {
            let status = tree.string(node, "status").unwrap_or("disabled");
            return Err(DeviceError::Disabled(status.to_owned()));
        }
        if tree.string(node, "device_type") == Some("pci") {
            return Err(DeviceError::PciHost);
        }
        let registers = registers(tree, node)?;
        if registers.is_empty() {
            return Err(DeviceError::NoRegisters);
        }
        if let Some(huge) = registers
            .iter()
            .find(|range| range.size > LARGEST_REGISTERS)
        {
            return Err(DeviceError::HugeRegisters(*huge));
        }
        let interrupts = interrupts(tree, node, self.gic.node)?;
        if let Some(private) = interrupts.iter().find(|one| !one.intid.is_spi()) {
            return Err(DeviceError::PrivateInterrupt(private.intid.get()));
        }
        if let Some(far) = interrupts.iter().find(|one| one.intid.get() >= END_INTID) {
            return Err(DeviceError::FarInterrupt(far.intid.get()));
        }
        Ok(Device {
            node,
            path: tree.path(node),
            registers,
            interrupts,
            clocks: clocks(tree, node)?,
        })
    }

    /// True unless the device is known to have no bus master.
    pub fn may_do_dma(&self, device: &Device) -> bool {
        let tree = &self.tree;
        tree.has(device.node, "iommus") || !tree.is_compatible(device.node, NO_DMA)
    }
}

/// The fixed clocks of a device. Anything else that it needs from another device is an error.
pub(crate) fn clocks(tree: &Tree, node: NodeId) -> Result<Vec<NodeId>, DeviceError> {
    for property in tree.properties(node) {
        if refers_to_provider(&property.name) {
            let provider = property
                .value
                .first_chunk()
                .map(|cell| u32::from_be_bytes(*cell));
            let provider = provider.and_then(|phandle| tree.by_phandle(phandle));
            return Err(DeviceError::Provider {
                property: property.name.clone(),
                provider: provider.map_or("another node".to_owned(), |node| tree.path(node)),
            });
        }
    }
    let mut found = Vec::new();
    let cells = tree.cells(node, "clocks")?.unwrap_or_default();
    let mut rest = cells.as_slice();
    while let Some((phandle, tail)) = rest.split_first() {
        let clock = tree.by_phandle(*phandle);
        let clock =
            clock.ok_or_else(|| tree.error(node, "clocks", "names a phandle that no node has"))?;
        if !tree.is_compatible(clock, &["fixed-clock"]) {
            return Err(DeviceError::Provider {
                property: "clocks".to_owned(),
                provider: tree.path(clock),
            });
        }
        let arguments = tree.cell(clock, "#clock-cells")?.unwrap_or(0) as usize;
        rest = tail
            .get(arguments..)
            .ok_or_else(|| tree.error(node, "clocks", "is cut off"))?;
        if !found.contains(&clock) {
            found.push(clock);
        }
    }
    Ok(found)
}

/// Properties by which a device depends on another one, beside `clocks`, interrupts and `iommus`.
fn refers_to_provider(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "resets",
        "power-domains",
        "dmas",
        "phys",
        "mboxes",
        "pwms",
        "io-channels",
        "nvmem-cells",
        "interconnects",
        "assigned-clocks",
        "memory-region",
        "gpios",
        "phy-handle",
        "msi-parent",
    ];
    let pins = name
        .strip_prefix("pinctrl-")
        .is_some_and(|index| index.bytes().all(|byte| byte.is_ascii_digit()));
    pins || NAMES.contains(&name) || name.ends_with("-supply") || name.ends_with("-gpios")
}
