//! Driver of the Interrupt Translation Service (Arm IHI 0069H, chapter 5 and 12.19).
//!
//! The tables lie in memory that the system sized when it was built. They are not shared through caches: what this driver writes is cleaned, and what the
//! hardware writes is never read.
//!
//! Limits: one ITS; flat device and collection tables of 64 KiB each, so DeviceIDs up to 8,191 where an entry takes 8 bytes; table entries of an event
//! of at most 16 bytes.

use super::lpi::PROPERTY_BYTES;
use super::mmio::Frame;
use super::wait::wait_until;
use super::{PRIORITY, sysreg};
use crate::GicError;
use crate::its_command::{COMMAND_BYTES, Command};
use crate::virt::its::{Change, EVENT_BITS};
use model::IntId;
use model::its::VirtualIts;

/// Registers (12.19).
mod gits {
    pub(super) const CTLR: usize = 0x0000;
    pub(super) const TYPER: usize = 0x0008;
    pub(super) const CBASER: usize = 0x0080;
    pub(super) const CWRITER: usize = 0x0088;
    pub(super) const CREADR: usize = 0x0090;
    pub(super) const BASER: usize = 0x0100;
    /// How many `BASER` there are.
    pub(super) const BASERS: usize = 8;
    /// Bytes of the control frame. The other one is for devices.
    pub(super) const SIZE: usize = 0x1_0000;

    /// `CTLR.Enabled`.
    pub(super) const ENABLED: u32 = 1;
    /// `CTLR.Quiescent`.
    pub(super) const QUIESCENT: u32 = 1 << 31;
    /// `TYPER.PTA`: a redistributor is named by its address, else by its processor number.
    pub(super) const BY_ADDRESS: u64 = 1 << 19;
    /// `CREADR`: where the hardware reads next.
    pub(super) const PLACE: u64 = 0xf_ffe0;
    /// `CBASER` and `BASER`: in use, memory that is not cached.
    pub(super) const VALID_UNCACHED: u64 = 1 << 63 | 1 << 59;
}

/// The registers of an ITS, so that tests can play one.
pub trait Registers {
    /// A 32-bit register.
    fn read(&self, offset: usize) -> u32;
    /// Writes a 32-bit register.
    fn write(&self, offset: usize, value: u32);
    /// A 64-bit register.
    fn read64(&self, offset: usize) -> u64;
    /// Writes a 64-bit register.
    fn write64(&self, offset: usize, value: u64);
}

/// The registers of the real one.
#[derive(Clone, Copy)]
pub struct ControlFrame(Frame<{ gits::SIZE }>);

impl Registers for ControlFrame {
    fn read(&self, offset: usize) -> u32 {
        self.0.read(offset)
    }
    fn write(&self, offset: usize, value: u32) {
        self.0.write(offset, value);
    }
    fn read64(&self, offset: usize) -> u64 {
        self.0.read64(offset)
    }
    fn write64(&self, offset: usize, value: u64) {
        self.0.write64(offset, value);
    }
}

/// Where the parts of an [`ItsMemory`] lie.
mod part {
    pub(super) const DEVICES: usize = 0;
    pub(super) const COLLECTIONS: usize = 0x1_0000;
    pub(super) const QUEUE: usize = 0x2_0000;
    pub(super) const QUEUE_BYTES: usize = 0x1000;
    pub(super) const PROPERTIES: usize = QUEUE + QUEUE_BYTES;
    pub(super) const TRANSLATIONS: usize = PROPERTIES + super::PROPERTY_BYTES;
    /// Bytes of the device table, and of the collection table.
    pub(super) const TABLE_BYTES: usize = 0x1_0000;
    /// Bytes of the translation table of a device.
    pub(super) const TRANSLATION_BYTES: usize = super::EVENT_BYTES << super::EVENT_BITS;
}

/// Most bytes of an event in a translation table (`GITS_TYPER.ITT_entry_size`).
const EVENT_BYTES: usize = 16;
/// Physical collections: those of all shares.
pub const MOST_COLLECTIONS: usize = VirtualIts::SHARES as usize * VirtualIts::COLLECTIONS as usize;

/// Memory for the tables of an ITS with `TABLES` translation tables, for its command queue and for the configuration of LPIs.
#[repr(C, align(0x10000))]
pub struct ItsMemory<const TABLES: usize> {
    fixed: [u8; part::TRANSLATIONS],
    translations: [[u8; part::TRANSLATION_BYTES]; TABLES],
}

impl<const TABLES: usize> ItsMemory<TABLES> {
    /// Empty tables.
    pub const fn new() -> Self {
        Self {
            fixed: [0; part::TRANSLATIONS],
            translations: [[0; part::TRANSLATION_BYTES]; TABLES],
        }
    }
}

