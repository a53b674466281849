//! Devices, interrupts, streams and channels.

use serde::Serialize;

use super::{Owner, RangeEntry};

/// A device that a partition has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceEntry {
    /// Its name without the buses above it.
    pub name: String,
    /// Its path in the board's device tree.
    pub path: String,
    /// Its `compatible` strings, joined by commas.
    pub compatible: String,
    /// Its registers.
    pub registers: Vec<RangeEntry>,
    /// INTIDs of its interrupts.
    pub interrupts: Vec<u32>,
    /// True when it can write memory by itself and no IOMMU confines it.
    pub dma_unconfined: bool,
    /// True when partitions share it and may only read.
    pub read_only: bool,
    /// What it is beside that as a PCI function.
    pub function: Option<FunctionEntry>,
    /// What it needs of others, in the order of its properties.
    pub providers: Vec<ProviderEntry>,
}

/// A PCI function that is given by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FunctionEntry {
    /// Vendor and device that it must be, as `1af4:1041`; empty where the boot takes any, and prints what it finds.
    pub id: String,
    /// Most messages that its guest may use.
    pub messages: u16,
    /// Its pin, `A` to `D`; empty when it interrupts by messages only.
    pub pin: String,
    /// Where the boot puts its BARs: below 4 GiB, and those of 64 bits above if there is room for such.
    pub bars: Vec<RangeEntry>,
    /// Its isolation group: the device, as `lspci` writes bus and number, whose functions may reach one another without passing the IOMMU,
    /// with all that is behind it.
    pub group: String,
    /// Every bridge to it must keep it apart (ACS), or the boot stops.
    pub access_control: bool,
}

/// What a device needs of another one, and how it gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProviderEntry {
    /// The property that names the provider, with the entry's index or name: `clocks[0]`, `clocks "apb_pclk"`.
    pub property: String,
    /// Path of the node with the property; empty when it is the device itself.
    pub consumer: String,
    /// Path of the provider.
    pub provider: String,
    /// `given-too`, `copied`, `shared-read-only`, `fixed-clock`, `left-as-firmware-set-it`, `firmware`, or `missing`.
    pub resolution: String,
    /// What that means here, in a few words: "the same partition owns it", "fixed at 100 MHz".
    pub detail: String,
    /// The other partition that owns the provider, and can change it; empty when there is none.
    pub owner: String,
}

/// A physical interrupt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InterruptEntry {
    /// Its number at the GIC.
    pub intid: u32,
    /// Its number among shared or private ones, as a device tree writes it.
    pub number: u32,
    /// `SPI`, `extended SPI`, `PPI` or `SGI`.
    pub class: String,
    /// The INTID that its partition knows it by, where that is another one: an extended SPI is an SPI inside.
    pub seen: Option<u32>,
    /// `level` or `edge`.
    pub trigger: String,
    /// Path of the device that raises it, or what it is for.
    pub source: String,
    /// Whose it is.
    pub owner: Owner,
}

/// What one device sends through an IOMMU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StreamEntry {
    /// Path of the IOMMU.
    pub iommu: String,
    /// First stream ID.
    pub first: u32,
    /// Last stream ID.
    pub last: u32,
    /// Bits that do not count: the stream is all IDs from `first` to `last` that are `first` but for these. 0 for a plain range, of
    /// which every ID counts.
    pub ignored: u32,
    /// Path of the device.
    pub device: String,
    /// Whose device it is.
    pub owner: Owner,
}

/// Memory that partitions share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChannelEntry {
    /// Its name.
    pub name: String,
    /// Physical address.
    pub base: u64,
    /// Length.
    pub size: u64,
    /// The partitions that see it.
    pub ends: Vec<ChannelEndEntry>,
}

/// One partition's end of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChannelEndEntry {
    /// The partition.
    pub partition: String,
    /// `read-write` or `read-only`.
    pub access: String,
    /// Where the partition sees it.
    pub ipa: u64,
    /// True when the other ends can ring it.
    pub doorbell: bool,
    /// INTID of its doorbell in the partition, once it is known.
    pub doorbell_intid: Option<u32>,
}

impl ChannelEndEntry {
    /// True when this end may change the memory.
    pub fn writes(&self) -> bool {
        self.access == "read-write"
    }
}
