//! What each command does, and whether it may.

use super::{COLLECTIONS, Change, Device, EVENT_BITS, Memory, STEPS, Translation};
use crate::its_command::{Command, KINDS, UNKNOWN};
use crate::virt::interrupt::{Flags, NOBODY};
use crate::virt::lpi::lpi_number;
use crate::virt::{Calls, Hardware, VcpuSet, Vgic};
use model::{IntId, VcpuId};

/// What became of a command.
enum Outcome {
    Done(VcpuSet),
    /// It goes on where `progress` says.
    Unfinished(VcpuSet),
    /// It names what is not there, or not the partition's.
    Refused,
}

impl From<Option<VcpuSet>> for Outcome {
    fn from(kicks: Option<VcpuSet>) -> Self {
        kicks.map_or(Self::Refused, Self::Done)
    }
}

/// Takes one of the steps that are left. False when there is none, or others who wait for the physical CPU come before all but the first.
fn takes_step(steps: &mut u32, caller: impl Calls) -> bool {
    let goes_on = *steps == STEPS || *steps != 0 && !caller.hardware().is_wanted();
    *steps -= u32::from(goes_on);
    goes_on
}

impl Vgic {
    /// True when the guest's queue holds commands that can be executed.
    pub fn has_commands(&self) -> bool {
        self.its.has_commands()
    }

    /// Commands of each kind that were refused since the partition was made.
    pub fn refused_commands(&self) -> [u32; KINDS.len()] {
        self.its.refused
    }

    /// Executes commands of the guest's queue, at most [`STEPS`] steps of them, and one where the physical CPU is
    /// [wanted](Hardware::is_wanted); what is left is for the next call. A command that is refused has no effect, and the queue goes on behind it
    /// (IHI 0069H 5.3.2 leaves it open). Returns the virtual CPUs to kick;
    /// [`flush`](Self::flush) before entering the guest.
    pub fn run_commands(&mut self, memory: &impl Memory, caller: impl Calls) -> VcpuSet {
        let mut kicks = VcpuSet::EMPTY;
        let mut steps = STEPS;
        while self.its.has_commands() && takes_step(&mut steps, caller) {
            // A command that was begun ends as it was, whatever stands in the queue now.
            let command = match self.its.begun.take() {
                Some(begun) => Some(begun),
                None => match self.read_command(memory) {
                    Some(words) => Command::decode(words),
                    None => {
                        self.its.stalled = true;
                        break;
                    }
                },
            };
            let outcome = match command {
                Some(command) => self.execute(command, &mut steps, memory, caller),
                None => Outcome::Refused,
            };
            match outcome {
                Outcome::Unfinished(more) => {
                    self.its.begun = command;
                    kicks |= more;
                }
                Outcome::Done(more) => {
                    kicks |= more;
                    self.its.advance();
                }
                Outcome::Refused => {
                    let kind = command.map_or(UNKNOWN, |command| command.kind());
                    if let Some(count) = self.its.refused.get_mut(kind) {
                        *count = count.saturating_add(1);
                    }
                    self.its.advance();
                }
            }
        }
        kicks
    }

    /// The doublewords of the next command; `None` when they are not in the partition's RAM.
    fn read_command(&self, memory: &impl Memory) -> Option<[u64; 4]> {
        let at = self.its.next_command();
        let word = |index: u64| memory.read(at + index * 8);
        Some([word(0)?, word(1)?, word(2)?, word(3)?])
    }