impl<const TABLES: usize> Default for ItsMemory<TABLES> {
    fn default() -> Self {
        Self::new()
    }
}

/// An ITS. Used by one CPU at a time.
pub struct Its<R> {
    registers: R,
    /// The part of its memory that the driver writes, and the physical address of all of it.
    memory: Frame<{ part::TRANSLATIONS }>,
    physical: u64,
    /// Translation tables in it.
    tables: u16,
    /// DeviceIDs that the device table has entries for.
    devices: u64,
    /// The redistributor of each collection, as commands name it.
    targets: [u64; MOST_COLLECTIONS],
    /// Where the next command goes.
    write: u64,
}

impl Its<ControlFrame> {
    /// The ITS with its control frame at `frame`, and memory for its tables that the hardware sees at `physical`.
    ///
    /// # Safety
    /// There really is an ITS, whose control frame is mapped at `frame`, as Device memory, for ever; nobody else drives it, and nobody else uses
    /// `memory`, which is at `physical` for the hardware.
    pub unsafe fn new<const TABLES: usize>(
        frame: usize,
        memory: *mut ItsMemory<TABLES>,
        physical: u64,
    ) -> Self {
        // SAFETY: the caller vouches for the frame.
        let registers = ControlFrame(unsafe { Frame::new(frame) });
        // SAFETY: the caller vouches for the memory.
        unsafe { Self::with_registers(registers, memory, physical) }
    }
}

impl<R: Registers> Its<R> {
    /// [`new`](Its::new) with any registers.
    ///
    /// # Safety
    /// As for [`new`](Its::new), of the memory.
    pub(super) unsafe fn with_registers<const TABLES: usize>(
        registers: R,
        memory: *mut ItsMemory<TABLES>,
        physical: u64,
    ) -> Self {
        Self {
            registers,
            // SAFETY: the caller vouches for the memory, of which this is the beginning.
            memory: unsafe { Frame::new(memory as usize) },
            physical,
            tables: if TABLES < 0xffff {
                TABLES as u16
            } else {
                0xffff
            },
            devices: 0,
            targets: [0; MOST_COLLECTIONS],
            write: 0,
        }
    }

    /// Brings the ITS up, on the boot CPU: no device is mapped, whatever firmware had there.
    ///
    /// # Errors
    /// It does not answer, or wants other tables than it can have.
    pub fn init(&mut self) -> Result<(), GicError> {
        let registers = &self.registers;
        registers.write(gits::CTLR, 0);
        if !wait_until(|| registers.read(gits::CTLR) & gits::QUIESCENT != 0) {
            return Err(GicError::ItsBusy);
        }
        let kind = registers.read64(gits::TYPER);
        let event_bytes = (kind >> 4 & 0xf) + 1;
        let event_bits = (kind >> 8 & 0x1f) + 1;
        if kind & 1 == 0 || event_bytes > EVENT_BYTES as u64 || event_bits < EVENT_BITS.into() {
            return Err(GicError::ItsUnfit(kind));
        }
        sysreg::clean(self.memory.base(), part::TRANSLATIONS);
        let held = kind >> 24 & 0xff;
        let mut collections = held;
        self.devices = 0;
        for index in 0..gits::BASERS {
            let offset = gits::BASER + index * 8;
            // The type of a table is fixed (12.19.1): 1 for devices, 4 for collections. Others are for virtual LPIs, which are not used.
            match registers.read64(offset) >> 56 & 7 {
                1 => self.devices = self.give_table(offset, part::DEVICES)?,
                4 => collections = held + self.give_table(offset, part::COLLECTIONS)?,
                _ => registers.write64(offset, 0),
            }
        }
        // Those of the partitions that have a share: some chips hold a few dozen collections and have no table for more.
        let shares = self.tables.div_ceil(VirtualIts::TABLES);
        if self.devices == 0 || collections < u64::from(shares * VirtualIts::COLLECTIONS) {
            return Err(GicError::ItsUnfit(kind));
        }
        let device_bits = (kind >> 13 & 0x1f) + 1;
        self.devices = self.devices.min(1 << device_bits);
        let queue = self.physical + part::QUEUE as u64;
        let pages = part::QUEUE_BYTES as u64 / 4096 - 1;
        registers.write64(gits::CBASER, gits::VALID_UNCACHED | queue | pages);
        registers.write64(gits::CWRITER, 0);
        self.write = 0;
        registers.write(gits::CTLR, gits::ENABLED);
        Ok(())
    }

