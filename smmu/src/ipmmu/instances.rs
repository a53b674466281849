//! The registers of all instances of an IPMMU.

use model::iommu::Streams;
use model::ipmmu::{Generation, Ipmmu, Tables};
use model::{Pa, StreamId};

use super::context::Shape;
use super::register_map::*;
use crate::{IommuError, RegisterFrame};

/// A micro-TLB: the place of its cache instance in the list, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MicroTlb {
    cache: usize,
    number: u8,
}

/// The main instance and the caches.
pub struct Instances<R> {
    pub(super) generation: Generation,
    main: R,
    caches: [Option<R>; Ipmmu::MOST_CACHES],
}

impl<R: RegisterFrame> Instances<R> {
    /// Further caches than the first [`Ipmmu::MOST_CACHES`] are left out.
    pub(super) fn new(generation: Generation, main: R, caches: impl Iterator<Item = R>) -> Self {
        let mut caches = caches;
        Self {
            generation,
            main,
            caches: core::array::from_fn(|_| caches.next()),
        }
    }

    fn cache(&mut self, micro_tlb: MicroTlb) -> Option<&mut R> {
        self.caches.get_mut(micro_tlb.cache)?.as_mut()
    }

    /// All of them, the caches first.
    fn all(&mut self) -> impl Iterator<Item = &mut R> {
        self.caches.iter_mut().flatten().chain([&mut self.main])
    }

    /// The micro-TLB through which a stream comes.
    ///
    /// # Errors
    /// [`IommuError::NoSuchStream`].
    pub(super) fn micro_tlb(&self, stream: StreamId) -> Result<MicroTlb, IommuError> {
        let cache = (stream.get() >> 8) as usize;
        let number = stream.get() as u8;
        let exists = self.caches.get(cache).is_some_and(Option::is_some);
        if exists && number < self.generation.micro_tlbs() {
            return Ok(MicroTlb { cache, number });
        }
        Err(IommuError::NoSuchStream(stream))
    }

    /// All that there may be.
    fn micro_tlbs(&self) -> impl Iterator<Item = MicroTlb> + use<R> {
        let most = self.generation.micro_tlbs();
        let caches = self.caches.iter().flatten().count();
        (0..caches).flat_map(move |cache| (0..most).map(move |number| MicroTlb { cache, number }))
    }

    /// Calls `f` with each stream's micro-TLB, after it has seen that all of them exist.
    ///
    /// # Errors
    /// [`IommuError::NoSuchStream`], or the first error of `f`, which is then called no more.
    pub(super) fn each(
        &mut self,
        streams: Streams,
        mut f: impl FnMut(&mut Self, StreamId, MicroTlb) -> Result<(), IommuError>,
    ) -> Result<(), IommuError> {
        // Micro-TLBs that follow one another are those of one instance.
        let [first, last] = [streams.first, streams.last()];
        self.micro_tlb(first)?;
        self.micro_tlb(last)?;
        if first.get() >> 8 != last.get() >> 8 {
            return Err(IommuError::NoSuchStream(last));
        }
        for stream in first.get()..=last.get() {
            let stream = StreamId::new(stream);
            let micro_tlb = self.micro_tlb(stream)?;
            f(self, stream, micro_tlb)?;
        }
        Ok(())
    }

    /// The context that a micro-TLB uses; `None` when it lets everything pass.
    pub(super) fn context_of(&mut self, micro_tlb: MicroTlb) -> Option<u8> {
        let offset = self::micro_tlb(self.generation, micro_tlb.number);
        let control = self.cache(micro_tlb)?.read(offset);
        let context = (control & selection(self.generation)) >> TTSEL;
        (control & MICRO_TLB_ON != 0).then_some(context as u8)
    }

    fn direct(&mut self, micro_tlb: MicroTlb, context: u8) {
        let offset = self::micro_tlb(self.generation, micro_tlb.number);
        if let Some(cache) = self.cache(micro_tlb) {
            cache.write(offset + 8, 0);
            cache.write(offset, u32::from(context) << TTSEL | FLUSH | MICRO_TLB_ON);
        }
    }