    fn execute(
        &mut self,
        command: Command,
        steps: &mut u32,
        memory: &impl Memory,
        caller: impl Calls,
    ) -> Outcome {
        match command {
            // Every command has taken effect when the next one is read.
            Command::Sync { .. } => Outcome::Done(VcpuSet::EMPTY),
            // What is pending here follows its collection.
            Command::Movall { from, to } => {
                let known = self.processor(from).is_some() && self.processor(to).is_some();
                known.then_some(VcpuSet::EMPTY).into()
            }
            Command::Mapd {
                device,
                bits,
                valid: true,
                ..
            } => self.map_device(device, bits, caller).into(),
            Command::Mapd {
                device,
                valid: false,
                ..
            } => self.unmap_device(device, steps, caller),
            Command::Mapc {
                collection,
                target,
                valid,
            } => self
                .map_collection(collection, target, valid, caller)
                .into(),
            Command::Mapti {
                device,
                event,
                intid,
                collection,
            } => self
                .map_event(device, event, intid, collection, memory, caller)
                .into(),
            Command::Movi {
                device,
                event,
                collection,
            } => self.move_event(device, event, collection, caller).into(),
            Command::Int { device, event } => {
                let found = self.its.find(device, event);
                found
                    .map(|lpi| self.raise(lpi_number(lpi), caller.cpu()))
                    .into()
            }
            Command::Clear { device, event } => self.clear_event(device, event, caller).into(),
            Command::Inv { device, event } => {
                let found = self.its.find(device, event);
                found
                    .map(|lpi| self.configure_lpi(lpi, memory, caller))
                    .into()
            }
            Command::Invall { collection } => {
                self.configure_collection(collection, steps, memory, caller)
            }
            Command::Discard { device, event } => {
                let found = self.its.find(device, event);
                found.map(|lpi| self.discard(lpi, caller)).into()
            }
        }
    }

    /// The virtual CPU of an RDbase: its processor number from bit 16 on (`GITS_TYPER.PTA` = 0).
    fn processor(&self, target: u64) -> Option<u8> {
        let number = target >> 16;
        (number < self.vcpus.len() as u64).then_some(number as u8)
    }

    fn map_device(&mut self, device: u32, bits: u8, caller: impl Calls) -> Option<VcpuSet> {
        let mut ranges = self.its.config?.devices.iter();
        let owned = ranges.any(|range| range.contains(device));
        // Mapping it again would take the events that it has away unseen.
        if !owned || bits > EVENT_BITS || self.its.device_place(device).is_some() {
            return None;
        }
        let free = self.its.devices.iter().position(|one| one.bits == 0)?;
        let change = self.its.table_change(device, free, true);
        if !caller.hardware().translate(change) {
            return None;
        }
        *self.its.devices.get_mut(free)? = Device { device, bits };
        Some(VcpuSet::EMPTY)
    }

    fn unmap_device(&mut self, device: u32, steps: &mut u32, caller: impl Calls) -> Outcome {
        let Some(place) = self.its.device_place(device) else {
            return Outcome::Refused;
        };
        let fits = |one: &Translation| one.device == device;
        let outcome = self.for_each_lpi(fits, steps, caller, |vgic, lpi| vgic.discard(lpi, caller));
        if let Outcome::Done(_) = outcome {
            let change = self.its.table_change(device, place, false);
            caller.hardware().translate(change);
            if let Some(place) = self.its.devices.get_mut(place) {
                *place = Device::NONE;
            }
        }
        outcome
    }

    /// Does something with every mapped LPI that fits, from where the command has come to, one step each.
    fn for_each_lpi(
        &mut self,
        fits: impl Fn(&Translation) -> bool,
        steps: &mut u32,
        caller: impl Calls,
        mut act: impl FnMut(&mut Self, usize) -> VcpuSet,
    ) -> Outcome {
        let mut kicks = VcpuSet::EMPTY;
        // One is done in any case: whoever comes back gets on.
        let mut goes_on = true;
        while let Some(translation) = self.its.translations.get(self.its.progress) {
            if translation.mapped && fits(translation) {
                if !goes_on {
                    return Outcome::Unfinished(kicks);
                }
                kicks |= act(self, self.its.progress);
                goes_on = takes_step(steps, caller);
            }
            self.its.progress += 1;
        }
        Outcome::Done(kicks)
    }

    fn map_collection(
        &mut self,
        collection: u16,
        target: u64,
        valid: bool,
        caller: impl Calls,
    ) -> Option<VcpuSet> {
        let cpu = match valid {
            true => self.processor(target)?,
            false => NOBODY,
        };
        *self.its.collections.get_mut(usize::from(collection))? = cpu;
        if valid {
            let change = Change::Collect {
                collection: self.its.physical_collection(collection),
                cpu: VcpuId::new(cpu),
            };
            caller.hardware().translate(change);
        }
        Some(self.place_lpis(caller.hardware()))
    }

