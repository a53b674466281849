//! Between the state and the list registers: loading, reading back, and the straight path for an arriving physical interrupt.

#[cfg(feature = "its")]
use super::FROM_SPI_TO_LPI;
use super::interrupt::{Flags, INACTIVE, Interrupt, UNRANKED};
use super::sets::{Bits, IntIdSet};
use super::{Calls, Hardware, VcpuSet, Vgic};
use crate::{Announce, ListRegister, ListRegisters, MAX_LIST_REGISTERS};
use model::{IntId, VcpuId};

impl Vgic {
    /// Hands an arrived physical interrupt to the guest: [`raise`](Self::raise) and [`flush`](Self::flush) in one. In the common case
    /// (enabled, for this virtual CPU, nothing else waiting, a list register free) that is one register read and one write.
    #[inline]
    pub fn deliver(&mut self, intid: IntId, caller: impl Calls) -> VcpuSet {
        if self.deliver_straight(intid, caller).is_some() {
            return VcpuSet::EMPTY;
        }
        self.deliver_by_the_state(intid, caller)
    }

    #[inline(never)]
    fn deliver_by_the_state(&mut self, intid: IntId, caller: impl Calls) -> VcpuSet {
        let kicks = self.raise(intid, caller.cpu());
        kicks.without(caller.cpu()) | self.flush(caller)
    }

    #[inline]
    fn deliver_straight(&mut self, intid: IntId, caller: impl Calls) -> Option<()> {
        let gate = self.gate(intid, caller.cpu());
        let cpu = caller.cpu().get();
        let state = self.vcpus.get_mut(usize::from(cpu))?;
        if state.recall || !state.waiting.is_empty() {
            return None;
        }
        let number = intid.get() as usize;
        let interrupt = match number.checked_sub(IntId::FIRST_SPI as usize) {
            #[cfg(feature = "its")]
            Some(lpi @ FROM_SPI_TO_LPI..) => self.lpis.get_mut(lpi - FROM_SPI_TO_LPI)?,
            Some(spi) => self.spis.get_mut(spi)?,
            None => state.interrupts.get_mut(number)?,
        };
        if !interrupt.is_straight(cpu, gate) {
            return None;
        }
        let empty = caller.registers().empty() as u16;
        let slot = if interrupt.is(Flags::HELD) {
            interrupt.slot
        } else {
            (empty & !state.used).trailing_zeros() as u8
        };
        if u32::from(empty).checked_shr(u32::from(slot)).unwrap_or(0) & 1 == 0 {
            return None;
        }
        *state.held.get_mut(usize::from(slot))? = intid;
        state.used |= 1 << slot;
        caller
            .registers()
            .write(usize::from(slot), interrupt.link(intid, cpu, slot));
        self.grant(intid, caller);
        Some(())
    }

    /// Lets the vectors deliver the next arrival of an interrupt in the caller's list registers, if it will be an ordinary one.
    fn grant(&mut self, intid: IntId, caller: impl Calls) {
        let gate = self.gate(intid, caller.cpu());
        let physical = self.physical(intid);
        let Some(grants) = self.grants.get(usize::from(caller.cpu().get())) else {
            return;
        };
        let Some(interrupt) = self.interrupt_mut(intid, caller.cpu()) else {
            return;
        };
        let Some(content) = interrupt.standing(intid, caller.cpu().get(), gate) else {
            return;
        };
        let slot = usize::from(interrupt.slot);
        if let Some(image) = caller.registers().image(slot, content)
            && grants.set(interrupt.physical(physical), slot, image)
        {
            interrupt.flags |= Flags::GRANTED;
        }
    }

    /// While something waits for a list register, arrivals must not pass it: the vectors leave all of the caller's to us.
    fn revoke_held(&mut self, cpu: VcpuId) {
        let Some(state) = self.vcpus.get(usize::from(cpu.get())) else {
            return;
        };
        let (used, held) = (state.used, state.held);
        for slot in Bits(u64::from(used)) {
            if let Some(intid) = held.get(slot as usize) {
                self.revoke(*intid, cpu);
            }
        }
    }

