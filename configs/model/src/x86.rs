//! One system for a PC: what the image for x86 is linked with.
//!
//! Memory, segments, fault policies and end states are those of every architecture. What names CPUs, interrupts and the console is not.

pub mod cpu;
pub mod exit;

use crate::channel::Channel;
use crate::ids::{Ipa, Pa, PartitionId, PcpuId, StreamId, Vmid};
use crate::iommu::OwnedStreams;
use crate::memory::{Mapping, PhysicalRange};
use crate::partition::{FaultPolicy, Segment};
use crate::system::EndState;
use crate::time::TimeShare;

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
    /// Devices that partitions own, and what confines them. `None`: the machine is not known to have such a unit, and nobody owns a device.
    pub dma: Option<Dma>,
    /// Memory that partitions share, in the order of the system file.
    pub channels: &'static [Channel],
    /// The partition of each doorbell: an end of a channel that others can ring.
    pub bells: &'static [PartitionId],
    /// Pages of 4 KiB that all nested page tables together need, roots included.
    pub nested_pages: usize,
    /// Length of the payload that is packed behind the image, in bytes.
    pub payload_size: u64,
    /// What happens when every partition has stopped.
    pub end: EndState,
}

#[cfg(feature = "shared")]
impl System {
    /// The most virtual CPUs that any physical CPU has.
    pub const fn most_on_one(&self) -> usize {
        let (mut most, mut pcpu) = (0, 0);
        while pcpu < self.pcpus.len() {
            let (mut here, mut partition) = (0, 0);
            while partition < self.partitions.len() {
                let vcpus = self.partitions[partition].vcpus;
                let mut index = 0;
                while index < vcpus.len() {
                    here += (vcpus[index].pcpu.get() as usize == pcpu) as usize;
                    index += 1;
                }
                partition += 1;
            }
            if here > most {
                most = here;
            }
            pcpu += 1;
        }
        most
    }

    /// Windows of all virtual CPUs.
    pub const fn windows(&self) -> usize {
        let (mut sum, mut partition) = (0, 0);
        while partition < self.partitions.len() {
            let vcpus = self.partitions[partition].vcpus;
            let mut index = 0;
            while index < vcpus.len() {
                if let TimeShare::Windows(windows) = vcpus[index].time {
                    sum += windows.len();
                }
                index += 1;
            }
            partition += 1;
        }
        sum
    }
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

/// The units that remap the DMA of all PCI functions, and the functions that partitions own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dma {
    /// Registers of the units, each a VT-d.
    pub units: &'static [PhysicalRange],
    /// Whose each function is, sorted by their streams: bus, device and function in 16 bits.
    pub owned: &'static [OwnedStreams],
    /// The functions, in the same order.
    pub functions: &'static [Function],
}

/// A PCI function that a partition owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Bus, device and function in 16 bits.
    pub stream: StreamId,
    /// Its unit's place in [`Dma::units`].
    pub unit: u8,
    /// Where its BARs are put, of 32 bits, from the first one on. Its partition sees them there. One of size 0 is none for memory.
    pub bars: &'static [PhysicalRange],
    /// The table by which it interrupts. `None`: it has one message, without a table.
    pub messages: Option<MessageTable>,
}

impl Function {
    /// Messages by which it can interrupt.
    pub const fn message_count(&self) -> u16 {
        match self.messages {
            Some(table) => table.entries,
            None => 1,
        }
    }

    /// Where its table of messages lies, if it has one in a BAR of its.
    pub fn message_table(&self) -> Option<PhysicalRange> {
        let table = self.messages?;
        let bar = self.bars.get(usize::from(table.bar))?;
        Some(PhysicalRange {
            base: Pa::new(bar.base.get() + u64::from(table.offset)),
            size: table.size(),
        })
    }
}

/// The table of messages of an MSI-X capability (PCI Local Bus Specification 3.0, 6.8.2). The hypervisor alone reaches its pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageTable {
    /// The BAR that it lies in, 0 to 5.
    pub bar: u8,
    /// Where it begins there, a multiple of 8.
    pub offset: u32,
    /// How many messages it has, 1 to [`MessageTable::MOST`].
    pub entries: u16,
}

impl MessageTable {
    /// Most messages that a function can have.
    pub const MOST: u16 = 2048;
    /// Bytes of an entry.
    pub const ENTRY: u64 = 16;

    /// Its bytes.
    pub const fn size(&self) -> u64 {
        self.entries as u64 * Self::ENTRY
    }
}

