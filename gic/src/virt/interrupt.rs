//! The state of one virtual interrupt, and how it moves into a list register and back.
//!
//! While an interrupt is *held* by a list register, that register knows its state and this structure only what was true when it was
//! last written or read. What arrives meanwhile is noted beside it and joined when the register is read back.

use super::VcpuSet;
use crate::{ListRegister, LrState};
use bitflags::bitflags;
use model::{IntId, VcpuId};

/// "No virtual CPU" in the fields that name one.
pub(super) const NOBODY: u8 = u8::MAX;

/// "No priority to drop" in [`Interrupt::running`]: a register write made it active, or its CPU has been off since.
pub(super) const UNRANKED: u8 = u8::MAX;

/// [Ranks](Interrupt::rank) of interrupts that are not active start here.
pub(super) const INACTIVE: u16 = 0x100;

bitflags! {
    /// What is true of an interrupt.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct Flags: u32 {
        /// It is in group 1.
        const GROUP1 = 1 << 1;
        /// Edge-triggered; level-sensitive if clear.
        const EDGE = 1 << 2;
        /// A virtual device asserts its line.
        const LINE = 1 << 3;
        /// It has arrived. While held: the list register had it pending.
        const PENDING = 1 << 4;
        /// The guest made a level-sensitive one pending by a register write.
        const SOFTWARE = 1 << 5;
        /// The guest handles it. While held: the list register had it active.
        const ACTIVE = 1 << 6;
        /// A list register of `holder` holds it.
        const HELD = 1 << 7;
        /// It arrived again while held.
        const NEW = 1 << 8;
        /// It is pending beside what the list register holds, and comes after that.
        const LATER = 1 << 9;
        /// A physical interrupt stands behind it.
        const OWNED = 1 << 10;
        /// The physical interrupt is active and waits for the guest's deactivation.
        const LINKED = 1 << 11;
        /// A GICv2 SGI: pending once for each source CPU.
        const SOURCED = 1 << 12;
        /// The guest took the pending state away while another CPU's list register held it.
        const DROP_PENDING = 1 << 13;
        /// The same for the active state.
        const DROP_ACTIVE = 1 << 14;
        /// The guest made it active while another CPU's list register held it.
        const SET_ACTIVE = 1 << 15;
        /// The physical interrupt arrived while held: it is linked anew, whatever became of the link in the list register.
        const RELINKED = 1 << 16;
        /// The vectors may deliver it to `holder` by themselves (see `grant`).
        const GRANTED = 1 << 17;
        /// An LPI: it has no active state of its own (IHI 0069H 4.1.2), whatever a list register says while the guest handles it.
        const MESSAGE = 1 << 30;
        /// An LPI that its configuration table enables. For all others the enable bits are in `Shown`.
        const ENABLED = 1 << 31;
    }
}

/// What an interrupt has to pass to be signalled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate {
    /// Its enable bit.
    pub(super) enabled: bool,
    /// `GICD_CTLR`: bit 0 forwards group 0, bit 1 group 1.
    pub(super) groups: u32,
}

/// One virtual interrupt.
#[derive(Clone, Copy, Debug)]
pub struct Interrupt {
    pub(super) flags: Flags,
    /// 0 is most urgent; multiples of 8.
    pub(super) priority: u8,
    /// The virtual CPU that it goes to, or [`NOBODY`].
    pub(super) target: u8,
    /// The virtual CPU that holds it in a list register, or on which it is active; otherwise without meaning.
    pub(super) holder: u8,
    /// Which of the holder's list registers.
    pub(super) slot: u8,
    /// The virtual CPU in whose waiting set it is, or [`NOBODY`].
    pub(super) waits_at: u8,
    /// Source CPUs of a pending GICv2 SGI that are not in a list register.
    pub(super) sources: u8,
    /// Source CPU of the GICv2 SGI that is in a list register or active.
    #[cfg(feature = "virtual-v2")]
    pub(super) source: u8,
    /// While active: the priority that it was acknowledged with, or [`UNRANKED`]. The guest's end of interrupt drops this one, whatever its
    /// priority is by then.
    pub(super) running: u8,
    /// What the guest wrote as its destination: GICv3 Aff3.Aff2.Aff1.Aff0, GICv2 a mask of CPUs.
    pub(super) route: u32,
    /// The extended SPI behind it, or 0. Its number has 13 bits.
    #[cfg(feature = "espi")]
    pub(super) extended: u16,
}

impl Interrupt {
    /// Room for an interrupt that [`Vgic::new`](super::Vgic::new) will shape: all zeros, so that the image need not hold it.
    pub const ROOM: Self = Self {
        target: 0,
        holder: 0,
        waits_at: 0,
        running: 0,
        ..Self::NEW
    };

