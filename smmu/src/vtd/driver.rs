//! The driver: a remapping unit from the first register write on.

use core::ops::Range;

use model::iommu::{OwnedStreams, Streams};
use model::{StreamId, Vmid};

use super::context_table::{self, ContextTables};
use super::fault_record::FaultRecords;
use super::features::Features;
use super::interrupt_table::{ENTRIES, InterruptTable};
use super::queue::{Command, Queue};
use super::register_map::*;
use crate::memory::{SharedMemory, publish};
use crate::{Domain, Failure, Fault, Iommu, IommuError, RegisterFrame};

/// Pages of [`SharedMemory`] that a unit needs on whose streams these owners have a claim. With no owner it needs them, too: only tables deny.
pub const fn pages(owned: &[OwnedStreams]) -> usize {
    context_table::pages(owned) + Queue::PAGES + InterruptTable::PAGES
}

/// How often the records are emptied that are not empty at once.
const DISCARDS: u32 = 8;
/// Messages to an x2APIC: the address without a destination, and where that has its lowest byte.
const MESSAGE: u32 = 0xfee0_0000;
const DESTINATION: u32 = 12;
/// Delivery as a non-maskable interrupt.
const NON_MASKABLE: u32 = 4 << 8;

/// A remapping unit that translates DMA and interrupts.
pub struct VtD<'a, R> {
    registers: R,
    features: Features,
    contexts: ContextTables<'a>,
    interrupts: InterruptTable<'a>,
    queue: Queue<'a>,
    records: FaultRecords,
}

impl<'a, R: RegisterFrame> VtD<'a, R> {
    /// Turns translation on, whatever firmware left, with all streams denied everything and no interrupt allowed. Its tables take [`pages`]
    /// pages from the front of `memory`, which the unit reads coherently or the CPU does not cache. At no point does a stream reach more than
    /// firmware let it reach before.
    ///
    /// # Errors
    /// [`IommuError`]; what firmware allowed may be reachable still then.
    pub fn new(
        mut registers: R,
        owned: &[OwnedStreams],
        memory: &mut SharedMemory<'a>,
    ) -> Result<Self, IommuError> {
        let features = Features::read(&mut registers)?;
        let mut unit = Self {
            registers,
            features,
            contexts: ContextTables::new(owned, memory)?,
            interrupts: InterruptTable::new(memory)?,
            queue: Queue::new(memory, features.drains)?,
            records: FaultRecords::new(&features),
        };
        unit.records.silence(&mut unit.registers);
        unit.take_queue()?;
        unit.translate()?;
        unit.remap()?;
        unit.unprotect()?;
        unit.records.begin(&mut unit.registers);
        Ok(unit)
    }

    /// Gives an order, or has something on or off, and waits until GSTS says so. One at a time (11.4.4.1).
    fn command(&mut self, bit: u32, on: bool) -> Result<(), IommuError> {
        let now = self.registers.read(GSTS) & LASTING;
        let next = if on { now | bit } else { now & !bit };
        if next == now {
            return Ok(());
        }
        self.registers.write(GCMD, next);
        // WBF stands for as long as it is under way, the others from when they are done.
        let expected = if on && bit != WBF { bit } else { 0 };
        self.registers.wait_for(GSTS, bit, expected)
    }

    /// Our own invalidation queue in place of firmware's, which has to come to its end first.
    fn take_queue(&mut self) -> Result<(), IommuError> {
        if self.registers.read(GSTS) & QIE != 0 {
            let end = self.registers.read(IQT);
            self.registers.wait_for(IQH, u32::MAX, end)?;
            self.command(QIE, false)?;
        }
        self.registers.write(IQT, 0);
        let base = self.queue.base();
        self.registers.write_double(IQA, base.get());
        // An error that firmware's queue ended with would stop ours.
        self.registers.write(FSTS, ERRORS);
        self.command(QIE, true)
    }

    /// Devices' accesses go through our tables.
    fn translate(&mut self) -> Result<(), IommuError> {
        publish();
        if self.features.flushes_buffers {
            self.command(WBF, true)?;
        }
        let base = self.contexts.base();
        self.registers.write_double(RTADDR, base.get());
        self.command(SRTP, true)?;
        self.execute(&[Command::Contexts, Command::Translations])?;
        self.command(TE, true)
    }