    /// Puts what waits for the calling virtual CPU into its list registers, most urgent first. To be called before it enters the guest
    /// after a change, and after a kick or a refill interrupt. Returns others to kick.
    #[inline]
    pub fn flush(&mut self, caller: impl Calls) -> VcpuSet {
        let Some(state) = self.vcpus.get(usize::from(caller.cpu().get())) else {
            return VcpuSet::EMPTY;
        };
        if !state.recall && state.waiting.is_empty() {
            return VcpuSet::EMPTY;
        }
        self.place(caller)
    }

    /// Answers the maintenance interrupt: the guest ended something that had asked to be heard of or that had no list register, or has
    /// taken all that was pending in them.
    pub fn maintain(&mut self, caller: impl Calls) -> VcpuSet {
        let _ = self.recall_all(caller.cpu());
        self.flush(caller)
    }

    /// [`sync`](Self::sync) for a virtual CPU that is turned off: when it comes back its CPU interface has been reset, and nothing that it
    /// still has active is to be ended by a drop of priority.
    pub fn park(&mut self, caller: impl Calls) -> VcpuSet {
        let kicks = self.sync(caller);
        for intid in self.waiting(caller.cpu()).iter() {
            if let Some(interrupt) = self.interrupt_mut(intid, caller.cpu()) {
                interrupt.running = UNRANKED;
            }
        }
        let recall = self.ends_anywhere();
        if let Some(state) = self.vcpus.get_mut(usize::from(caller.cpu().get())) {
            state.announced = Announce::NOTHING;
            state.recall = recall;
        }
        kicks
    }

    /// Ends those in no list register whose priority the guest has dropped. An end of interrupt names nobody here, but it drops the most urgent
    /// priority, and that is the one of what was acknowledged last (IHI 0069H 4.8.6, IHI 0048B 3.2.1): what is more urgent than what
    /// still runs has been ended.
    fn end_stranded(&mut self, caller: impl Calls) -> VcpuSet {
        let mut kicks = VcpuSet::EMPTY;
        if caller.registers().splits_ends() {
            return kicks;
        }
        let cpu = caller.cpu();
        let still = caller.registers().running_priority();
        for intid in self.waiting(cpu).iter() {
            let interrupt = self.interrupt_mut(intid, cpu);
            let dropped = |one: &&mut Interrupt| one.is_stranded(cpu.get()) && one.running < still;
            if let Some(interrupt) = interrupt.filter(dropped) {
                interrupt.deactivate();
                kicks |= self.finish(intid, cpu, caller);
            }
        }
        kicks
    }

    /// Reads the calling virtual CPU's list registers back and empties them, so that all state is here. [`flush`](Self::flush) must
    /// follow before it enters the guest. Returns others to kick.
    pub fn sync(&mut self, caller: impl Calls) -> VcpuSet {
        let cpu = caller.cpu();
        let calm = Announce {
            deactivations: self.ends_anywhere(),
            ..Announce::NOTHING
        };
        let Some(state) = self.vcpus.get_mut(usize::from(cpu.get())) else {
            return VcpuSet::EMPTY;
        };
        state.recall = false;
        let timers_changed = core::mem::take(&mut state.timers_changed);
        let used = core::mem::take(&mut state.used);
        let announced = core::mem::replace(&mut state.announced, calm);
        let mut kicks = VcpuSet::EMPTY;
        if announced.unmatched {
            kicks |= self.end_stranded(caller);
        }
        if announced != calm {
            // Registers that are empty only now would assert the maintenance interrupt, and be taken for one that waits for the CPU.
            caller.registers().announce(calm);
        }
        for slot in Bits(u64::from(used)) {
            let last = caller.registers().read(slot as usize);
            caller.registers().write(slot as usize, ListRegister::EMPTY);
            kicks |= self.take_back(slot as usize, last, caller);
        }
        if timers_changed {
            for timer in self.geometry.timers {
                self.apply_enable(timer, cpu, caller);
                kicks |= self.settle(timer, cpu, caller) | self.update(timer, cpu);
            }
        }
        kicks.without(cpu)
    }

