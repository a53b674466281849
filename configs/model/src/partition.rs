//! One partition, ready to run.

use crate::device::{PassedInterrupt, VirtualGic, VirtualUart};
#[cfg(feature = "channels")]
use crate::doorbell::Doorbell;
#[cfg(feature = "files")]
use crate::file::File;
#[cfg(feature = "eemi")]
use crate::firmware::Eemi;
use crate::ids::{Ipa, Mpidr, PcpuId, Vmid};
#[cfg(feature = "its")]
use crate::its::VirtualIts;
use crate::memory::Mapping;
#[cfg(feature = "monitor")]
use crate::monitor::Monitor;
use crate::time::TimeShare;

/// Most virtual CPUs in one partition: as many as a GICv2 addresses (IHI 0048B 1.3.1).
pub const MOST_VCPUS: usize = 8;

/// An isolated guest and everything that it owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its name in the system file: 1 to 15 characters of `[a-z0-9-]`, unique.
    pub name: &'static str,
    /// Tag of its translations, unique, never 0.
    pub vmid: Vmid,
    /// Its virtual CPUs; the first one boots.
    pub vcpus: &'static [Vcpu],
    /// Its memory and passed-through registers, sorted by IPA, without overlap.
    pub memory: &'static [Mapping],
    /// What its devices reach behind an IOMMU, sorted by IPA, where that is not what its virtual CPUs reach: its memory, and the page to which they write
    /// messages. Empty: the same as `memory`.
    pub dma: &'static [Mapping],
    /// What is copied into its memory at each start.
    pub segments: &'static [Segment],
    /// Where its first virtual CPU starts.
    pub entry: Ipa,
    /// Its device tree, passed in x0.
    pub device_tree: Ipa,
    /// Physical interrupts that it owns, sorted by number.
    pub interrupts: &'static [PassedInterrupt],
    /// The interrupt controller that it sees.
    pub gic: VirtualGic,
    /// The interrupt translation service that it sees, if its devices signal through the board's.
    #[cfg(feature = "its")]
    pub its: Option<VirtualIts>,
    /// Where it rings the other ends of its channels.
    #[cfg(feature = "channels")]
    pub doorbells: &'static [Doorbell],
    /// How many SPIs its virtual distributor has: a multiple of 32, at most 960.
    pub spis: u16,
    /// Its emulated serial port, if its console is virtual.
    pub console: Option<VirtualUart>,
    /// What happens when it does what it may not.
    pub on_fault: FaultPolicy,
    /// What is done about its failures beyond that.
    #[cfg(feature = "monitor")]
    pub monitor: Monitor,
    /// Checksums of its segments' bytes, where a start finds nothing of the run before.
    #[cfg(feature = "pristine")]
    pub pristine: Option<&'static [u64]>,
    /// The file with its segments' bytes, if they are not in the payload; its device tree is there in any case.
    #[cfg(feature = "files")]
    pub file: Option<&'static File>,
    /// Whether its SMCs that Bulkhead does not implement itself may reach the firmware.
    pub firmware_calls: bool,
    /// What it may ask platform management firmware for, where its calls are filtered.
    #[cfg(feature = "eemi")]
    pub eemi: Option<&'static Eemi>,
}

/// A virtual CPU and where it runs. Its size is a power of two: the path of an SGI indexes these, and a shift is cheaper than a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(64))]
pub struct Vcpu {
    /// The physical CPU that runs it.
    pub pcpu: PcpuId,
    /// Affinity that the guest reads in `MPIDR_EL1`.
    pub mpidr: Mpidr,
    /// When it runs there.
    pub time: TimeShare,
}

/// Bytes of the payload that are copied into a partition at each start, or zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First byte in the partition.
    pub ipa: Ipa,
    /// Offset of the first byte from the start of the payload, or where it lies in a file (`file::OFFSETS`).
    pub offset: u64,
    /// How many bytes are copied.
    pub size: u64,
    /// How many zero bytes follow them (an ELF segment's .bss).
    pub zeros: u64,
}

/// The answer to a fault that a partition causes: an access to what it does not own, or a jump out of its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultPolicy {
    /// The guest gets the error that its architecture defines (an external abort) and goes on.
    Inject,
    /// The partition is stopped; its resources stay its own.
    Stop,
    /// The partition is started again from its image.
    Restart,
    /// The whole system goes to its end state.
    StopSystem,
}
