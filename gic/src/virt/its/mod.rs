//! The virtual Interrupt Translation Service of a partition with devices that signal by message (IHI 0069H, chapter 5).
//!
//! The guest writes commands into its own memory; they are read one by one, checked, and change the [translations](Translation) here.
//! What the physical ITS must know of it goes there as a [`Change`]: the partition's devices have the same DeviceIDs inside and outside,
//! its n-th LPI is its n-th physical LPI, and each of its collections is a physical one, so that every command leads to at most a few
//! physical ones. The guest's device, collection and translation tables stay unused: nothing is believed that lies in its memory.
//!
//! # Bounds
//! [`Vgic::run_commands`](super::Vgic::run_commands) stops after [`STEPS`] steps, in the middle of a command if need be, and goes on there
//! when it is called again. A step has at most two [`Change`]s.

mod commands;
mod frame;

pub use frame::FRAME_BYTES;
pub(super) use frame::Part;

use super::interrupt::NOBODY;
use crate::its_command::{Command, KINDS};
use model::its::VirtualIts;
use model::partition::MOST_VCPUS;
use model::{IntId, VcpuId};

/// Collections of a virtual ITS, which keeps them itself (`GITS_TYPER.HCC`).
pub const COLLECTIONS: u16 = VirtualIts::COLLECTIONS;
/// Bits of an EventID: each device has up to 64 interrupts.
pub const EVENT_BITS: u8 = 6;
/// Steps of [`run_commands`](super::Vgic::run_commands).
pub const STEPS: u32 = 16;

/// What the physical ITS has to do. Devices are the partition's own; LPIs and collections are physical ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A device gets the translation table number `slot`, or loses it.
    Device {
        /// DeviceID.
        device: u32,
        /// The system's number of its table.
        slot: u16,
        /// False takes it away.
        mapped: bool,
    },
    /// An event gets its LPI.
    Map {
        /// DeviceID.
        device: u32,
        /// EventID.
        event: u16,
        /// The physical LPI.
        lpi: IntId,
        /// The physical collection.
        collection: u16,
    },
    /// An event goes to another collection.
    Move {
        /// DeviceID.
        device: u32,
        /// EventID.
        event: u16,
        /// The physical collection.
        collection: u16,
    },
    /// An event's LPI is signalled from now on, or not.
    Enable {
        /// DeviceID.
        device: u32,
        /// EventID.
        event: u16,
        /// The physical LPI.
        lpi: IntId,
        /// The physical collection that it is in.
        collection: u16,
        /// False: what arrives stays pending.
        enabled: bool,
    },
    /// An event's LPI is not pending any more.
    Clear {
        /// DeviceID.
        device: u32,
        /// EventID.
        event: u16,
        /// The physical collection that it is in.
        collection: u16,
    },
    /// An event has no LPI any more, and what was pending of it is gone.
    Discard {
        /// DeviceID.
        device: u32,
        /// EventID.
        event: u16,
        /// The physical collection that it was in.
        collection: u16,
    },
    /// A collection goes to the physical CPU that runs `cpu`.
    Collect {
        /// The physical collection.
        collection: u16,
        /// A virtual CPU of the partition.
        cpu: VcpuId,
    },
}

impl Change {
    /// The virtual CPU that it names; else the first one.
    pub const fn cpu(&self) -> VcpuId {
        match self {
            Self::Collect { cpu, .. } => *cpu,
            _ => VcpuId::new(0),
        }
    }
}

/// The partition's memory as its ITS reads it.
pub trait Memory {
    /// The doubleword at `ipa`, a multiple of 8; `None` when that is not the partition's RAM.
    fn read(&self, ipa: u64) -> Option<u64>;
}

/// Which event an LPI belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    device: u32,
    event: u16,
    collection: u16,
    mapped: bool,
}

impl Translation {
    /// An LPI without an event.
    pub const NONE: Self = Self {
        device: 0,
        event: 0,
        collection: 0,
        mapped: false,
    };
}

/// A device that the guest has given a translation table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    device: u32,
    /// Bits of its EventIDs; 0 when the place is free.
    bits: u8,
}

impl Device {
    /// A free place.
    pub const NONE: Self = Self { device: 0, bits: 0 };
}

/// What a redistributor has of LPIs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Redistributor {
    /// `GICR_CTLR.EnableLPIs`.
    pub(super) enabled: bool,
    /// `GICR_PENDBASER`. Only kept: what is pending is known here.
    pub(super) pending: u64,
}