    /// Has a micro-TLB use this context, and sees that it does.
    ///
    /// # Errors
    /// [`IommuError::Stuck`].
    pub(super) fn select(&mut self, micro_tlb: MicroTlb, context: u8) -> Result<(), IommuError> {
        self.direct(micro_tlb, context);
        let offset = self::micro_tlb(self.generation, micro_tlb.number);
        let mask = selection(self.generation) | MICRO_TLB_ON;
        let cache = self.cache(micro_tlb).ok_or(IommuError::Stuck(offset))?;
        cache.wait_for(offset, mask, u32::from(context) << TTSEL | MICRO_TLB_ON)
    }

    /// Has all micro-TLBs use this context. A register that an instance does not have takes no value: nothing is behind it.
    pub(super) fn select_everywhere(&mut self, context: u8) {
        for micro_tlb in self.micro_tlbs() {
            self.direct(micro_tlb, context);
        }
    }

    /// A context that no micro-TLB uses, other than the reserved one: whatever firmware left, its table can be changed.
    pub(super) fn unused(&mut self) -> Option<u8> {
        let mut used = 0_u32;
        for micro_tlb in self.micro_tlbs() {
            let context = self.context_of(micro_tlb);
            used |= context.map_or(0, |context| 1 << context);
        }
        (1..self.generation.contexts())
            .rev()
            .find(|context| used >> context & 1 == 0)
    }

    /// Turns off what no micro-TLB uses any more.
    pub(super) fn turn_off_all_but(&mut self, kept: u8) {
        for number in (0..self.generation.contexts()).filter(|number| *number != kept) {
            let offset = context(self.generation, number) + IMCTR;
            for instance in self.all() {
                instance.write(offset, 0);
            }
        }
    }

    /// Which tables the main instance walks, and that security groups let nobody through.
    pub(super) fn configure(&mut self, tables: Tables) {
        let base = instance(self.generation);
        let other = self.main.read(base + IMSAUXCTLR) & !S2PTE;
        let stage_2 = match tables {
            Tables::Stage2 => S2PTE,
            Tables::Stage1 => 0,
        };
        self.main.write(base + IMSAUXCTLR, other | stage_2);
        for instance in self.all() {
            let control = instance.read(base + IMSCTLR);
            instance.write(base + IMSCTLR, control & !USE_SECGRP);
        }
    }

    fn set(&mut self, number: u8, register: usize, value: u32) {
        self.main
            .write(context(self.generation, number) + register, value);
    }

    /// Gives a context that nobody uses its table, and forgets its faults. It is to be turned on next.
    pub(super) fn shape(&mut self, number: u8, shape: &Shape, root: Pa) {
        self.set(number, IMTTLBR0, root.get() as u32 & !0xfff);
        self.set(number, IMTTUBR0, (root.get() >> 32) as u32);
        self.set(number, IMTTBCR, shape.control);
        self.set(number, IMMAIR0, shape.memory_types);
        self.set(number, IMSTR, 0);
    }

    /// Turns a context on in all instances, or lets it be on, and forgets its translations.
    ///
    /// # Errors
    /// [`IommuError::Stuck`].
    pub(super) fn turn_on(
        &mut self,
        number: u8,
        shape: &Shape,
        interrupts: bool,
    ) -> Result<(), IommuError> {
        let offset = context(self.generation, number) + IMCTR;
        let interrupts = if interrupts { INTEN } else { 0 };
        let common = MMUEN | FLUSH | interrupts;
        // Caches first: the main instance must not give them again what they forget.
        for cache in self.caches.iter_mut().flatten() {
            cache.write(offset, common);
        }
        self.main.write(offset, common | shape.format);
        self.main.wait_for(offset, FLUSH, 0)
    }

    /// What a context has to tell since it was asked last, with the address, and forgets it.
    pub(super) fn take_fault(&mut self, number: u8) -> Option<(u32, u64)> {
        let base = context(self.generation, number);
        let status = self.main.read(base + IMSTR) & (TF | PF | ABORT | MHIT);
        if status == 0 {
            return None;
        }
        let [low, high] = [IMELAR, IMEUAR].map(|register| self.main.read(base + register));
        self.main.write(base + IMSTR, 0);
        Some((status, u64::from(low) | u64::from(high) << 32))
    }
}
