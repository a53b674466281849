//! PCI functions that partitions own one by one.

use crate::ids::PartitionId;
use crate::memory::PhysicalRange;

/// A PCI host bridge whose functions belong to partitions one by one. Functions that are not listed are turned off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// Its path in the board's device tree.
    pub path: &'static str,
    /// Configuration space of its buses from the first one on, 1 MiB each: function n of a bus has 4 KiB at n × 4096 (PCI Express Base 5.0, 7.2.2).
    pub configuration: PhysicalRange,
    /// Number of its first bus.
    pub first_bus: u8,
    /// Bridges behind it that lead to functions of partitions: each behind the one that leads to it.
    pub ports: &'static [Port],
    /// Functions that partitions own, sorted by the address at which their partitions see them.
    pub functions: &'static [Function],
}

/// Where a function is: `bus << 8 | device << 3 | function`, by which it is also known as a requester.
pub type Place = u16;

/// A PCI-to-PCI bridge, a root port or a port of a switch. It belongs to the hypervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Where it is.
    pub place: Place,
    /// Path of the host bridge, and the bridges to this one as `lspci` writes them.
    pub path: &'static str,
    /// Number of the bus that it is on.
    pub primary: u8,
    /// Number of the bus behind it.
    pub secondary: u8,
    /// The largest number of a bus behind it.
    pub subordinate: u8,
    /// Where it passes accesses on to functions behind it, below 4 GiB: whole MiB.
    pub memory: Option<Window>,
    /// The same above 4 GiB.
    pub high: Option<Window>,
    /// It must keep functions apart: by access control services (ACS) it sends all that they request of one another through the IOMMU.
    pub separates: bool,
    /// Functions behind it must be known to the IOMMU and the ITS by their own numbers, not by the bridge's.
    pub transparent: bool,
}

/// Addresses of the PCI bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first one.
    pub base: u64,
    /// Bytes, not 0. Base and size together do not overflow.
    pub size: u64,
}

/// A function and its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Where it is.
    pub place: Place,
    /// Where its partition sees it, on a bus with nothing but its functions: `device << 3 | function`.
    pub address: u8,
    /// Path of the host bridge, the bridges to the function, and the function as `lspci` writes them.
    pub path: &'static str,
    /// Whose it is.
    pub partition: PartitionId,
    /// Vendor and device that it must be, when the system says it.
    pub id: Option<(u16, u16)>,
    /// Where its BARs go, below 4 GiB: a power of two, aligned to its size. Its partition has all of it, and nobody else any of it.
    pub window: Window,
    /// Where BARs of 64 bits go, above 4 GiB, when the system says so: as `window`.
    pub high: Option<Window>,
    /// How many messages it may be told to use. 0: none.
    pub messages: u16,
    /// The pin by which it may interrupt, 1 for INTA to 4 for INTD. 0: none.
    pub pin: u8,
}

impl Bridge {
    /// Bytes of a function's configuration space.
    pub const FUNCTION: u64 = 4096;
    /// Bytes of the configuration space that a partition sees: that of one bus, where the first one has its own.
    pub const BUS: u64 = 256 * Self::FUNCTION;
}

impl Port {
    /// True when a function at `place` is behind it.
    pub const fn leads_to(&self, place: Place) -> bool {
        let bus = (place >> 8) as u8;
        self.secondary <= bus && bus <= self.subordinate
    }
}
