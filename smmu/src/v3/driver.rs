//! The driver: an SMMUv3 from the first register write on.

use model::Vmid;
use model::iommu::{OwnedStreams, Streams};

use super::command_queue::{Command, CommandQueue};
use super::deny::deny_all;
use super::event_queue::EventQueue;
use super::features::Features;
use super::register_map::*;
use super::stream_table::{self, StreamTable};
use crate::memory::{SharedMemory, publish};
use crate::{Domain, Failure, Fault, Iommu, IommuError, RegisterFrame};

/// Pages of [`SharedMemory`] that an SMMUv3 needs on whose streams these owners have a claim: its stream table and two queues. With no owner
/// it stays off, and needs none.
pub const fn pages(owned: &[OwnedStreams]) -> usize {
    if owned.is_empty() {
        return 0;
    }
    stream_table::pages(owned) + 2
}

/// How often an event queue is emptied that is not empty at once.
const DISCARDS: u32 = 8;

/// An SMMUv3 that translates.
pub struct SmmuV3<'a, R> {
    registers: R,
    features: Features,
    table: StreamTable<'a>,
    commands: CommandQueue<'a>,
    events: EventQueue<'a>,
    /// GERROR bits that were acknowledged and not yet told.
    untold: u32,
}

impl<'a, R: RegisterFrame> SmmuV3<'a, R> {
    /// A usual SMMUv3: see [`SmmuV3::with_page_1`].
    ///
    /// # Errors
    /// Its own.
    pub fn new(
        registers: R,
        owned: &[OwnedStreams],
        memory: &mut SharedMemory<'a>,
    ) -> Result<Self, IommuError> {
        Self::with_page_1(registers, owned, memory, PAGE_1)
    }

    /// Denies everything, whatever firmware left; then turns translation on for the streams of `owned`, all of them still denied. Its
    /// tables and queues take [`pages`] pages from the front of `memory`. The registers of page 1 are at offset `page_1`: 0 on a
    /// ThunderX2, whose page 1 does not answer (Cavium erratum 74).
    ///
    /// # Errors
    /// [`IommuError`]: the SMMU denies everything then, unless the error says that one of its first registers does not answer.
    pub fn with_page_1(
        mut registers: R,
        owned: &[OwnedStreams],
        memory: &mut SharedMemory<'a>,
        page_1: usize,
    ) -> Result<Self, IommuError> {
        deny_all(&mut registers)?;
        let features = Features::read(&mut registers)?;
        let table = StreamTable::new(owned, memory)?;
        if table.is_two_level() && !features.two_level {
            return Err(IommuError::Lacks("stream tables of two levels"));
        }
        if let Some(last) = owned.last().map(|device| device.streams.last())
            && u64::from(last.get()) >> features.stream_bits != 0
        {
            return Err(IommuError::NoSuchStream(last));
        }
        let mut page = || memory.take(1, 1).ok_or(IommuError::Memory);
        let commands = CommandQueue::new(page()?, features.command_bits);
        let events = EventQueue::new(page()?, features.event_bits, page_1);
        let mut smmu = Self {
            registers,
            features,
            table,
            commands,
            events,
            untold: 0,
        };
        smmu.configure();
        smmu.enable()?;
        Ok(smmu)
    }

    /// Everything that must stand before the first enable (IHI 0070, 3.11 and 6.3).
    fn configure(&mut self) {
        publish();
        let registers = &mut self.registers;
        registers.write(CR1, CR1_COHERENT);
        // Streams beyond the table are denied without a record: nobody could mute them.
        registers.write(CR2, PTM);
        registers.write_double(STRTAB_BASE, self.table.base().get() | ALLOCATE);
        registers.write(
            STRTAB_BASE_CFG,
            self.table.configuration(self.features.stream_bits),
        );
        let queue = |base: model::Pa, bits: u8| base.get() | u64::from(bits) | ALLOCATE;
        registers.write_double(CMDQ_BASE, queue(self.commands.base(), self.commands.bits()));
        registers.write(CMDQ_CONS, 0);
        registers.write(CMDQ_PROD, 0);
        registers.write_double(EVENTQ_BASE, queue(self.events.base(), self.events.bits()));
        self.events.begin(registers);
        // Errors of whoever used it before are not ours.
        let errors = registers.read(GERROR);
        registers.write(GERRORN, errors);
    }