    /// So do their interrupts, and those in the compatibility format, which name no entry, do not pass.
    fn remap(&mut self) -> Result<(), IommuError> {
        let base = self.interrupts.base();
        self.registers.write_double(IRTA, base.get());
        self.command(SIRTP, true)?;
        self.execute(&[Command::Interrupts])?;
        self.command(IRE, true)?;
        self.command(CFI, false)
    }

    /// What firmware protected until translation was on.
    fn unprotect(&mut self) -> Result<(), IommuError> {
        if !self.features.protected_regions {
            return Ok(());
        }
        let regions = self.registers.read(PMEN);
        self.registers.write(PMEN, regions & !EPM);
        self.registers.wait_for(PMEN, PRS, 0)
    }

    fn execute(&mut self, commands: &[Command]) -> Result<(), IommuError> {
        self.queue.execute(&mut self.registers, commands)
    }

    /// Has faults told by a non-maskable interrupt of the CPU with this x2APIC number.
    pub fn tell(&mut self, destination: u32) {
        let low = MESSAGE | (destination & 0xff) << DESTINATION;
        self.registers.write(FEDATA, NON_MASKABLE);
        self.registers.write(FEADDR, low);
        self.registers.write(FEUADDR, destination & !0xff);
        self.registers.write(FECTL, 0);
    }

    /// Lets `stream` raise `vector` of the CPU with the x2APIC number `destination` by naming entry `index`.
    ///
    /// # Errors
    /// [`IommuError::TooFew`] when there is no such entry, and what the hardware says.
    pub fn allow_interrupt(
        &mut self,
        index: u16,
        stream: StreamId,
        destination: u32,
        vector: u8,
    ) -> Result<(), IommuError> {
        if index >= ENTRIES || !self.interrupts.allow(index, stream, destination, vector) {
            return Err(IommuError::TooFew("interrupts"));
        }
        self.execute(&[Command::Interrupts])
    }

    /// Lets nobody raise what these entries allowed.
    ///
    /// # Errors
    /// What the hardware says: it may be raised still then.
    pub fn refuse_interrupts(&mut self, entries: Range<u16>) -> Result<(), IommuError> {
        for index in entries {
            self.interrupts.refuse(index);
        }
        self.execute(&[Command::Interrupts])
    }
}

impl<R: RegisterFrame> Iommu for VtD<'_, R> {
    fn attach(&mut self, streams: Streams, domain: &Domain) -> Result<(), IommuError> {
        if !(32..=self.features.address_bits.min(48)).contains(&domain.ipa_bits) {
            return Err(IommuError::IpaBits(domain.ipa_bits));
        }
        if u32::from(domain.vmid.get()) >= self.features.domains {
            return Err(IommuError::TooFew("domains"));
        }
        self.contexts.attach(streams, domain)?;
        // Units with "caching mode" keep entries that do not count, too.
        let forget = [Command::Contexts, Command::TranslationsOf(domain.vmid)];
        let done = self.execute(&forget);
        if done.is_err() {
            // Nothing more can be done than to make the tables deny them again.
            let _ = self.contexts.detach(streams);
        }
        done
    }

    fn detach(&mut self, streams: Streams) -> Result<(), IommuError> {
        let owner = self.contexts.detach(streams);
        // Of streams that were not all one partition's, too: they are denied from here on.
        let translations = owner.map_or(Command::Translations, Command::TranslationsOf);
        let done = self.execute(&[Command::Contexts, translations]);
        owner.and(done)
    }

    fn invalidate(&mut self, vmid: Vmid) -> Result<(), IommuError> {
        self.execute(&[Command::TranslationsOf(vmid)])
    }

    fn mute(&mut self, streams: Streams) -> Result<(), IommuError> {
        self.contexts.mute(streams)?;
        self.execute(&[Command::Contexts])
    }

    fn next_fault(&mut self) -> Option<Fault> {
        self.records.take(&mut self.registers)
    }

    fn discard_faults(&mut self) -> Option<Failure> {
        let mut lost = None;
        for _ in 0..DISCARDS {
            if !self.records.discard(&mut self.registers) {
                return lost;
            }
            lost = Some(Failure::FaultsLost);
        }
        self.records.silence(&mut self.registers);
        Some(Failure::FaultsIgnored)
    }

    fn next_failure(&mut self) -> Option<Failure> {
        let lost = self.records.has_overflowed(&mut self.registers);
        lost.then_some(Failure::FaultsLost)
    }
}