    /// Takes the interrupt that register `slot` held back into the state; the register's last content was `last`.
    fn take_back(&mut self, slot: usize, last: ListRegister, caller: impl Calls) -> VcpuSet {
        let Some(intid) = self
            .vcpus
            .get(usize::from(caller.cpu().get()))
            .and_then(|state| state.held.get(slot))
            .copied()
        else {
            return VcpuSet::EMPTY;
        };
        if let Some(interrupt) = self.interrupt_mut(intid, caller.cpu()) {
            interrupt.unload(last);
        }
        self.settle(intid, caller.cpu(), caller) | self.update(intid, caller.cpu())
    }

    /// Ends the physical interrupt if no list register will.
    pub(super) fn settle(&mut self, intid: IntId, cpu: VcpuId, caller: impl Calls) -> VcpuSet {
        let enabled = self.is_enabled(intid, cpu);
        let Some(interrupt) = self
            .interrupt_mut(intid, cpu)
            .filter(|interrupt| interrupt.is(Flags::OWNED))
        else {
            return VcpuSet::EMPTY;
        };
        if intid.is_spi() || cpu == caller.cpu() {
            if interrupt.settle(enabled) {
                let physical = interrupt.physical(intid);
                caller.hardware().deactivate(physical, cpu);
            }
            return VcpuSet::EMPTY;
        }
        // Only its own CPU reaches a physical PPI.
        if let Some(state) = self.vcpus.get_mut(usize::from(cpu.get())) {
            state.timers_changed = true;
        }
        self.recall_all(cpu)
    }

    fn place(&mut self, caller: impl Calls) -> VcpuSet {
        let cpu = caller.cpu();
        let registers = caller.registers();
        let all = ((1_u32 << registers.count().min(MAX_LIST_REGISTERS)) - 1) as u16;
        #[cfg(feature = "shared")]
        if let Some(room) = self.goes_on_placing(cpu, all) {
            return self.fill(room, VcpuSet::EMPTY, caller);
        }
        let mut kicks = VcpuSet::EMPTY;
        let Some(state) = self.vcpus.get_mut(usize::from(cpu.get())) else {
            return kicks;
        };
        let mut room = registers.empty() as u16 & all;
        let changed = core::mem::take(&mut state.changed);
        if !state.recall && !changed && room == 0 {
            // Everything that fits is loaded already, and nothing more urgent came.
            return kicks;
        } else if state.recall
            || !self.join_held(&mut room, caller)
            || self.waiting_len(cpu) > room.count_ones()
        {
            kicks |= self.sync(caller);
            room = all;
        }

        // All that has changed is seen now.
        if let Some(state) = self.vcpus.get_mut(usize::from(cpu.get())) {
            state.changed = false;
        }
        #[cfg(feature = "shared")]
        if self.puts_off_placing(room == all, caller) {
            return kicks.without(cpu);
        }
        self.fill(room, kicks, caller)
    }

    /// Loads what waits into `room`, and has the virtual CPU interface tell of what finds none.
    fn fill(&mut self, mut room: u16, mut kicks: VcpuSet, caller: impl Calls) -> VcpuSet {
        let cpu = caller.cpu();
        let left_over = match self.waiting_len(cpu) {
            0 => Some(Announce::NOTHING),
            _ => self.load_most_urgent(&mut room, &mut kicks, caller),
        };
        let Some(mut announce) = left_over else {
            #[cfg(feature = "shared")]
            self.break_off_placing(cpu);
            return kicks.without(cpu);
        };
        announce.deactivations |= self.ends_anywhere();
        if let Some(state) = self.vcpus.get_mut(usize::from(cpu.get())) {
            // What had ended in a register that was taken over, and comes again.
            announce.refill |= core::mem::take(&mut state.changed);
            let before = core::mem::replace(&mut state.announced, announce);
            if before != announce || before.unmatched {
                caller.registers().announce(announce);
            }
            if !state.waiting.is_empty() {
                self.revoke_held(cpu);
            }
        }
        kicks.without(cpu)
    }