    /// An interrupt that nothing is known of.
    pub(super) const NEW: Self = Self {
        flags: Flags::empty(),
        priority: 0,
        target: NOBODY,
        holder: NOBODY,
        slot: 0,
        waits_at: NOBODY,
        sources: 0,
        #[cfg(feature = "virtual-v2")]
        source: 0,
        running: UNRANKED,
        route: 0,
        #[cfg(feature = "espi")]
        extended: 0,
    };

    /// The physical interrupt behind it, if there is one; its own number is `id`.
    #[inline]
    pub(super) const fn physical(&self, id: IntId) -> IntId {
        #[cfg(feature = "espi")]
        if self.extended != 0 {
            return IntId::new(self.extended as u32);
        }
        id
    }

    pub(super) const fn is(&self, flags: Flags) -> bool {
        self.flags.contains(flags)
    }

    /// Whose list registers must be read before the state is known. If an active one is in none of the caller's, its end may have been counted and not
    /// yet announced.
    pub(super) fn keeper(&self, caller: VcpuId) -> VcpuSet {
        let ended = self.is(Flags::ACTIVE) && self.holder == caller.get();
        if self.is(Flags::HELD) || ended {
            VcpuSet::only(VcpuId::new(self.holder))
        } else {
            VcpuSet::EMPTY
        }
    }

    pub(super) fn put(&mut self, flags: Flags, on: bool) {
        self.flags.set(flags, on);
    }

    /// Clears `off`, then sets `on`.
    pub(super) fn change(&mut self, off: Flags, on: Flags) {
        self.flags = self.flags.difference(off).union(on);
    }

    /// Level-sensitive with a virtual device (or nothing) behind it: its line is sampled, not remembered.
    const fn is_sampled(&self) -> bool {
        !self
            .flags
            .intersects(Flags::EDGE.union(Flags::OWNED).union(Flags::SOURCED))
    }

    /// Pending without regard to the line of a virtual device and to what a list register holds.
    fn is_latched(&self) -> bool {
        let noted = if self.is(Flags::HELD) {
            Flags::NEW | Flags::LATER | Flags::SOFTWARE
        } else {
            Flags::PENDING | Flags::SOFTWARE
        };
        self.flags.intersects(noted) || self.sources != 0
    }

    /// Pending as far as is known: what `ISPENDR` shows.
    pub(super) fn is_pending(&self) -> bool {
        self.is_latched() || self.is(Flags::PENDING) || self.is_sampled() && self.is(Flags::LINE)
    }

    /// Active at `cpu`, and in no list register.
    pub(super) fn is_stranded(&self, cpu: u8) -> bool {
        self.is(Flags::ACTIVE) && !self.is(Flags::HELD) && self.holder == cpu
    }

    /// How soon it needs a list register, the smaller the sooner: an active one by the priority to drop, then a pending one by its own.
    pub(super) fn rank(&self) -> u16 {
        if self.is(Flags::ACTIVE) {
            u16::from(self.running)
        } else {
            INACTIVE + u16::from(self.priority)
        }
    }

    /// True when the guest lets it through.
    pub(super) fn is_let_through(&self, gate: Gate) -> bool {
        gate.enabled && gate.groups >> u32::from(self.is(Flags::GROUP1)) & 1 != 0
    }

    /// The virtual CPU whose list registers must take it (or take more of it) now.
    pub(super) fn wants(&self, gate: Gate) -> Option<u8> {
        let place = if self.is(Flags::HELD) {
            let joins =
                self.is(Flags::NEW) && self.is_let_through(gate) && self.target == self.holder;
            if joins { self.holder } else { NOBODY }
        } else if self.is(Flags::ACTIVE) {
            // The virtual CPU that handles it must find it when it ends it, wherever the next one goes.
            self.holder
        } else if self.is_pending() && self.is_let_through(gate) {
            self.target
        } else {
            NOBODY
        };
        (place != NOBODY).then_some(place)
    }

    /// Notes an arrival: of the physical interrupt, or of an edge.
    pub(super) fn arrive(&mut self) {
        if self.is(Flags::OWNED) {
            let held = self.is(Flags::HELD);
            self.flags |= if held { Flags::RELINKED } else { Flags::LINKED };
        }
        self.flags |= match (self.is(Flags::HELD), self.is_sampled()) {
            (true, false) => Flags::NEW,
            (true, true) => Flags::NEW | Flags::SOFTWARE,
            (false, false) => Flags::PENDING,
            (false, true) => Flags::SOFTWARE,
        };
    }

    /// The guest makes it pending by a register write.
    pub(super) fn pend(&mut self) {
        self.flags |= match (self.is(Flags::HELD), self.is(Flags::EDGE)) {
            (true, true) => Flags::NEW,
            (true, false) => Flags::NEW | Flags::SOFTWARE,
            (false, true) => Flags::PENDING,
            (false, false) => Flags::SOFTWARE,
        };
    }

