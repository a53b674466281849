//! The driver: an SMMUv2 from the first register write on.

use model::Vmid;
use model::iommu::{Iommu as Config, IommuKind, OwnedStreams, Streams};

use super::context::{self, bank_of, banks};
use super::deny::{DENYING, clear, deny_all, synchronize};
use super::fault::{Found, take_global, take_of_bank};
use super::features::{Features, Lookup};
use super::mapping;
use super::register_map::*;
use crate::memory::publish;
use crate::{Domain, Failure, Fault, Iommu, IommuError, RegisterFrame};

/// How often faults are forgotten that come again at once.
const DISCARDS: u32 = 8;

/// A set of streams' places in the list, or of context banks: there are at most 128 of each.
type Set = u128;

/// An SMMUv2 that translates.
pub struct SmmuV2<R> {
    registers: R,
    features: Features,
    owned: &'static [OwnedStreams],
    coherent: bool,
    /// Entries of the list that reach something.
    attached: Set,
    /// Banks in use whose faults are not recorded.
    muted: Set,
    /// Faults of streams without a context are not recorded.
    global_muted: bool,
    /// Where the next fault is looked for first: a bank, or behind the last one the global registers.
    next: usize,
    /// What befell it and was not told.
    lost: bool,
    prefetches: bool,
}

impl<R: RegisterFrame> SmmuV2<R> {
    /// Denies everything, whatever firmware left; then sets up an entry for each owned stream, all of them still denied.
    ///
    /// # Errors
    /// [`IommuError`]: the SMMU denies everything then, unless the error says that a register does not answer.
    pub fn new(mut registers: R, config: &'static Config) -> Result<Self, IommuError> {
        let features = start(&mut registers, config)?;
        if !features.stage_2 {
            return Err(IommuError::Lacks("stage 2 with 4 KiB pages"));
        }
        if config.coherent && !features.coherent {
            return Err(IommuError::Lacks("coherent walks, which its node promises"));
        }
        let owned = config.owned;
        if banks(owned) > features.banks {
            return Err(IommuError::TooFew("context banks"));
        }
        if mapping::needed(owned, features.lookup) > features.entries || owned.len() > 128 {
            return Err(IommuError::TooFew("stream match registers"));
        }
        let mut smmu = Self {
            registers,
            features,
            owned,
            coherent: config.coherent,
            attached: 0,
            muted: 0,
            global_muted: true,
            next: 0,
            lost: false,
            prefetches: false,
        };
        for place in 0..owned.len() {
            smmu.place(place)?;
        }
        if config.kind == IommuKind::Mmu500 {
            smmu.prefetches = !stop_prefetching(&mut smmu.registers, &features);
        }
        smmu.listen();
        Ok(smmu)
    }

    /// Writes the entries of a device's streams, which lead to a fault.
    fn place(&mut self, place: usize) -> Result<(), IommuError> {
        let streams = self.owned.get(place).map(|one| one.streams);
        let Some(streams) = streams else {
            return Ok(());
        };
        if u64::from(streams.last().get()) >> self.features.stream_bits != 0 {
            return Err(IommuError::NoSuchStream(streams.last()));
        }
        if self.features.lookup == Lookup::Indexing {
            let found = mapping::entries(&self.features, self.owned, place).count();
            // Fewer, where the last ones are beyond the last entry.
            return match found as u64 >= u64::from(streams.count) {
                true => Ok(()),
                false => Err(IommuError::NoSuchStream(streams.last())),
            };
        }
        for (entry, block) in mapping::entries(&self.features, self.owned, place) {
            let refused = IommuError::NoSuchStream(streams.first);
            let value = block.register(self.features.is_extended()).ok_or(refused)?;
            self.registers.write(SMR + 4 * entry, value);
            // Bits of numbers and masks that the hardware lacks read as 0.
            if self.registers.read(SMR + 4 * entry) != value {
                self.registers.write(SMR + 4 * entry, 0);
                return Err(refused);
            }
        }
        self.lead(place, TO_FAULT);
        Ok(())
    }

    /// Where the entries of a device's streams lead.
    fn lead(&mut self, place: usize, to: u32) {
        let valid = match self.features.is_extended() {
            true => EXIDVALID,
            false => 0,
        };
        for (entry, _) in mapping::entries(&self.features, self.owned, place) {
            self.registers.write(S2CR + 4 * entry, to | valid);
        }
    }

    /// Records faults of streams without a context.
    fn listen(&mut self) {
        if !self.global_muted {
            return;
        }
        self.global_muted = false;
        clear(&mut self.registers, GFSR);
        self.set_control(GFIE);
    }

    fn set_control(&mut self, listening: u32) {
        let extended = match self.features.is_extended() {
            true => EXIDENABLE,
            false => 0,
        };
        self.registers.write(SCR0, DENYING | extended | listening);
    }

    /// Place and bank of these streams, which are one of the list's entries.
    fn find(&self, streams: Streams) -> Result<(usize, usize), IommuError> {
        let found = self.owned.iter().position(|one| one.streams == streams);
        let entry = found.and_then(|place| Some((place, self.owned.get(place)?)));
        let bank =
            entry.and_then(|(place, one)| Some((place, bank_of(self.owned, one.partition)?)));
        bank.ok_or(IommuError::NoSuchStream(streams.first))
    }

    /// True when some attached streams use this bank.
    fn in_use(&self, bank: usize) -> bool {
        let mut attached = self.owned.iter().enumerate();
        attached.any(|(place, one)| {
            self.attached >> place & 1 != 0 && bank_of(self.owned, one.partition) == Some(bank)
        })
    }