    /// Loads the most urgent of those that wait into `room`. Says what must be heard of since it has no list register; `None`: the pCPU is wanted.
    fn load_most_urgent(
        &mut self,
        room: &mut u16,
        kicks: &mut VcpuSet,
        caller: impl Calls,
    ) -> Option<Announce> {
        let chosen = self.choose(room.count_ones() as usize, caller)?;
        for (index, (_, intid)) in chosen.iter().enumerate() {
            if index != 0 && caller.hardware().is_wanted() {
                return None;
            }
            *kicks |= self.load(intid, room, caller);
        }
        Some(chosen.left_over())
    }

    /// How many interrupts wait for a list register of `cpu`. The set itself is large: it is not copied for this.
    fn waiting_len(&self, cpu: VcpuId) -> u32 {
        let state = self.vcpus.get(usize::from(cpu.get()));
        state.map_or(0, |state| state.waiting.len())
    }

    /// A copy of what waits for a list register of `cpu`, to change each meanwhile.
    fn waiting(&self, cpu: VcpuId) -> IntIdSet {
        let state = self.vcpus.get(usize::from(cpu.get()));
        state.map_or(IntIdSet::EMPTY, |state| state.waiting)
    }

    /// Joins new arrivals into the registers that already hold their interrupts, and takes those out of `room`. False when one cannot be
    /// joined in place.
    fn join_held(&mut self, room: &mut u16, caller: impl Calls) -> bool {
        let Some(state) = self.vcpus.get(usize::from(caller.cpu().get())) else {
            return true;
        };
        for slot in Bits(u64::from(state.used)) {
            let slot = slot as usize;
            let Some(&intid) = self
                .vcpus
                .get(usize::from(caller.cpu().get()))
                .and_then(|state| state.held.get(slot))
            else {
                continue;
            };
            if self
                .interrupt(intid, caller.cpu())
                .is_none_or(|interrupt| interrupt.waits_at != caller.cpu().get())
            {
                continue;
            }
            let now = caller.registers().read(slot);
            #[cfg(feature = "virtual-v2")]
            let gate = self.gate(intid, caller.cpu());
            let interrupt = self.interrupt_mut(intid, caller.cpu());
            #[cfg(feature = "virtual-v2")]
            let joined = interrupt.and_then(|one| one.join_or_reload(intid, now, gate));
            #[cfg(not(feature = "virtual-v2"))]
            let joined = interrupt.and_then(|one| one.join(intid, now));
            let Some(joined) = joined else {
                return false;
            };
            caller.registers().write(slot, joined);
            *room &= !(1 << slot);
            let _ = self.update(intid, caller.cpu());
            self.grant(intid, caller);
        }
        true
    }

    /// Loads one waiting interrupt into a register of `room`, and takes that register out of it.
    fn load(&mut self, intid: IntId, room: &mut u16, caller: impl Calls) -> VcpuSet {
        let cpu = caller.cpu();
        let gate = self.gate(intid, cpu);
        let Some(state) = self.vcpus.get_mut(usize::from(cpu.get())) else {
            return VcpuSet::EMPTY;
        };
        // A register that is nobody's home first: the ended interrupt in another may come again and find it free.
        let unused = *room & !state.used;
        let slot = if unused != 0 { unused } else { *room }.trailing_zeros() as usize;
        let Some(home) = state.held.get(slot).copied() else {
            return VcpuSet::EMPTY;
        };
        let bit = 1 << slot;
        *room &= !bit;
        let mut kicks = VcpuSet::EMPTY;
        if state.used & bit != 0 {
            let ended = ListRegister {
                hardware: Some(home),
                ..ListRegister::EMPTY
            };
            kicks |= self.take_back(slot, ended, caller);
        }
        if let Some(state) = self.vcpus.get_mut(usize::from(cpu.get()))
            && let Some(held) = state.held.get_mut(slot)
        {
            *held = intid;
            state.used |= bit;
        }
        if let Some(interrupt) = self.interrupt_mut(intid, cpu) {
            caller
                .registers()
                .write(slot, interrupt.load(intid, cpu.get(), slot as u8, gate));
        }
        kicks |= self.update(intid, cpu);
        self.grant(intid, caller);
        kicks
    }