    /// The guest takes the pending state away. A list register that holds it elsewhere is corrected when it is read back.
    pub(super) fn unpend(&mut self) {
        self.flags -= Flags::PENDING | Flags::SOFTWARE | Flags::NEW | Flags::LATER;
        self.sources = 0;
        if self.is(Flags::HELD) {
            self.flags |= Flags::DROP_PENDING;
        }
    }

    /// The guest makes it active by a register write.
    pub(super) fn activate(&mut self) {
        if self.is(Flags::HELD) {
            self.change(Flags::DROP_ACTIVE, Flags::SET_ACTIVE);
        } else if !self.is(Flags::ACTIVE) {
            self.flags |= Flags::ACTIVE;
            self.holder = self.target;
            self.running = UNRANKED;
        }
    }

    /// The guest takes the active state away.
    pub(super) fn deactivate(&mut self) {
        if self.is(Flags::HELD) {
            self.change(Flags::SET_ACTIVE, Flags::DROP_ACTIVE);
        } else {
            self.flags -= Flags::ACTIVE;
        }
    }

    /// Sets the trigger; a pending state survives.
    pub(super) fn set_edge(&mut self, edge: bool) {
        let (from, to) = if edge {
            (Flags::SOFTWARE, Flags::PENDING)
        } else {
            (Flags::PENDING, Flags::SOFTWARE)
        };
        if edge != self.is(Flags::EDGE) && !self.is(Flags::HELD) && self.is(from) {
            self.change(from, to);
        }
        self.put(Flags::EDGE, edge);
    }

    /// True when an arrival can go straight into a list register of `cpu`: nothing about the interrupt is out of the ordinary.
    #[inline]
    pub(super) fn is_straight(&self, cpu: u8, gate: Gate) -> bool {
        !self.is(Flags::SOURCED) && self.is_ordinary(cpu, gate)
    }

    /// The same, but for the source CPU of a GICv2 SGI.
    #[inline]
    fn is_ordinary(&self, cpu: u8, gate: Gate) -> bool {
        const ODD: Flags = Flags::NEW
            .union(Flags::RELINKED)
            .union(Flags::LATER)
            .union(Flags::SOFTWARE)
            .union(Flags::DROP_PENDING)
            .union(Flags::DROP_ACTIVE)
            .union(Flags::SET_ACTIVE);
        const HERE: Flags = Flags::PENDING.union(Flags::ACTIVE);
        self.flags.intersects(Flags::OWNED.union(Flags::EDGE))
            && !self.flags.intersects(ODD)
            && self.sources == 0
            && self.is_let_through(gate)
            && self.target == cpu
            && if self.is(Flags::HELD) {
                self.holder == cpu
            } else {
                !self.flags.intersects(HERE)
            }
    }

    /// The register content for a straight delivery into register `slot` of `cpu`.
    #[inline]
    pub(super) fn link(&mut self, id: IntId, cpu: u8, slot: u8) -> ListRegister {
        self.change(Flags::ACTIVE, Flags::HELD | Flags::PENDING);
        if self.is(Flags::OWNED) {
            self.flags |= Flags::LINKED;
        }
        self.holder = cpu;
        self.slot = slot;
        self.straight_content(id)
    }

    /// What [`link`](Self::link) would write again, if it would change nothing but the list register. For a GICv2 SGI without its source CPU: that
    /// of a delivery is in the register alone.
    #[inline]
    pub(super) fn standing(&self, id: IntId, cpu: u8, gate: Gate) -> Option<ListRegister> {
        let at_home = self.is(Flags::HELD | Flags::PENDING) && !self.is(Flags::ACTIVE);
        let linked = self.is(Flags::LINKED) == self.is(Flags::OWNED);
        (at_home && linked && self.is_ordinary(cpu, gate)).then(|| self.straight_content(id))
    }

    #[inline]
    fn straight_content(&self, id: IntId) -> ListRegister {
        ListRegister {
            virtual_id: id,
            hardware: self.is(Flags::OWNED).then_some(self.physical(id)),
            priority: self.priority,
            group1: self.is(Flags::GROUP1),
            state: LrState::Pending,
            end_maintenance: false,
            #[cfg(feature = "virtual-v2")]
            source: 0,
        }
    }

