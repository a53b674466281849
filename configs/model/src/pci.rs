//! PCI functions that partitions own one by one.

use crate::ids::PartitionId;
use crate::memory::PhysicalRange;

/// A PCI host bridge whose functions belong to partitions one by one. Functions that are not listed are turned off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// Its path in the board's device tree.
    pub path: &'static str,
    /// Configuration space of its first bus, 1 MiB: function n has 4 KiB at n × 4096 (PCI Express Base 5.0, 7.2.2). Its partitions see it there, too.
    pub configuration: PhysicalRange,
    /// Functions that partitions own, sorted by their address.
    pub functions: &'static [Function],
}

/// A function and its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Device and function number: `device << 3 | function`.
    pub address: u8,
    /// Path of the bridge, and the function as `lspci` writes it.
    pub path: &'static str,
    /// Whose it is.
    pub partition: PartitionId,
    /// Vendor and device that it must be, when the system says it.
    pub id: Option<(u16, u16)>,
    /// Where its BARs go, as the CPU sees it: a power of two. Its partition has all of it, and nobody else any of it.
    pub window: PhysicalRange,
    /// The same on the PCI bus: a multiple of the window's size.
    pub bus: u32,
    /// How many messages it may be told to use. 0: none.
    pub messages: u16,
}

impl Bridge {
    /// Bytes of a function's configuration space.
    pub const FUNCTION: u64 = 4096;
}
