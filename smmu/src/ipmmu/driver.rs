//! The driver: an IPMMU from the first register write on.

use model::iommu::{Iommu as Config, OwnedStreams, Streams};
use model::ipmmu::{Generation, Ipmmu, Tables};
use model::memory::PhysicalRange;
use model::{Ipa, Pa, Vmid};

use super::context::{Context, Role, Shape, cause};
use super::instances::Instances;
use super::revision;
use crate::{Domain, Failure, Fault, Iommu, IommuError, RegisterFrame, SharedMemory, Source};

/// Contexts of the largest instance.
const MOST_CONTEXTS: usize = 16;
/// How often the faults of all contexts are forgotten that come again at once.
const DISCARDS: u32 = 8;
/// Addresses of tables have 40 bits.
const MOST_ROOT: u64 = 1 << 40;

/// An IPMMU that translates: its main instance with all its caches.
pub struct Driver<R> {
    instances: Instances<R>,
    tables: Tables,
    contexts: [Context; MOST_CONTEXTS],
    /// The context that denies everything.
    denying: u8,
    /// The context that is asked for a fault next.
    next: u8,
}

impl<R: RegisterFrame> Driver<R> {
    /// Denies everything to all micro-TLBs, whatever firmware left. `nothing` is the address of a page of zeros that never changes, which
    /// a walk that looks into no cache sees. The streams of `owned` are seen to exist.
    ///
    /// # Errors
    /// [`IommuError::Lacks`] when firmware left no context free, and nothing has changed then; [`IommuError::NoSuchStream`] when the
    /// micro-TLB of an owned stream takes no value; [`IommuError::Stuck`].
    pub fn new(
        generation: Generation,
        tables: Tables,
        main: R,
        caches: impl Iterator<Item = R>,
        nothing: Pa,
        owned: &[OwnedStreams],
    ) -> Result<Self, IommuError> {
        let mut instances = Instances::new(generation, main, caches);
        let denying = instances
            .unused()
            .ok_or(IommuError::Lacks("a context that firmware left free"))?;
        let shape = Shape::of_nothing(tables);
        // First what the micro-TLBs are to use, then that they use it, and only when nothing else is used what all contexts depend on.
        instances.shape(denying, &shape, nothing);
        instances.turn_on(denying, &shape, false)?;
        instances.select_everywhere(denying);
        instances.turn_off_all_but(denying);
        instances.configure(tables);
        instances.turn_on(denying, &shape, true)?;
        for device in owned {
            instances.each(device.streams, |instances, stream, micro_tlb| {
                let denied = instances.context_of(micro_tlb) == Some(denying);
                denied.then_some(()).ok_or(IommuError::NoSuchStream(stream))
            })?;
        }
        let mut number = 0;
        let contexts = [(); MOST_CONTEXTS].map(|()| {
            let role = match number {
                one if one == denying => Role::Denying,
                0 => Role::Reserved,
                one if one >= generation.contexts() => Role::Reserved,
                _ => Role::Free,
            };
            number += 1;
            Context {
                role,
                root: nothing,
                shape,
                streams: 0,
                muted: false,
            }
        });
        Ok(Self {
            instances,
            tables,
            contexts,
            denying,
            next: 0,
        })
    }

    /// The IPMMU of a system: sees that the chip is one on which it can be used, then as [`Self::new`]. `frame` gives further registers than
    /// `main`; the page of zeros is taken from the front of `memory`.
    ///
    /// # Errors
    /// As [`Self::new`]; [`IommuError::Lacks`] also for a chip that is too old, and [`IommuError::Memory`].
    pub fn start(
        what: Ipmmu,
        main: R,
        mut frame: impl FnMut(PhysicalRange) -> R,
        config: &Config,
        memory: &mut SharedMemory<'static>,
    ) -> Result<Self, IommuError> {
        if let Some(revision) = &what.revision {
            revision::check(&mut frame(revision.page()), revision)?;
        }
        let nothing = memory.take(1, 1).ok_or(IommuError::Memory)?;
        Self::new(
            what.generation,
            what.tables,
            main,
            config.instances.iter().map(|instance| frame(*instance)),
            nothing.base(),
            config.owned,
        )
    }