    fn forget(&mut self, vmid: Vmid) -> Result<(), IommuError> {
        publish();
        self.registers.write(TLBIVMID, u32::from(vmid.get()));
        synchronize(&mut self.registers)
    }

    fn vmid(&mut self, bank: usize) -> Vmid {
        let attributes = self.registers.read(self.features.global_1(CBAR + 4 * bank));
        Vmid::new((attributes & 0xff) as u16)
    }

    /// Takes the oldest fault of a bank, or of the global registers.
    fn take(&mut self, source: usize) -> Option<Found> {
        if source == banks(self.owned) {
            return match self.global_muted {
                true => None,
                false => take_global(&mut self.registers),
            };
        }
        match self.muted >> source & 1 {
            0 => take_of_bank(&mut self.registers, &self.features, source),
            _ => None,
        }
    }

    /// Faults of a bank are not recorded any more.
    fn mute_bank(&mut self, bank: usize) {
        self.muted |= 1 << bank;
        let control = self.features.bank(bank, SCTLR);
        self.registers.write(control, context::ON & !CFIE);
    }

    fn mute_global(&mut self) {
        self.global_muted = true;
        self.set_control(0);
    }
}

/// Denies everything, also on an SMMU that nobody uses.
///
/// # Errors
/// [`IommuError`]: accesses may still pass then.
pub fn start(registers: &mut impl RegisterFrame, config: &Config) -> Result<Features, IommuError> {
    let features = Features::read(registers);
    features.fit(config.registers.size)?;
    deny_all(registers, &features)?;
    Ok(features)
}

/// Turns the prefetcher of an MMU-500 off, against the errata 562869, 826419, 841119 and 1047329, and keeps its TLBs from holding what is
/// not translated. False when the secure side has locked it.
fn stop_prefetching(registers: &mut impl RegisterFrame, features: &Features) -> bool {
    let mut control = registers.read(SACR) & !(SMTNMB_TLBEN | S2CRB_TLBEN);
    if features.revision >= 2 {
        control &= !CACHE_LOCK;
    }
    registers.write(SACR, control);
    let mut all = true;
    for bank in 0..features.banks {
        let at = features.bank(bank, ACTLR);
        let found = registers.read(at);
        registers.write(at, found & !CPRE);
        all &= registers.read(at) & CPRE == 0;
    }
    all
}

impl<R: RegisterFrame> Iommu for SmmuV2<R> {
    fn attach(&mut self, streams: Streams, domain: &Domain) -> Result<(), IommuError> {
        let (place, bank) = self.find(streams)?;
        if !(32..=self.features.input_bits).contains(&domain.ipa_bits) {
            return Err(IommuError::IpaBits(domain.ipa_bits));
        }
        if domain.vmid.get() > 0xff {
            return Err(IommuError::Lacks("VMIDs of 16 bits"));
        }
        let in_use = self.in_use(bank);
        let owner = self.vmid(bank);
        if self.attached >> place & 1 != 0 || in_use && owner != domain.vmid {
            let stream = streams.first;
            return Err(IommuError::Attached { stream, owner });
        }
        if !in_use {
            let registers = &mut self.registers;
            context::write(registers, &self.features, bank, domain, self.coherent);
        }
        clear(&mut self.registers, self.features.bank(bank, FSR));
        self.registers
            .write(self.features.bank(bank, SCTLR), context::ON);
        self.muted &= !(1 << bank);
        self.listen();
        // What an earlier root left under this VMID would be used otherwise.
        self.forget(domain.vmid)?;
        self.lead(place, bank as u32);
        let done = synchronize(&mut self.registers);
        match done {
            Ok(()) => self.attached |= 1 << place,
            Err(_) => self.lead(place, TO_FAULT),
        }
        done
    }

    fn detach(&mut self, streams: Streams) -> Result<(), IommuError> {
        let (place, bank) = self.find(streams)?;
        if self.attached >> place & 1 == 0 {
            return Err(IommuError::NotAttached(streams.first));
        }
        self.lead(place, TO_FAULT);
        self.attached &= !(1 << place);
        self.listen();
        let vmid = self.vmid(bank);
        self.forget(vmid)
    }

    fn invalidate(&mut self, vmid: Vmid) -> Result<(), IommuError> {
        self.forget(vmid)
    }

    /// The whole partition's devices here, since they share a bank; or all streams that are attached to nothing.
    fn mute(&mut self, streams: Streams) -> Result<(), IommuError> {
        match self.find(streams) {
            Ok((place, bank)) if self.attached >> place & 1 != 0 => self.mute_bank(bank),
            _ => self.mute_global(),
        }
        Ok(())
    }

    fn next_fault(&mut self) -> Option<Fault> {
        let sources = banks(self.owned) + 1;
        for step in 0..sources {
            let source = (self.next + step) % sources;
            if let Some(Found { fault, lost }) = self.take(source) {
                self.next = source + 1;
                self.lost |= lost;
                return Some(fault);
            }
        }
        None
    }

    fn discard_faults(&mut self) -> Option<Failure> {
        let sources = banks(self.owned) + 1;
        let mut told = None;
        for _ in 0..DISCARDS {
            let found = (0..sources).filter(|source| self.take(*source).is_some());
            if found.count() == 0 {
                return told;
            }
            told = Some(Failure::FaultsLost);
        }
        for source in 0..sources {
            if self.take(source).is_none() {
                continue;
            }
            if source < banks(self.owned) {
                self.mute_bank(source);
            } else {
                self.mute_global();
            }
        }
        Some(Failure::FaultsIgnored)
    }

    fn next_failure(&mut self) -> Option<Failure> {
        if core::mem::take(&mut self.prefetches) {
            return Some(Failure::Prefetches);
        }
        core::mem::take(&mut self.lost).then_some(Failure::FaultsLost)
    }
}
