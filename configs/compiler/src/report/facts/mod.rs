//! What a report says, as data: the contents of `report.json`.
//!
//! Addresses and sizes are bytes, times are nanoseconds, CPUs are board indices (the order of the device tree). What a system does not
//! have is an empty list. Every list has a fixed order, so that the same inputs give the same text.
//!
//! [`VERSION`] grows when a field changes its meaning or goes; new fields do not change it.

mod devices;
mod partition;
mod time;

pub use devices::{
    ChannelEndEntry, ChannelEntry, DeviceEntry, FunctionEntry, InterruptEntry, ProviderEntry,
    StreamEntry,
};
pub use partition::{
    CpuPolicyEntry, ImageEntry, MappingEntry, MappingKind, PartitionEntry, SegmentEntry, TreeEntry,
    VirtualDevice,
};
pub use time::{CpuEntry, PoolEntry, Share, VcpuEntry, VcpuName, Window};

use serde::Serialize;

use crate::diagnostics::Diagnostics;

/// Version of the form of `report.json`.
pub const VERSION: u32 = 1;

/// Everything that a system gives to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// The system's name.
    pub system: String,
    /// What the system file says that it is for.
    pub description: Option<String>,
    /// The board's name.
    pub board: String,
    /// What the board's file says that it is.
    pub board_description: String,
    /// First `compatible` of the board's device tree.
    pub compatible: String,
    /// Whether everything has one owner, counted again from this report alone.
    pub verdict: Verdict,
    /// What the hypervisor cannot confine, or what others could change; the worst first.
    pub risks: Vec<Risk>,
    /// RAM of the board.
    pub memory: Vec<RangeEntry>,
    /// RAM that firmware keeps.
    pub reserved: Vec<RangeEntry>,
    /// Owners of all RAM and of all registers that the device tree names, by address.
    pub memory_map: Vec<MapEntry>,
    /// RAM kept for the hypervisor's image with its payload.
    pub image: RangeEntry,
    /// Length of the payload: everything that is copied into partitions.
    pub payload_size: u64,
    /// Width of every partition's address space in bits.
    pub ipa_bits: u8,
    /// Pages of 4 KiB in all stage-2 tables.
    pub stage2_pages: usize,
    /// Who has the console UART: `hypervisor`, `none`, or a partition's name.
    pub console: String,
    /// All CPUs of the board.
    pub cpus: Vec<CpuEntry>,
    /// Board indices of the CPUs that stay parked.
    pub parked_cpus: Vec<usize>,
    /// Pools with the argument why what they promise fits.
    pub pools: Vec<PoolEntry>,
    /// Physical interrupts and their owners, by INTID.
    pub interrupts: Vec<InterruptEntry>,
    /// DMA streams and their owners, by IOMMU and first ID.
    pub streams: Vec<StreamEntry>,
    /// Memory that partitions share.
    pub channels: Vec<ChannelEntry>,
    /// Partitions and what they own.
    pub partitions: Vec<PartitionEntry>,
    /// Findings that did not stop the build.
    pub warnings: Diagnostics,
}

/// The conclusion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// True when nothing has two owners that is not declared as shared.
    pub holds: bool,
    /// What has two owners without being declared as shared. Always empty for a system that passed its checks.
    pub clashes: Vec<String>,
    /// What is declared as shared.
    pub shared: Vec<String>,
}

/// How much a risk matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RiskLevel {
    /// A partition, or a device of it, can reach what it does not own.
    High,
    /// A partition depends on, or can disturb, something outside it.
    Medium,
    /// Worth knowing when the system is assessed.
    Low,
}

/// Something that the checks cannot rule out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Risk {
    /// How much it matters.
    pub level: RiskLevel,
    /// What kind it is, in one stable word: `trusted-dma`, `no-iommu`, `shared-device`, `shared-page`, `firmware-calls`,
    /// `firmware-state`, `foreign-provider`, `missing-provider`, `image-limit`.
    pub kind: &'static str,
    /// What could happen.
    pub what: String,
    /// Partition, device or channel that it is about.
    pub place: String,
    /// What would remove it.
    pub remedy: String,
}

/// A named range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RangeEntry {
    /// What it is.
    pub name: String,
    /// First byte.
    pub base: u64,
    /// Length.
    pub size: u64,
}

/// What answers at a physical address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MapKind {
    /// Memory.
    Ram,
    /// Registers of devices.
    Registers,
}

/// Who owns something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(tag = "kind", content = "name", rename_all = "kebab-case")]
pub enum Owner {
    /// The hypervisor.
    Hypervisor,
    /// The board's firmware.
    Firmware,
    /// One partition.
    Partition(String),
    /// A channel: its ends and nobody else.
    Channel(String),
    /// These partitions, as the system file declares.
    Shared(Vec<String>),
    /// Nobody: no partition can reach it.
    Nobody,
}

/// A piece of the board's physical address space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MapEntry {
    /// First byte.
    pub base: u64,
    /// Length.
    pub size: u64,
    /// What answers there.
    pub kind: MapKind,
    /// Whose it is.
    pub owner: Owner,
    /// What it is: a device's path, "memory", "image and payload".
    pub what: String,
}

impl MapEntry {
    /// First byte behind it.
    pub fn end(&self) -> u64 {
        self.base.saturating_add(self.size)
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hypervisor => f.write_str("hypervisor"),
            Self::Firmware => f.write_str("firmware"),
            Self::Partition(name) => f.write_str(name),
            Self::Channel(name) => write!(f, "channel {name}"),
            Self::Shared(names) => write!(f, "shared: {}", names.join(", ")),
            Self::Nobody => f.write_str("nobody"),
        }
    }
}
