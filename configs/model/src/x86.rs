//! One system for a PC: what the image for x86 is linked with.
//!
//! Memory, segments, fault policies and end states are those of every architecture. What names CPUs, interrupts and the console is not.

use crate::ids::{Ipa, Pa, PcpuId, Vmid};
use crate::memory::{Mapping, PhysicalRange};
use crate::partition::{FaultPolicy, Segment};
use crate::system::EndState;

/// A whole system, checked and placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct System {
    /// Its name in the system file.
    pub name: &'static str,
    /// The machine it was built for.
    pub board: Board,
    /// Physical CPUs that it uses, in the order of their indices on the board. The others stay parked.
    pub pcpus: &'static [Pcpu],
    /// Partitions, in the order of the system file.
    pub partitions: &'static [Partition],
    /// Pages of 4 KiB that all nested page tables together need, roots included.
    pub nested_pages: usize,
    /// Length of the payload that is packed behind the image, in bytes.
    pub payload_size: u64,
    /// What happens when every partition has stopped.
    pub end: EndState,
}

/// The machine as it was at build time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    /// Name of its folder in `platforms/boards`.
    pub name: &'static str,
    /// Where the image is linked and loaded.
    pub load: Pa,
    /// Room kept for the image with its payload.
    pub image: PhysicalRange,
    /// First I/O port of the 16550 that is the console.
    pub console: u16,
    /// What turns the machine off. `None`: nothing that is known; its CPUs wait for ever instead.
    pub power_off: Option<PortWrite>,
}

/// A write to an I/O port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortWrite {
    /// The port. For turning off, that of the ACPI register PM1a_CNT (ACPI 6.5, 4.8.3.2.1).
    pub port: u16,
    /// The value: `SLP_EN` with the `SLP_TYP` that the machine's `\_S5` names.
    pub value: u16,
}

/// A physical CPU that the system uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pcpu {
    /// Its x2APIC identifier (Intel SDM volume 3, 11.12.5.1).
    pub apic: u32,
}

/// An isolated guest and everything that it owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its name in the system file: 1 to 15 characters of `[a-z0-9-]`, unique.
    pub name: &'static str,
    /// Tag of its translations, unique, never 0: its address space identifier (AMD APM volume 2, 15.16).
    pub asid: Vmid,
    /// The physical CPU of its one virtual CPU, which owns it.
    pub pcpu: PcpuId,
    /// Its memory, sorted by address, without overlap.
    pub memory: &'static [Mapping],
    /// What is copied into its memory at each start.
    pub segments: &'static [Segment],
    /// Where it starts, in 32-bit protected mode without paging.
    pub entry: Ipa,
    /// Its start information, passed in EBX (the PVH boot protocol, Xen's `hvm_start_info`).
    pub start_info: Ipa,
    /// It has an emulated 16550 at COM1, multiplexed on the console.
    pub console: bool,
    /// What happens when it does what it may not.
    pub on_fault: FaultPolicy,
}