    /// The caller's waiting interrupts that get the next `room` registers. Active ones come first, since those that the guest ends without
    /// finding them cost an exit, but one register is kept for the most urgent pending one, since it may preempt them all. Active ones in
    /// the order in which the guest must end them, pending ones by priority, both then by number. `None`: the pCPU is wanted.
    fn choose(&self, room: usize, caller: impl Calls) -> Option<Ranking> {
        let mut ranking = Ranking::new(room);
        let state = self.vcpus.get(usize::from(caller.cpu().get()))?;
        for (index, intid) in state.waiting.iter().enumerate() {
            if index % BETWEEN_LOOKS == BETWEEN_LOOKS - 1 && caller.hardware().is_wanted() {
                return None;
            }
            let interrupt = self.interrupt(intid, caller.cpu());
            if let Some(interrupt) = interrupt.filter(|interrupt| !interrupt.is(Flags::HELD)) {
                ranking.add(intid, interrupt.rank());
            }
        }
        Some(ranking)
    }
}

/// How many waiting interrupts are looked at before somebody else who waits for the pCPU is looked for.
const BETWEEN_LOOKS: usize = 8;

/// The best few of many interrupts, in order.
struct Ranking {
    /// Rank and interrupt, sorted; the first `len` count.
    best: [(u16, IntId); MAX_LIST_REGISTERS],
    len: usize,
    room: usize,
    /// The most urgent one that is not active.
    urgent: Option<(u16, IntId)>,
    /// How many were added: active ones, others.
    active: usize,
    inactive: usize,
}

impl Ranking {
    fn new(room: usize) -> Self {
        Self {
            best: [(0, IntId::new(0)); MAX_LIST_REGISTERS],
            len: 0,
            room: room.min(MAX_LIST_REGISTERS),
            urgent: None,
            active: 0,
            inactive: 0,
        }
    }

    fn add(&mut self, intid: IntId, rank: u16) {
        let entry = (rank, intid);
        if rank < INACTIVE {
            self.active += 1;
        } else {
            self.inactive += 1;
            self.urgent = Some(self.urgent.map_or(entry, |urgent| urgent.min(entry)));
        }
        let best = self.best.iter().take(self.len);
        let at = best.filter(|other| **other < entry).count();
        if at >= self.room {
            return;
        }
        self.len = (self.len + 1).min(self.room);
        let mut carried = entry;
        for place in self.best.iter_mut().take(self.len).skip(at) {
            carried = core::mem::replace(place, carried);
        }
    }

    /// The interrupts with their ranks, best first.
    fn iter(&self) -> impl Iterator<Item = (u16, IntId)> {
        let last = self.len.checked_sub(1).filter(|_| self.len == self.room);
        let best = self.best.iter().take(self.len);
        let crowded_out = self
            .urgent
            .filter(|urgent| !best.clone().any(|entry| entry == urgent));
        best.enumerate()
            .map(move |(index, entry)| match crowded_out {
                Some(urgent) if Some(index) == last => urgent,
                _ => *entry,
            })
    }

    /// What must be heard of since it got no register.
    fn left_over(&self) -> Announce {
        let active = self.iter().filter(|(rank, _)| *rank < INACTIVE).count();
        let stranded = self.active > active;
        Announce {
            unmatched: stranded,
            deactivations: stranded,
            refill: self.inactive > self.len - active,
        }
    }
}