    fn map_event(
        &mut self,
        device: u32,
        event: u32,
        intid: u32,
        collection: u16,
        memory: &impl Memory,
        caller: impl Calls,
    ) -> Option<VcpuSet> {
        let table = self.its.devices.get(self.its.device_place(device)?)?;
        let lpi = intid.checked_sub(IntId::FIRST_LPI)? as usize;
        let taken = self.its.find(device, event).is_some();
        if event >> table.bits != 0 || collection >= COLLECTIONS || taken {
            return None;
        }
        self.its.translations.get(lpi).filter(|one| !one.mapped)?;
        let event = event as u16;
        let change = Change::Map {
            device,
            event,
            lpi: self.physical(IntId::new(intid)),
            collection: self.its.physical_collection(collection),
        };
        if !caller.hardware().translate(change) {
            return None;
        }
        *self.its.translations.get_mut(lpi)? = Translation {
            device,
            event,
            collection,
            mapped: true,
        };
        Some(self.place_lpi(lpi, caller.hardware()) | self.configure_lpi(lpi, memory, caller))
    }

    fn move_event(
        &mut self,
        device: u32,
        event: u32,
        collection: u16,
        caller: impl Calls,
    ) -> Option<VcpuSet> {
        let lpi = self.its.find(device, event)?;
        if collection >= COLLECTIONS {
            return None;
        }
        let change = Change::Move {
            device,
            event: event as u16,
            collection: self.its.physical_collection(collection),
        };
        if !caller.hardware().translate(change) {
            return None;
        }
        self.its.translations.get_mut(lpi)?.collection = collection;
        Some(self.place_lpi(lpi, caller.hardware()))
    }

    fn clear_event(&mut self, device: u32, event: u32, caller: impl Calls) -> Option<VcpuSet> {
        let lpi = self.its.find(device, event)?;
        let (device, event, collection) = self.its.event(lpi)?;
        caller.hardware().translate(Change::Clear {
            device,
            event,
            collection,
        });
        Some(self.clear_pending(lpi_number(lpi), VcpuId::new(0), caller))
    }

    /// `INVALL`, a few LPIs at a time.
    fn configure_collection(
        &mut self,
        collection: u16,
        steps: &mut u32,
        memory: &impl Memory,
        caller: impl Calls,
    ) -> Outcome {
        if collection >= COLLECTIONS {
            return Outcome::Refused;
        }
        let fits = |one: &Translation| one.collection == collection;
        self.for_each_lpi(fits, steps, caller, |vgic, lpi| {
            vgic.configure_lpi(lpi, memory, caller)
        })
    }

    /// Takes an LPI from its event, with all that is pending of it.
    fn discard(&mut self, lpi: usize, caller: impl Calls) -> VcpuSet {
        self.discard_physical(lpi, caller.hardware());
        if let Some(interrupt) = self.lpis.get_mut(lpi) {
            interrupt.flags -= Flags::ENABLED;
        }
        self.clear_pending(lpi_number(lpi), VcpuId::new(0), caller)
            | self.place_lpi(lpi, caller.hardware())
    }

    fn discard_physical(&mut self, lpi: usize, hardware: &impl Hardware) {
        let Some((device, event, collection)) = self.its.event(lpi) else {
            return;
        };
        if let Some(one) = self.its.translations.get_mut(lpi) {
            *one = Translation::NONE;
        }
        hardware.translate(Change::Discard {
            device,
            event,
            collection,
        });
    }

    /// Everything as after reset, here and in the physical ITS: no device of the partition signals until its guest has mapped it again.
    pub(in crate::virt) fn reset_its(&mut self, hardware: &impl Hardware) {
        if self.its.config.is_none() {
            return;
        }
        for lpi in 0..self.its.translations.len() {
            self.discard_physical(lpi, hardware);
        }
        for (place, device) in self.its.devices.iter().enumerate() {
            if device.bits != 0 {
                hardware.translate(self.its.table_change(device.device, place, false));
            }
        }
        for collection in 0..COLLECTIONS {
            hardware.translate(Change::Collect {
                collection: self.its.physical_collection(collection),
                cpu: VcpuId::new(0),
            });
        }
        self.its.reset();
    }
}