    /// Gives the ITS 64 KiB for a table; returns how many entries fit. The smallest pages are asked for; the hardware may insist on others.
    fn give_table(&self, offset: usize, part: usize) -> Result<u64, GicError> {
        let address = self.physical + part as u64;
        let entry = (self.registers.read64(offset) >> 48 & 0x1f) + 1;
        let mut page_size = 0;
        for _ in 0..2 {
            // 4, 16 or 64 KiB.
            let pages = part::TABLE_BYTES as u64 >> (12 + 2 * page_size.min(2));
            let wanted = gits::VALID_UNCACHED | address | page_size << 8 | (pages - 1);
            self.registers.write64(offset, wanted);
            let found = self.registers.read64(offset);
            if found >> 63 != 0 && found & 0xffff_ffff_f3ff == wanted & 0xffff_ffff_f3ff {
                return Ok(part::TABLE_BYTES as u64 / entry);
            }
            page_size = found >> 8 & 3;
        }
        Err(GicError::ItsTable(self.registers.read64(offset)))
    }

    /// True when commands name a redistributor by its address.
    pub fn targets_by_address(&self) -> bool {
        self.registers.read64(gits::TYPER) & gits::BY_ADDRESS != 0
    }

    /// Physical address of the configuration of LPIs, for every redistributor.
    pub const fn properties(&self) -> u64 {
        self.physical + part::PROPERTIES as u64
    }

    /// Does what a virtual ITS asks for. `target` is the redistributor of the CPU that a [`Change::Collect`] names. False when the
    /// hardware does not answer or has no place for it; then nothing is mapped that was not before.
    pub fn change(&mut self, change: Change, target: u64) -> bool {
        match change {
            Change::Device {
                device,
                slot,
                mapped,
            } => {
                if u64::from(device) >= self.devices || slot >= self.tables {
                    return false;
                }
                let table = part::TRANSLATIONS + usize::from(slot) * part::TRANSLATION_BYTES;
                self.execute(&[Command::Mapd {
                    device,
                    bits: EVENT_BITS,
                    table: self.physical + table as u64,
                    valid: mapped,
                }])
            }
            Change::Map {
                device,
                event,
                lpi,
                collection,
            } => {
                self.set_properties(lpi, false);
                self.of_event(
                    Command::Mapti {
                        device,
                        event: event.into(),
                        intid: lpi.get(),
                        collection,
                    },
                    collection,
                )
            }
            Change::Move {
                device,
                event,
                collection,
            } => self.of_event(
                Command::Movi {
                    device,
                    event: event.into(),
                    collection,
                },
                collection,
            ),
            Change::Enable {
                device,
                event,
                lpi,
                collection,
                enabled,
            } => {
                self.set_properties(lpi, enabled);
                self.of_event(
                    Command::Inv {
                        device,
                        event: event.into(),
                    },
                    collection,
                )
            }
            Change::Clear {
                device,
                event,
                collection,
            } => self.of_event(
                Command::Clear {
                    device,
                    event: event.into(),
                },
                collection,
            ),
            Change::Discard {
                device,
                event,
                collection,
            } => self.of_event(
                Command::Discard {
                    device,
                    event: event.into(),
                },
                collection,
            ),
            Change::Collect { collection, .. } => {
                let Some(place) = self.targets.get_mut(usize::from(collection)) else {
                    return false;
                };
                *place = target;
                let valid = true;
                let command = Command::Mapc {
                    collection,
                    target,
                    valid,
                };
                self.of_event(command, collection)
            }
        }
    }

    /// A command, and the wait until the redistributor of a collection knows of it.
    fn of_event(&mut self, command: Command, collection: u16) -> bool {
        let target = self.targets.get(usize::from(collection)).copied();
        target.is_some_and(|target| self.execute(&[command, Command::Sync { target }]))
    }

    /// The byte of an LPI in the configuration table (6.1.2).
    fn set_properties(&self, lpi: IntId, enabled: bool) {
        let index = lpi.get().wrapping_sub(IntId::FIRST_LPI) as usize;
        if index < PROPERTY_BYTES {
            let offset = part::PROPERTIES + index;
            self.memory
                .write8(offset, PRIORITY & 0xfc | u8::from(enabled));
            sysreg::clean(self.memory.base() + offset, 1);
        }
    }

    /// Has commands executed, and waits until they are.
    fn execute(&mut self, commands: &[Command]) -> bool {
        for command in commands {
            let place = part::QUEUE + self.write as usize;
            for (index, word) in command.encode().into_iter().enumerate() {
                self.memory.write64(place + index * 8, word);
            }
            sysreg::clean(self.memory.base() + place, COMMAND_BYTES as usize);
            self.write = (self.write + COMMAND_BYTES) % part::QUEUE_BYTES as u64;
        }
        self.registers.write64(gits::CWRITER, self.write);
        wait_until(|| self.registers.read64(gits::CREADR) & gits::PLACE == self.write)
    }
}

#[cfg(test)]
mod tests;