/// A physical CPU that the system uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pcpu {
    /// Its x2APIC identifier (Intel SDM volume 3, 11.12.5.1).
    pub apic: u32,
    /// Length of the frame in which its virtual CPUs have their windows, if they have any, in nanoseconds; more than zero.
    pub major_frame: Option<u64>,
}

/// An isolated guest and everything that it owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its name in the system file: 1 to 15 characters of `[a-z0-9-]`, unique.
    pub name: &'static str,
    /// Tag of its translations, unique, never 0: its address space identifier (AMD APM volume 2, 15.16).
    pub asid: Vmid,
    /// Its virtual CPUs: it begins on the first. All of them share their physical CPUs with others, or none does.
    pub vcpus: &'static [Vcpu],
    /// What it is shown of its CPUs.
    pub cpu_policy: cpu::CpuPolicy,
    /// Its memory, sorted by address, without overlap.
    pub memory: &'static [Mapping],
    /// What is copied into its memory at each start.
    pub segments: &'static [Segment],
    /// Where it starts, in 32-bit protected mode without paging.
    pub entry: Ipa,
    /// What it is told at its start.
    pub start_info: Ipa,
    /// How it is told.
    pub handover: Handover,
    /// It has an emulated 16550 at COM1, multiplexed on the console.
    pub console: bool,
    /// What happens when it does what it may not.
    pub on_fault: FaultPolicy,
    /// Its ends of channels, as its table [`end`] lists them.
    pub ends: &'static [End],
}

/// A virtual CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vcpu {
    /// Its x2APIC identifier, as the partition sees it: that of its physical CPU where it has one for itself, else its number.
    pub apic: u32,
    /// Its physical CPU.
    pub pcpu: PcpuId,
    /// When it runs there.
    pub time: TimeShare,
}

impl Partition {
    /// Its virtual CPUs share physical CPUs, with others or among themselves.
    pub const fn shares(&self) -> bool {
        match self.vcpus {
            [first, ..] => !matches!(first.time, TimeShare::Always),
            [] => false,
        }
    }
}

/// A partition's end of a channel: what it can ring, and what rings it. The memory is among the partition's mappings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Its own doorbell: its place in [`System::bells`].
    pub bell: Option<u16>,
    /// The doorbells that it rings, those of the other ends.
    pub rings: &'static [u16],
}

/// The table by which a partition finds its ends of channels, beside its ACPI tables.
pub mod end {
    /// Its signature: none that ACPI 6.5 has (5.2.6).
    pub const SIGNATURE: [u8; 4] = *b"BHCH";
    /// Entries follow the 36 bytes of the header.
    pub const HEADER: usize = 36;
    /// An entry: the channel's name, filled up with zeros to 16 bytes; address and size, of 64 bits; then, of 32 bits each, the end's place in `ends`,
    /// flags, the number by which calls name it, and zero.
    pub const ENTRY: usize = 48;
    /// Flag: the partition may write.
    pub const WRITABLE: u32 = 1 << 0;
    /// Flag: all ends see it uncached.
    pub const UNCACHED: u32 = 1 << 1;
    /// Flag: the partition can be rung.
    pub const HAS_BELL: u32 = 1 << 2;
    /// Flag: the partition can ring another.
    pub const RINGS: u32 = 1 << 3;
}

/// The protocol by which a partition's image starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// PVH: EBX points to Xen's `hvm_start_info`.
    Pvh,
    /// Linux's 32-bit boot protocol: ESI points to its boot parameters.
    Linux,
}

/// I/O ports that a partition's ACPI tables name, and the hypervisor answers.
pub mod port {
    /// First port of the serial port COM1.
    pub const COM1: u16 = 0x3f8;
    /// How many it has.
    pub const COM1_PORTS: u8 = 8;
    /// The ACPI reset register (ACPI 6.5, 4.8.3.6).
    pub const RESET: u16 = 0xcf9;
    /// What starts the partition again when it is written there.
    pub const RESET_VALUE: u8 = 0x06;
    /// The ACPI sleep control register (4.8.3.7).
    pub const SLEEP_CONTROL: u16 = 0x604;
    /// The ACPI sleep status register: no sleep ends by it.
    pub const SLEEP_STATUS: u16 = 0x605;
    /// The type of the sleep state S5, "soft off".
    pub const SOFT_OFF: u8 = 5;
    /// What stops the partition when it is written to [`SLEEP_CONTROL`]: the type in bits 4 to 2, and bit 5.
    pub const SLEEP_VALUE: u8 = SOFT_OFF << 2 | 1 << 5;
}