    /// Moves it into register `slot` of `cpu`, and returns what that register must contain.
    pub(super) fn load(&mut self, id: IntId, cpu: u8, slot: u8, gate: Gate) -> ListRegister {
        let active = self.is(Flags::ACTIVE);
        // One register has one priority, which the end of the active state must find as it was (IHI 0069H 4.8.6).
        let fits = !active || self.running == self.priority;
        let admitted = fits && self.is_pending() && self.is_let_through(gate) && self.target == cpu;
        // A sampled line is looked at again when the guest has finished with what it handles.
        let pending = admitted && !(active && self.is_sampled());
        let later = !pending && self.is_latched();
        #[cfg(feature = "virtual-v2")]
        let (pending, later) = self
            .present_source(admitted, active)
            .unwrap_or((pending, later));
        let physical = self.is(Flags::LINKED);
        // Pending-and-active is not allowed with a hardware link (IHI 0069H 12.4.6, IHI 0048B 5.3.10); and a linked register cannot
        // announce its end, which we must hear when more is to follow. Then the physical interrupt is ended by `settle`.
        let linked = physical && !(pending && active) && !later;

        self.flags -= Flags::NEW;
        self.flags |= Flags::HELD;
        self.put(Flags::PENDING, pending);
        self.put(Flags::LATER, later);
        self.holder = cpu;
        self.slot = slot;
        ListRegister {
            virtual_id: id,
            hardware: linked.then_some(self.physical(id)),
            priority: if fits || self.running == UNRANKED {
                self.priority
            } else {
                self.running
            },
            group1: self.is(Flags::GROUP1),
            state: LrState::new(pending, active),
            end_maintenance: !linked && (physical || later || self.is_sampled()),
            #[cfg(feature = "virtual-v2")]
            source: self.source,
        }
    }

    /// Joins a new arrival into the register that holds it, without reading the others. `None` when that cannot be done.
    pub(super) fn join(&mut self, id: IntId, now: ListRegister) -> Option<ListRegister> {
        let active = now.state.is_active();
        let unranked = self.is(Flags::ACTIVE) && self.running == UNRANKED;
        if !self.is(Flags::EDGE)
            || active && (unranked || now.priority != self.priority)
            || self
                .flags
                .intersects(Flags::LINKED | Flags::RELINKED | Flags::LATER)
        {
            return None;
        }
        self.change(Flags::NEW, Flags::PENDING);
        self.put(Flags::ACTIVE, active);
        self.running = if active { now.priority } else { UNRANKED };
        Some(ListRegister {
            virtual_id: id,
            hardware: None,
            priority: self.priority,
            group1: self.is(Flags::GROUP1),
            state: LrState::new(true, active),
            end_maintenance: false,
            #[cfg(feature = "virtual-v2")]
            source: 0,
        })
    }

    /// Takes it back out of the register that held it, whose last content was `last`.
    pub(super) fn unload(&mut self, last: ListRegister) {
        let pending = last.state.is_pending() && !self.is(Flags::DROP_PENDING);
        let active =
            last.state.is_active() && !self.is(Flags::DROP_ACTIVE) || self.is(Flags::SET_ACTIVE);
        // Loaded active and still so: it may never have been acknowledged.
        if !self.is(Flags::ACTIVE) || self.running != UNRANKED {
            self.running = last.priority;
        }
        if !last.state.is_active() {
            self.running = UNRANKED;
        }
        let again = self.flags.intersects(Flags::NEW | Flags::LATER);
        let ended_link = last.hardware.is_some() && last.state == LrState::Empty;
        let linked = self.is(Flags::LINKED) && !ended_link || self.is(Flags::RELINKED);
        self.put(Flags::LINKED, linked);
        if self.is(Flags::EDGE) {
            self.put(Flags::PENDING, pending || again);
            self.flags -= Flags::SOFTWARE;
        } else {
            // What was pending of a level-sensitive one came from the physical line, or from `SOFTWARE` or `LINE`, which tell by themselves.
            self.put(
                Flags::PENDING,
                self.is(Flags::OWNED) && (pending && self.is(Flags::LINKED) || again),
            );
            if !pending && !again {
                self.flags -= Flags::SOFTWARE;
            }
        }
        #[cfg(feature = "virtual-v2")]
        self.keep_source(last.source, pending);
        self.flags -= Flags::HELD | Flags::NEW | Flags::LATER | Flags::RELINKED;
        self.flags -= Flags::DROP_PENDING | Flags::DROP_ACTIVE | Flags::SET_ACTIVE;
        self.put(Flags::ACTIVE, active && !self.is(Flags::MESSAGE));
    }

    /// True when the physical interrupt, `enabled` or not, must be deactivated now, since no list register will do it: nothing is left for the guest to end;
    /// or a level-sensitive one is disabled before the guest has seen it, and goes back to the physical line, which keeps it
    /// pending for as long as it is true.
    pub(super) fn settle(&mut self, enabled: bool) -> bool {
        if !self.is(Flags::LINKED) || self.flags.intersects(Flags::HELD | Flags::ACTIVE) {
            return false;
        }
        let unseen_level = !enabled && !self.flags.intersects(Flags::EDGE | Flags::SOFTWARE);
        if unseen_level {
            self.flags -= Flags::PENDING;
        }
        if self.is_pending() {
            return false;
        }
        self.flags -= Flags::LINKED;
        true
    }
}