    /// The number of the first context for which `wanted` holds, and its state.
    fn find(&mut self, wanted: impl Fn(&Context) -> bool) -> Option<(u8, &mut Context)> {
        (0..).zip(&mut self.contexts).find(|(_, one)| wanted(one))
    }

    /// Turns a context on, or tells the instances whether its faults are told; its translations are forgotten.
    fn update(&mut self, number: u8) -> Result<(), IommuError> {
        match self.contexts.get(usize::from(number)) {
            Some(context) => {
                let interrupts = !context.muted;
                self.instances.turn_on(number, &context.shape, interrupts)
            }
            None => Ok(()),
        }
    }

    /// Has the faults of the context told again, or no more.
    fn set_muted(&mut self, number: u8, muted: bool) -> Result<(), IommuError> {
        if let Some(context) = self.contexts.get_mut(usize::from(number)) {
            context.muted = muted;
        }
        self.update(number)
    }

    /// Whose stream it is that uses this context.
    fn owner(contexts: &[Context], number: Option<u8>) -> Option<(u8, Vmid)> {
        let number = number?;
        match contexts.get(usize::from(number))?.role {
            Role::Partition(vmid) => Some((number, vmid)),
            Role::Free | Role::Reserved | Role::Denying => None,
        }
    }

    /// The partition's context with this table, on.
    fn context_for(&mut self, domain: &Domain) -> Result<u8, IommuError> {
        let shape = Shape::of(self.tables, domain.ipa_bits)?;
        if domain.root.get() >= MOST_ROOT {
            return Err(IommuError::Lacks("tables above 1 TiB"));
        }
        let role = Role::Partition(domain.vmid);
        let own = self
            .find(|one| one.role == role)
            .map(|(number, context)| (number, *context));
        let number = match own {
            Some((number, context)) if context.streams > 0 => {
                if (context.root, context.shape) != (domain.root, shape) {
                    return Err(IommuError::Lacks("two tables of one partition"));
                }
                number
            }
            Some((number, _)) => number,
            None => {
                let free = self.find(|one| one.role == Role::Free);
                free.ok_or(IommuError::Lacks("a free context"))?.0
            }
        };
        if let Some(context) = self.contexts.get_mut(usize::from(number)) {
            let streams = context.streams;
            *context = Context {
                role,
                root: domain.root,
                shape,
                streams,
                muted: false,
            };
            if streams == 0 {
                self.instances.shape(number, &shape, domain.root);
            }
        }
        self.update(number)?;
        Ok(number)
    }

    /// Has all of the streams denied, and counts them off. Goes on after an error, which it returns.
    fn deny(&mut self, streams: Streams) -> Result<(), IommuError> {
        let (contexts, denying) = (&mut self.contexts, self.denying);
        let mut error = None;
        self.instances.each(streams, |instances, _, micro_tlb| {
            let used = instances.context_of(micro_tlb);
            error = error.or(instances.select(micro_tlb, denying).err());
            let used = used.filter(|number| *number != denying);
            if let Some(context) = used.and_then(|number| contexts.get_mut(usize::from(number))) {
                context.streams = context.streams.saturating_sub(1);
            }
            Ok(())
        })?;
        error.map_or(Ok(()), Err)
    }
}

impl<R: RegisterFrame> Iommu for Driver<R> {
    fn attach(&mut self, streams: Streams, domain: &Domain) -> Result<(), IommuError> {
        let contexts = &self.contexts;
        self.instances
            .each(streams, |instances, stream, micro_tlb| {
                match Self::owner(contexts, instances.context_of(micro_tlb)) {
                    Some((_, owner)) => Err(IommuError::Attached { stream, owner }),
                    None => Ok(()),
                }
            })?;
        let number = self.context_for(domain)?;
        self.set_muted(self.denying, false)?;
        let contexts = &mut self.contexts;
        let done = self.instances.each(streams, |instances, _, micro_tlb| {
            if let Some(context) = contexts.get_mut(usize::from(number)) {
                context.streams += 1;
            }
            instances.select(micro_tlb, number)
        });
        if done.is_err() {
            // Nothing more can be done than to have them denied again.
            let _ = self.deny(streams);
        }
        done
    }

