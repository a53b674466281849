//! One system: everything an image is linked with.

use crate::board::Board;
#[cfg(feature = "channels")]
use crate::channel::Channel;
#[cfg(feature = "shared")]
use crate::ids::PcpuId;
use crate::ids::{Mpidr, Pa};
#[cfg(feature = "iommu")]
use crate::iommu::Iommu;
use crate::partition::Partition;
#[cfg(feature = "pci")]
use crate::pci::Bridge;
#[cfg(feature = "shared")]
use crate::time::Duration;

/// A whole system, checked and placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct System {
    /// Its name in the system file.
    pub name: &'static str,
    /// The board it was built for.
    pub board: Board,
    /// Physical CPUs that it uses, in the order of their indices on the board. The others stay parked.
    pub pcpus: &'static [Pcpu],
    /// Pools of CPUs.
    #[cfg(feature = "shared")]
    pub pools: &'static [Pool],
    /// Partitions, in the order of the system file.
    pub partitions: &'static [Partition],
    /// Memory that partitions share.
    #[cfg(feature = "channels")]
    pub channels: &'static [Channel],
    /// IOMMUs of the board, whether partitions own streams behind them or not.
    #[cfg(feature = "iommu")]
    pub iommus: &'static [Iommu],
    /// PCI host bridges whose functions belong to partitions one by one.
    #[cfg(feature = "pci")]
    pub bridges: &'static [Bridge],
    /// Width of every partition's address space in bits: 32 to 48.
    pub ipa_bits: u8,
    /// Pages of 4 KiB that all stage-2 tables together need, roots included.
    pub stage2_pages: usize,
    /// Length of the payload that is packed behind the image, in bytes.
    pub payload_size: u64,
    /// What happens when every partition has stopped.
    pub end: EndState,
}

/// A physical CPU that the system uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pcpu {
    /// Its affinity, the `reg` of its node in the device tree.
    pub mpidr: Mpidr,
    /// How it is started.
    pub start: CpuStart,
}

/// How firmware lets a CPU be started (Devicetree Specification 0.4, section 3.8.1, `enable-method`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuStart {
    /// By PSCI's CPU_ON.
    Psci,
    /// It waits until the address of its first instruction stands in this place, 64 bits in memory.
    SpinTable(Pa),
}

/// A set of physical CPUs under one scheduling policy.
#[cfg(feature = "shared")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name in the system file.
    pub name: &'static str,
    /// How its CPUs are shared.
    pub policy: Policy,
    /// Its CPUs; no CPU is in two pools.
    pub pcpus: &'static [PcpuId],
}

/// A scheduling policy.
#[cfg(feature = "shared")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// One virtual CPU owns one physical CPU; no scheduler runs and WFI is not trapped.
    Dedicated,
    /// Each physical CPU runs those of its virtual CPUs first whose period ends first, each within its budget.
    Rtds,
    /// The same for all its physical CPUs together: its virtual CPUs may move between them.
    GlobalRtds,
    /// Each physical CPU runs its virtual CPUs in windows of a frame that comes again and again.
    Cyclic {
        /// Length of the frame; more than zero.
        major_frame: Duration,
    },
}

/// What the machine does when nothing is left to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndState {
    /// Firmware turns the machine off (PSCI SYSTEM_OFF).
    PowerOff,
    /// Firmware resets the machine (PSCI SYSTEM_RESET).
    Reset,
    /// All CPUs wait for ever; the console stays readable.
    Halt,
}

impl System {
    /// All virtual CPUs of the system.
    pub const fn total_vcpus(&self) -> usize {
        let mut sum = 0;
        let mut i = 0;
        while i < self.partitions.len() {
            sum += self.partitions[i].vcpus.len();
            i += 1;
        }
        sum
    }

    /// Partitions with an interrupt translation service.
    #[cfg(feature = "its")]
    pub const fn its_users(&self) -> usize {
        let mut count = 0;
        let mut i = 0;
        while i < self.partitions.len() {
            if self.partitions[i].its.is_some() {
                count += 1;
            }
            i += 1;
        }
        count
    }

    /// All virtual SPIs of the system.
    pub const fn total_spis(&self) -> usize {
        let mut sum = 0;
        let mut i = 0;
        while i < self.partitions.len() {
            sum += self.partitions[i].spis as usize;
            i += 1;
        }
        sum
    }
}