/// State of a virtual ITS.
#[derive(Debug)]
pub struct Its {
    config: Option<&'static VirtualIts>,
    translations: &'static mut [Translation],
    devices: &'static mut [Device],
    /// The virtual CPU of each collection, or [`NOBODY`].
    collections: [u8; COLLECTIONS as usize],
    redistributors: [Redistributor; MOST_VCPUS],
    /// `GICR_PROPBASER`, one for all, as it must be (6.1.2).
    pub(super) properties: u64,
    /// `GITS_CTLR.Enabled`.
    enabled: bool,
    /// `GITS_CBASER`, `GITS_CREADR`, `GITS_CWRITER`.
    queue: u64,
    read: u64,
    write: u64,
    /// `GITS_BASER0`. Only kept.
    table: u64,
    /// The queue cannot be read: commands wait until the guest asks for a retry.
    stalled: bool,
    /// The command that was left unfinished, as it was read.
    begun: Option<Command>,
    /// How far it has come.
    progress: usize,
    /// Commands that were refused, by kind.
    refused: [u32; KINDS.len()],
}

impl Its {
    /// No ITS.
    pub(super) fn absent() -> Self {
        Self::of(None, &mut [], &mut [])
    }

    /// An ITS as after reset. `translations` has an entry for each LPI of `config`, and `devices` one for each device table; what is missing
    /// behaves as if the hardware did not have it.
    pub fn new(
        config: &'static VirtualIts,
        translations: &'static mut [Translation],
        devices: &'static mut [Device],
    ) -> Self {
        Self::of(Some(config), translations, devices)
    }

    fn of(
        config: Option<&'static VirtualIts>,
        translations: &'static mut [Translation],
        devices: &'static mut [Device],
    ) -> Self {
        translations.fill(Translation::NONE);
        devices.fill(Device::NONE);
        Self {
            config,
            translations,
            devices,
            collections: [NOBODY; COLLECTIONS as usize],
            redistributors: [Redistributor {
                enabled: false,
                pending: 0,
            }; MOST_VCPUS],
            properties: 0,
            enabled: false,
            queue: 0,
            read: 0,
            write: 0,
            table: 0,
            stalled: false,
            begun: None,
            progress: 0,
            refused: [0; KINDS.len()],
        }
    }

    /// Everything as after reset, but the count of what was refused.
    fn reset(&mut self) {
        let translations = core::mem::take(&mut self.translations);
        let devices = core::mem::take(&mut self.devices);
        *self = Self {
            refused: self.refused,
            ..Self::of(self.config, translations, devices)
        };
    }

    /// The current command will not go on.
    fn abandon(&mut self) {
        self.begun = None;
        self.progress = 0;
    }

    /// The place of a device that has a table.
    fn device_place(&self, device: u32) -> Option<usize> {
        let has_table = |one: &Device| one.bits != 0 && one.device == device;
        self.devices.iter().position(has_table)
    }

    /// Which LPI an event has, counted from 0.
    fn find(&self, device: u32, event: u32) -> Option<usize> {
        self.translations
            .iter()
            .position(|one| one.mapped && one.device == device && u32::from(one.event) == event)
    }

    /// True when LPI `index` has an event.
    pub(super) fn is_mapped(&self, index: usize) -> bool {
        self.translations.get(index).is_some_and(|one| one.mapped)
    }

    /// The event of LPI `index`: DeviceID, EventID, physical collection.
    pub(super) fn event(&self, index: usize) -> Option<(u32, u16, u16)> {
        let one = self.translations.get(index).filter(|one| one.mapped)?;
        let collection = self.physical_collection(one.collection);
        Some((one.device, one.event, collection))
    }

    /// The virtual CPU that LPI `index` is collected at, or [`NOBODY`].
    pub(super) fn target(&self, index: usize) -> Option<u8> {
        let one = self.translations.get(index).filter(|one| one.mapped)?;
        self.collections.get(usize::from(one.collection)).copied()
    }

    pub(super) fn first_lpi(&self) -> u32 {
        let first = self.config.map(VirtualIts::first_lpi);
        first.map_or(IntId::FIRST_LPI, IntId::get)
    }

    /// The redistributor of a virtual CPU; `None` where there is no ITS.
    pub(super) fn redistributor(&mut self, cpu: VcpuId) -> Option<&mut Redistributor> {
        self.config?;
        self.redistributors.get_mut(usize::from(cpu.get()))
    }

    /// `GICR_CTLR.EnableLPIs` of a virtual CPU.
    pub(super) fn enables_lpis(&self, cpu: u8) -> bool {
        let redistributor = self.redistributors.get(usize::from(cpu));
        redistributor.is_some_and(|one| one.enabled)
    }

    /// `GICR_PENDBASER` of a virtual CPU.
    pub(super) fn pending_table(&self, cpu: VcpuId) -> u64 {
        let redistributor = self.redistributors.get(usize::from(cpu.get()));
        redistributor.map_or(0, |one| one.pending)
    }

    /// The device gets the partition's table number `place`, or loses it.
    fn table_change(&self, device: u32, place: usize, mapped: bool) -> Change {
        let first = self.config.map_or(0, |config| config.first_table());
        Change::Device {
            device,
            slot: first.wrapping_add(place as u16),
            mapped,
        }
    }

    /// The physical number of a collection.
    fn physical_collection(&self, collection: u16) -> u16 {
        let first = self.config.map_or(0, |config| config.first_collection());
        first.wrapping_add(collection)
    }
}
