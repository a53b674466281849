//! The registers of all instances of an IPMMU.

use model::iommu::Streams;
use model::ipmmu::{Generation, Tables};
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
pub struct Instances<'a, R> {
    pub(super) generation: Generation,
    main: R,
    caches: &'a mut [R],
}

impl<'a, R: RegisterFrame> Instances<'a, R> {
    pub(super) fn new(generation: Generation, main: R, caches: &'a mut [R]) -> Self {
        Self {
            generation,
            main,
            caches,
        }
    }

    /// The micro-TLB through which a stream comes.
    ///
    /// # Errors
    /// [`IommuError::NoSuchStream`].
    pub(super) fn micro_tlb(&self, stream: StreamId) -> Result<MicroTlb, IommuError> {
        let cache = (stream.get() >> 8) as usize;
        let number = stream.get() as u8;
        if cache < self.caches.len() && number < self.generation.micro_tlbs() {
            return Ok(MicroTlb { cache, number });
        }
        Err(IommuError::NoSuchStream(stream))
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
        let control = self.caches.get_mut(micro_tlb.cache)?.read(offset);
        let context = (control & selection(self.generation)) >> TTSEL;
        (control & MICRO_TLB_ON != 0).then_some(context as u8)
    }

    fn direct(&mut self, micro_tlb: MicroTlb, context: u8) {
        let offset = self::micro_tlb(self.generation, micro_tlb.number);
        if let Some(cache) = self.caches.get_mut(micro_tlb.cache) {
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
        let cache = self.caches.get_mut(micro_tlb.cache);
        let cache = cache.ok_or(IommuError::Stuck(offset))?;
        let mask = selection(self.generation) | MICRO_TLB_ON;
        cache.wait_for(offset, mask, u32::from(context) << TTSEL | MICRO_TLB_ON)
    }

    /// Has all micro-TLBs use this context. A register that an instance does not have takes no value: nothing is behind it.
    pub(super) fn select_everywhere(&mut self, context: u8) {
        for cache in 0..self.caches.len() {
            for number in 0..self.generation.micro_tlbs() {
                self.direct(MicroTlb { cache, number }, context);
            }
        }
    }

    /// A context that no micro-TLB uses, other than the reserved one: whatever firmware left, its table can be changed.
    pub(super) fn unused(&mut self) -> Option<u8> {
        let mut used = 0_u32;
        for cache in 0..self.caches.len() {
            for number in 0..self.generation.micro_tlbs() {
                let context = self.context_of(MicroTlb { cache, number });
                used |= context.map_or(0, |context| 1 << context);
            }
        }
        (1..self.generation.contexts())
            .rev()
            .find(|context| used >> context & 1 == 0)
    }

    /// Turns off what no micro-TLB uses any more.
    pub(super) fn turn_off_all_but(&mut self, kept: u8) {
        for number in (0..self.generation.contexts()).filter(|number| *number != kept) {
            let offset = context(self.generation, number) + IMCTR;
            for instance in self.caches.iter_mut().chain([&mut self.main]) {
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
        for instance in self.caches.iter_mut().chain([&mut self.main]) {
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
        for cache in self.caches.iter_mut() {
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