    fn detach(&mut self, streams: Streams) -> Result<(), IommuError> {
        let contexts = &self.contexts;
        let mut used = 0_u32;
        let mut nobodys = None;
        self.instances
            .each(streams, |instances, stream, micro_tlb| {
                match Self::owner(contexts, instances.context_of(micro_tlb)) {
                    Some((number, _)) => used |= 1 << number,
                    None => nobodys = nobodys.or(Some(IommuError::NotAttached(stream))),
                }
                Ok(())
            })?;
        let mut done = self.deny(streams);
        // What was translated before is forgotten, and faults are told again.
        used |= 1 << self.denying;
        for number in 0..self.instances.generation.contexts() {
            if used >> number & 1 != 0 {
                done = self.set_muted(number, false).and(done);
            }
        }
        done.and(nobodys.map_or(Ok(()), Err))
    }

    fn invalidate(&mut self, vmid: Vmid) -> Result<(), IommuError> {
        match self.find(|one| one.role == Role::Partition(vmid)) {
            Some((number, _)) => self.update(number),
            None => Ok(()),
        }
    }

    /// The faults of all of a partition's streams, since they cannot be told apart.
    fn mute(&mut self, streams: Streams) -> Result<(), IommuError> {
        let first = self.instances.micro_tlb(streams.first)?;
        let used = self.instances.context_of(first);
        let owner = Self::owner(&self.contexts, used);
        self.set_muted(owner.map_or(self.denying, |(number, _)| number), true)
    }

    fn next_fault(&mut self) -> Option<Fault> {
        let contexts = self.instances.generation.contexts();
        for _ in 0..contexts {
            let number = self.next;
            // Each in turn, so that one which faults without end hides none.
            self.next = (number + 1) % contexts;
            let context = *self.contexts.get(usize::from(number))?;
            let source = match context.role {
                Role::Partition(vmid) => Source::Partition(vmid),
                Role::Denying => Source::Nobody,
                Role::Free | Role::Reserved => continue,
            };
            let Some((status, address)) = self.instances.take_fault(number) else {
                continue;
            };
            if context.muted {
                continue;
            }
            if source == Source::Nobody {
                // When the hardware does not take it, its faults are still not told.
                let _ = self.set_muted(number, true);
            }
            return Some(Fault {
                source,
                cause: cause(status),
                address: Some(Ipa::new(address)),
                access: None,
                class: None,
            });
        }
        None
    }

    fn discard_faults(&mut self) -> Option<Failure> {
        let mut lost = None;
        for _ in 0..DISCARDS {
            if !self.discard() {
                return lost;
            }
            lost = Some(Failure::FaultsLost);
        }
        for number in 0..self.instances.generation.contexts() {
            if self.is_told(number) {
                // When the hardware does not take it there is nothing else to turn off.
                let _ = self.set_muted(number, true);
            }
        }
        Some(Failure::FaultsIgnored)
    }

    /// The hardware tells of nothing but accesses.
    fn next_failure(&mut self) -> Option<Failure> {
        None
    }
}

impl<R: RegisterFrame> Driver<R> {
    /// Whether faults of a context are told.
    fn is_told(&self, number: u8) -> bool {
        let context = self.contexts.get(usize::from(number));
        context.is_some_and(|context| {
            !context.muted && matches!(context.role, Role::Denying | Role::Partition(_))
        })
    }

    /// Forgets the faults that are to be told. False when there were none.
    fn discard(&mut self) -> bool {
        let mut any = false;
        for number in 0..self.instances.generation.contexts() {
            any |= self.is_told(number) && self.instances.take_fault(number).is_some();
        }
        any
    }
}