    /// Turns on one thing after the other: commands, to forget what it kept from before; events; interrupts; translation.
    fn enable(&mut self) -> Result<(), IommuError> {
        self.set(IRQ_CTRL, IRQ_CTRLACK, 0)?;
        if self.features.msi {
            // Address 0: by wire, not by message.
            self.registers.write_double(GERROR_IRQ_CFG0, 0);
            self.registers.write_double(EVENTQ_IRQ_CFG0, 0);
        }
        let mut control = CMDQEN;
        self.set(CR0, CR0ACK, control)?;
        let forget = [Command::CfgiAll, Command::TlbiNsnhAll, Command::TlbiEl2All];
        // Without EL2 translations the last one would be refused.
        let forget = if self.features.el2 {
            &forget[..]
        } else {
            &forget[..2]
        };
        self.commands.execute(&mut self.registers, forget)?;
        control |= EVENTQEN;
        self.set(CR0, CR0ACK, control)?;
        self.set(IRQ_CTRL, IRQ_CTRLACK, GERROR_IRQEN | EVENTQ_IRQEN)?;
        control |= SMMUEN;
        if self.features.ats {
            // Without it an access that claims to be translated already passes unchecked.
            control |= ATSCHK;
        }
        self.set(CR0, CR0ACK, control)
    }

    /// Writes a control register and waits for its acknowledgement.
    fn set(&mut self, register: usize, acknowledge: usize, value: u32) -> Result<(), IommuError> {
        self.registers.write(register, value);
        self.registers.wait_for(acknowledge, u32::MAX, value)
    }
}

impl<R: RegisterFrame> Iommu for SmmuV3<'_, R> {
    fn attach(&mut self, streams: Streams, domain: &Domain) -> Result<(), IommuError> {
        if !(32..=self.features.output_bits).contains(&domain.ipa_bits) {
            return Err(IommuError::IpaBits(domain.ipa_bits));
        }
        self.table
            .attach(streams, domain, self.features.output_size())?;
        // Translations as well: those that an earlier root left under this VMID would be used otherwise.
        let forget = [Command::CfgiAll, Command::TlbiS12Vmall(domain.vmid)];
        let done = self.commands.execute(&mut self.registers, &forget);
        if done.is_err() {
            // Nothing more can be done than to make the table deny them again.
            let _ = self.table.detach(streams);
        }
        done
    }

    fn detach(&mut self, streams: Streams) -> Result<(), IommuError> {
        let owner = self.table.detach(streams)?;
        let forget = [Command::CfgiAll, Command::TlbiS12Vmall(owner)];
        self.commands.execute(&mut self.registers, &forget)
    }

    fn invalidate(&mut self, vmid: Vmid) -> Result<(), IommuError> {
        self.commands
            .execute(&mut self.registers, &[Command::TlbiS12Vmall(vmid)])
    }

    fn mute(&mut self, streams: Streams) -> Result<(), IommuError> {
        self.table.mute(streams)?;
        self.commands
            .execute(&mut self.registers, &[Command::CfgiAll])
    }

    fn next_fault(&mut self) -> Option<Fault> {
        self.events.take(&mut self.registers)
    }

    fn discard_faults(&mut self) -> Option<Failure> {
        let mut lost = None;
        for _ in 0..DISCARDS {
            if !self.events.discard(&mut self.registers) {
                return lost;
            }
            lost = Some(Failure::FaultsLost);
        }
        let control = self.registers.read(CR0) & !EVENTQEN;
        // When this is not acknowledged there is nothing else to turn off.
        let _ = self.set(CR0, CR0ACK, control);
        Some(Failure::FaultsIgnored)
    }

    fn next_failure(&mut self) -> Option<Failure> {
        let acknowledged = self.registers.read(GERRORN);
        let errors = self.registers.read(GERROR) ^ acknowledged;
        // Commands' errors are the command queue's to acknowledge, with the command replaced.
        let known = errors & !CMDQ_ERR;
        if known != 0 {
            self.registers.write(GERRORN, acknowledged ^ known);
            self.untold |= known;
        }
        if self.untold & SFM_ERR != 0 {
            self.untold &= !SFM_ERR;
            return Some(Failure::OutOfService);
        }
        let lost = self.untold & EVENTQ_ABT_ERR != 0;
        self.untold = 0;
        (self.events.has_overflowed(&mut self.registers) || lost).then_some(Failure::FaultsLost)
    }
}
