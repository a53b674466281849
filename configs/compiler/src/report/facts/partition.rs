//! A partition and what it owns.

use serde::Serialize;

use super::{DeviceEntry, InterruptEntry, VcpuEntry};

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionEntry {
    /// Its name.
    pub name: String,
    /// Its VMID.
    pub vmid: u16,
    /// Its virtual CPUs.
    pub vcpus: Vec<VcpuEntry>,
    /// What it sees in its address space, by IPA.
    pub mappings: Vec<MappingEntry>,
    /// Devices that the hypervisor plays for it.
    pub virtual_devices: Vec<VirtualDevice>,
    /// What is copied into its memory at each start.
    pub segments: Vec<SegmentEntry>,
    /// The files that its memory is filled from.
    pub images: Vec<ImageEntry>,
    /// Its kernel's command line, if it has one.
    pub command_line: Option<String>,
    /// Where it starts.
    pub entry: u64,
    /// `virtual`, `none` or `device`.
    pub console: String,
    /// Its devices.
    pub devices: Vec<DeviceEntry>,
    /// Its interrupts.
    pub interrupts: Vec<InterruptEntry>,
    /// True when its devices may reach all memory.
    pub dma_trusted: bool,
    /// PSCI functions that act on it: `cpus`, `off`, `reset`, `suspend`.
    pub psci: Vec<String>,
    /// On a PC, what it is shown of its CPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_policy: Option<CpuPolicyEntry>,
    /// `none`, `mediated` or `all`: its firmware calls beyond PSCI.
    pub firmware_calls: String,
    /// What filtered calls may change, one kind in each: `clocks 48, 52`. Numbers are the firmware's.
    pub firmware_resources: Vec<String>,
    /// What happens when it does what it may not: the policy with its limits.
    pub on_fault: String,
    /// Partitions whose life it may control.
    pub may_control: Vec<String>,
    /// Partitions of which it may ask how they do.
    pub may_watch: Vec<String>,
    /// Partitions whose console it may read.
    pub may_read_console: Vec<String>,
    /// Its watchdog's time, if it has one.
    pub watchdog_ns: Option<u64>,
    /// When it starts, in words; empty for "at once".
    pub start: String,
    /// Its device tree.
    pub tree: TreeEntry,
}

/// What a part of an address space is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MappingKind {
    /// The partition's own memory.
    Memory,
    /// Memory that others see, too.
    Channel,
    /// Registers of a device.
    Registers,
    /// Registers that it may read only.
    ReadOnlyRegisters,
    /// Registers by which hardware plays an interrupt controller for whoever runs: each CPU shows its own.
    InterruptController,
}

/// A mapping of a partition's address space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MappingEntry {
    /// What it is.
    pub kind: MappingKind,
    /// Where the partition sees it.
    pub ipa: u64,
    /// Where it is.
    pub pa: u64,
    /// Length.
    pub size: u64,
    /// What lies there: the device's path, the channel's name, or "memory".
    pub what: String,
}

/// A device that the hypervisor plays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VirtualDevice {
    /// What it is: "distributor", "console".
    pub name: String,
    /// Where the partition sees it.
    pub ipa: u64,
    /// Length.
    pub size: u64,
    /// Its INTID in the partition, if it raises one.
    pub intid: Option<u32>,
}

/// Bytes that are copied into a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SegmentEntry {
    /// What they are.
    pub name: String,
    /// Where they go.
    pub ipa: u64,
    /// How many.
    pub size: u64,
    /// How many zeros follow.
    pub zeros: u64,
}

/// A file that a partition's memory is filled from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageEntry {
    /// `kernel`, `initrd` or `program`.
    pub role: String,
    /// Its source as the system file names it.
    pub source: String,
    /// Its length.
    pub size: u64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// A partition's device tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TreeEntry {
    /// Length of the flattened format.
    pub size: u64,
    /// SHA-256 of it, in hexadecimal.
    pub sha256: String,
    /// Its source form, for people; the page shows it, the data leaves it out.
    #[serde(skip)]
    pub source: String,
}

/// A CPU policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CpuPolicyEntry {
    /// As the system calls it.
    pub name: String,
    /// Features that CPUID does not show, by the names of `/proc/cpuinfo`.
    pub hidden: Vec<String>,
    /// Model-specific registers that are faults with them.
    pub denied_msrs: Vec<String>,
}
