//! The virtual interrupt controller of one partition: a pure state machine.
//!
//! A guest sees the GICv3 of a machine with one security state (`GICD_CTLR.DS` = 1) and fixed affinity routing, or a GICv2 without security
//! extensions. Its distributor and redistributors are this state; its CPU interface is the hardware's, fed by list registers.
//!
//! # Where an interrupt's state is
//! Either here, or in one list register of one virtual CPU (it is *held* there). Only the physical CPU that runs that virtual CPU can read the
//! register, so anything that must see or change the state of an interrupt held elsewhere leaves a note and asks for that virtual CPU
//! to be *kicked*; it then [`flush`](Vgic::flush)es before it enters the guest again, and does what the note says. List registers are
//! read back only when somebody needs to know ([`sync`](Vgic::sync)), not at every exit; an interrupt that the guest has ended keeps
//! its list register as a home until another needs it, so that its next arrival is one register write ([`deliver`](Vgic::deliver)).
//!
//! # Physical interrupts
//! An arrival leaves the physical interrupt active (*linked*). Exactly one thing ends it: the guest's deactivation through a linked list
//! register, or [`Hardware::deactivate`] when no list register will do it any more.
//!
//! # Calling
//! All methods are for the physical CPU that runs the virtual CPU in question, under the partition's lock. Every [`VcpuSet`] that
//! comes back names virtual CPUs that must `flush` soon; the caller's own may be among them and needs no kick, since it flushes
//! before it enters the guest.

#[cfg(feature = "shared")]
mod broken_off;
#[cfg(feature = "legacy")]
mod cpu_interface;
mod distributor;
mod grant;
mod interrupt;
#[cfg(feature = "its")]
pub mod its;
mod list_registers;
#[cfg(feature = "its")]
mod lpi;
#[cfg(feature = "virtual-v3")]
mod redistributor;
mod registers;
#[cfg(feature = "virtual-v3")]
mod route;
mod sets;
mod sgi;
#[cfg(feature = "virtual-v3")]
mod sgi_registers;
mod shown;
#[cfg(test)]
mod tests;
#[cfg(feature = "virtual-v2")]
mod v2;

#[cfg(feature = "legacy")]
pub use cpu_interface::{CPU_INTERFACE_SIZE, CpuInterface, Lines};
pub use grant::{Grants, PHYSICAL as GRANTS_OF_PHYSICAL};
pub use interrupt::Interrupt;
pub use model::device::Width;
pub use sets::VcpuSet;
#[cfg(feature = "virtual-v3")]
pub use sgi_registers::SgiRegister;
pub use shown::Shown;

use crate::{Announce, ListRegisters, MAX_LIST_REGISTERS};
use interrupt::{Flags, Gate, NOBODY};
use model::device::{PassedInterrupt, Trigger};
#[cfg(feature = "its")]
use model::its::VirtualIts;
use model::partition::Vcpu;
use model::{IntId, VcpuId};
use sets::IntIdSet;

/// Most LPIs of a partition: what `GICD_TYPER.num_LPIs` says to its guest.
#[cfg(feature = "its")]
pub const MOST_LPIS: usize = VirtualIts::LPIS as usize;
/// This image has no ITS.
#[cfg(not(feature = "its"))]
pub const MOST_LPIS: usize = 0;

/// Which architecture version the guest sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// GICv2, at most 8 virtual CPUs.
    #[cfg(feature = "virtual-v2")]
    V2,
    /// GICv3, at most 64 virtual CPUs.
    #[cfg(feature = "virtual-v3")]
    V3,
}

impl Version {
    /// True for GICv3.
    const fn is_v3(self) -> bool {
        match self {
            #[cfg(feature = "virtual-v2")]
            Self::V2 => false,
            #[cfg(feature = "virtual-v3")]
            Self::V3 => true,
        }
    }
}

/// From the index of an SPI to that of an LPI.
#[cfg(feature = "its")]
const FROM_SPI_TO_LPI: usize = (IntId::FIRST_LPI - IntId::FIRST_SPI) as usize;

/// What the virtual controller is built for.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    /// Which architecture version the guest sees.
    pub version: Version,
    /// The partition's virtual CPUs.
    pub vcpus: &'static [Vcpu],
    /// The SPIs that it owns.
    pub interrupts: &'static [PassedInterrupt],
    /// The PPIs of its virtual and physical timer: physical interrupts of each virtual CPU.
    pub timers: [IntId; 2],
    /// How many SPIs the virtual distributor has: a multiple of 32, at most 960.
    pub spis: u16,
}

/// What the virtual controller does to physical interrupts that the partition owns, by their physical numbers. For a timer's PPI, `cpu` is always the calling
/// virtual CPU.
pub trait Hardware {
    /// Lets it be signalled.
    fn enable(&self, intid: IntId, cpu: VcpuId);
    /// Keeps it from being signalled; what is pending stays so.
    fn disable(&self, intid: IntId, cpu: VcpuId);
    /// Sends an SPI to the physical CPU that runs `cpu`.
    fn route(&self, intid: IntId, cpu: VcpuId);
    /// Sets how an SPI signals.
    fn set_trigger(&self, intid: IntId, trigger: Trigger);
    /// True while it is pending in the physical controller, where it waits while it is disabled or active there.
    fn is_pending(&self, intid: IntId, cpu: VcpuId) -> bool;
    /// Forgets a pending edge.
    fn clear_pending(&self, intid: IntId, cpu: VcpuId);
    /// Ends the active state that the hypervisor's acknowledgement left.
    fn deactivate(&self, intid: IntId, cpu: VcpuId);
    /// True when what concerns many interrupts had better be broken off, since someone else waits for the physical CPU.
    fn is_wanted(&self) -> bool {
        false
    }
    /// Changes what the physical ITS does with messages of the partition's devices. False when it cannot.
    #[cfg(feature = "its")]
    fn translate(&self, _change: its::Change) -> bool {
        false
    }
}

/// Who calls: a virtual CPU with the hardware of the physical CPU that runs it.
#[derive(Debug)]
pub struct Caller<'a, L, H> {
    /// Which virtual CPU.
    pub cpu: VcpuId,
    /// The list registers of this physical CPU.
    pub registers: &'a L,
    /// The physical interrupts.
    pub hardware: &'a H,
}

impl<L, H> Clone for Caller<'_, L, H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L, H> Copy for Caller<'_, L, H> {}

/// A [`Caller`], whatever its hardware is.
pub trait Calls: Copy {
    /// Which virtual CPU.
    fn cpu(&self) -> VcpuId;
    /// The list registers of this physical CPU.
    fn registers(&self) -> &impl ListRegisters;
    /// The physical interrupts.
    fn hardware(&self) -> &impl Hardware;
}

impl<L: ListRegisters, H: Hardware> Calls for Caller<'_, L, H> {
    #[inline]
    fn cpu(&self) -> VcpuId {
        self.cpu
    }
    #[inline]
    fn registers(&self) -> &impl ListRegisters {
        self.registers
    }
    #[inline]
    fn hardware(&self) -> &impl Hardware {
        self.hardware
    }
}

/// A page of emulated registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The distributor: 4 KiB (GICv2) or 64 KiB (GICv3).
    Distributor,
    /// The 128 KiB of this virtual CPU's redistributor: control frame, then the frame of its private interrupts. Any CPU may access any.
    Redistributor(VcpuId),
}

/// What became of an access to a register frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access<T> {
    /// It was done.
    Done(T),
    /// No register at this offset for this width: a read gives zero, a write nothing (the architecture's RAZ/WI). Worth counting.
    Unknown,
}

/// The answer to a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadValue {
    /// The value, zero-extended.
    pub value: u64,
    /// Virtual CPUs that hold what was asked for. The value says what was last known of it; once they are kicked a later read knows better.
    pub kicks: VcpuSet,
}

/// The part of the controller that belongs to one virtual CPU.
#[derive(Clone, Copy, Debug)]
pub struct VcpuState {
    /// SGIs and PPIs.
    interrupts: [Interrupt; 32],
    /// Interrupts that its list registers must take.
    waiting: IntIdSet,
    /// Something came to `waiting` since it was last looked at.
    changed: bool,
    /// The interrupt that each list register in `used` holds.
    held: [IntId; MAX_LIST_REGISTERS],
    /// Bit n: list register n holds an interrupt, perhaps one that the guest has ended.
    used: u16,
    /// Its list registers must be read back before it goes on.
    recall: bool,
    /// What waits has not all been placed in them, since the physical CPU was wanted.
    #[cfg(feature = "shared")]
    unplaced: bool,
    /// What its virtual CPU interface tells of.
    announced: Announce,
    /// Another virtual CPU changed the timers' interrupts, whose physical side only this one's physical CPU reaches.
    timers_changed: bool,
    /// `GICR_WAKER.ProcessorSleep`.
    #[cfg(feature = "virtual-v3")]
    asleep: bool,
    /// How many interrupts its write that was broken off has done; zero: none was.
    #[cfg(feature = "shared")]
    done: u32,
}

impl VcpuState {
    /// Room for a state that [`Vgic::new`] will shape: all zeros, so that the image need not hold it.
    pub const ROOM: Self = Self {
        interrupts: [Interrupt::ROOM; 32],
        #[cfg(feature = "virtual-v3")]
        asleep: false,
        ..Self::NEW
    };

    /// A virtual CPU that has not started.
    const NEW: Self = Self {
        interrupts: [Interrupt::NEW; 32],
        waiting: IntIdSet::EMPTY,
        changed: false,
        held: [IntId::new(0); MAX_LIST_REGISTERS],
        used: 0,
        recall: false,
        #[cfg(feature = "shared")]
        unplaced: false,
        announced: Announce::NOTHING,
        timers_changed: false,
        #[cfg(feature = "virtual-v3")]
        asleep: true,
        #[cfg(feature = "shared")]
        done: 0,
    };
}

/// The virtual interrupt controller of one partition.
pub struct Vgic {
    geometry: Geometry,
    vcpus: &'static mut [VcpuState],
    spis: &'static mut [Interrupt],
    /// At most [`MOST_LPIS`]; none without an ITS.
    #[cfg(feature = "its")]
    lpis: &'static mut [Interrupt],
    /// The physical interrupt behind the first LPI.
    #[cfg(feature = "its")]
    first_lpi: u32,
    #[cfg(feature = "its")]
    its: its::Its,
    grants: &'static [Grants],
    shown: &'static Shown,
    /// `GICD_CTLR`, bits 0 and 1: which groups are forwarded.
    groups: u32,
}

impl Vgic {
    /// A controller as after reset. `vcpus` and `grants` have one entry for each virtual CPU and `spis` one for each SPI of `geometry`; what is missing
    /// behaves as if the hardware did not have it.
    pub fn new(
        geometry: Geometry,
        vcpus: &'static mut [VcpuState],
        spis: &'static mut [Interrupt],
        grants: &'static [Grants],
        shown: &'static Shown,
    ) -> Self {
        shown.set_kind(distributor::kind(&geometry));
        let mut vgic = Self {
            geometry,
            vcpus,
            spis,
            #[cfg(feature = "its")]
            lpis: &mut [],
            #[cfg(feature = "its")]
            first_lpi: IntId::FIRST_LPI,
            #[cfg(feature = "its")]
            its: its::Its::absent(),
            grants,
            shown,
            groups: 0,
        };
        vgic.reset_state();
        vgic
    }

    /// Brings the controller and the partition's physical SPIs to where they are when the partition starts: disabled, not pending, not
    /// active, sent to the first virtual CPU. No virtual CPU may be running. Each one also needs, on its own physical CPU before it
    /// enters, [`reset_timers`](Self::reset_timers) and
    /// [`reset_virtual_interface`](crate::InterruptController::reset_virtual_interface).
    pub fn reset(&mut self, hardware: &impl Hardware) {
        let first = VcpuId::new(0);
        for owned in self.geometry.interrupts {
            hardware.disable(owned.intid, first);
            hardware.set_trigger(owned.intid, owned.trigger);
            hardware.route(owned.intid, first);
            hardware.clear_pending(owned.intid, first);
            hardware.deactivate(owned.intid, first);
        }
        #[cfg(feature = "its")]
        self.reset_its(hardware);
        self.reset_state();
    }

    /// The physical part of [`reset`](Self::reset) for the timers of one virtual CPU.
    pub fn reset_timers(&self, cpu: VcpuId, hardware: &impl Hardware) {
        for timer in self.geometry.timers {
            hardware.disable(timer, cpu);
            hardware.clear_pending(timer, cpu);
            hardware.deactivate(timer, cpu);
        }
    }

    fn reset_state(&mut self) {
        let v3 = self.geometry.version.is_v3();
        self.groups = 0;
        // IHI 0048B 4.3.5: SGIs of a GICv2 may be permanently enabled, and are on the GIC-400; ours can be masked.
        self.shown.reset(if v3 { 0 } else { 0xffff });
        for grants in self.grants {
            grants.revoke_all();
        }
        // Group registers reset to 0 (IHI 0048B 4.3.4); with one security state in GICv3 we start in group 1, as KVM and every
        // guest of a machine with firmware expects.
        let group = if v3 { Flags::GROUP1 } else { Flags::empty() };
        // Each has its deactivations trapped from its start on.
        let recall = self.ends_anywhere();
        for (cpu, state) in self.vcpus.iter_mut().enumerate() {
            *state = VcpuState {
                recall,
                ..VcpuState::NEW
            };
            for (number, interrupt) in state.interrupts.iter_mut().enumerate() {
                interrupt.target = cpu as u8;
                interrupt.flags = group;
                if number < 16 {
                    interrupt.flags |= Flags::EDGE;
                    interrupt.put(Flags::SOURCED, !v3);
                }
                let timer = self
                    .geometry
                    .timers
                    .iter()
                    .any(|timer| timer.get() as usize == number);
                interrupt.put(Flags::OWNED, timer);
            }
        }
        let (target, route) = match (self.geometry.version, self.geometry.vcpus.first()) {
            #[cfg(feature = "virtual-v3")]
            (Version::V3, Some(first)) => (0, route::packed_affinity(first.mpidr)),
            #[cfg(feature = "virtual-v2")]
            (Version::V2, _) if self.geometry.vcpus.len() == 1 => (0, 1),
            _ => (NOBODY, 0),
        };
        for interrupt in self.spis.iter_mut() {
            *interrupt = Interrupt {
                flags: group,
                target,
                route,
                ..Interrupt::NEW
            };
        }
        #[cfg(feature = "its")]
        for lpi in self.lpis.iter_mut() {
            *lpi = Interrupt {
                flags: Flags::GROUP1 | Flags::EDGE | Flags::MESSAGE,
                ..Interrupt::NEW
            };
        }
        for owned in self.geometry.interrupts {
            if let Some(interrupt) = self.interrupt_mut(owned.seen(), VcpuId::new(0)) {
                interrupt.flags |= Flags::OWNED;
                interrupt.put(Flags::EDGE, owned.trigger == Trigger::Edge);
                #[cfg(feature = "espi")]
                if owned.seen != owned.intid {
                    interrupt.extended = owned.intid.get() as u16;
                }
            }
        }
    }

    /// True for a guest that can deactivate an SPI on another CPU than the one that took it (GICv3, several CPUs): what holds no such interrupt learns
    /// nothing of it, so all its deactivations are trapped. A GICv2's always are.
    const fn ends_anywhere(&self) -> bool {
        self.geometry.version.is_v3() && self.vcpus.len() > 1
    }

    /// A physical interrupt that the partition owns arrived at this CPU, and has been acknowledged and priority-dropped; or a virtual edge
    /// (a doorbell) came. `cpu` matters for private interrupts. Where speed matters use [`deliver`](Self::deliver).
    pub fn raise(&mut self, intid: IntId, cpu: VcpuId) -> VcpuSet {
        if let Some(interrupt) = self.interrupt_mut(intid, cpu) {
            interrupt.arrive();
        }
        self.update(intid, cpu)
    }

    /// The line of a virtual device with an SPI is now `high`.
    pub fn set_line(&mut self, intid: IntId, high: bool) -> VcpuSet {
        let cpu = VcpuId::new(0);
        let Some(interrupt) = self.interrupt_mut(intid, cpu).filter(|_| intid.is_spi()) else {
            return VcpuSet::EMPTY;
        };
        let before = interrupt.is(Flags::LINE);
        interrupt.put(Flags::LINE, high);
        if before == high {
            VcpuSet::EMPTY
        } else if interrupt.is(Flags::EDGE) {
            if high {
                self.raise(intid, cpu)
            } else {
                VcpuSet::EMPTY
            }
        } else if interrupt.is(Flags::HELD) {
            // Up: the end of what the guest handles is announced, and then the line is sampled again. Down: it may still be pending there.
            if high {
                VcpuSet::EMPTY
            } else {
                self.recall(intid, cpu)
            }
        } else {
            self.update(intid, cpu)
        }
    }

    /// Interrupt `intid`; a private one is that of `cpu`. `None` when the virtual hardware does not have it.
    fn interrupt(&self, intid: IntId, cpu: VcpuId) -> Option<&Interrupt> {
        let number = intid.get() as usize;
        match number.checked_sub(IntId::FIRST_SPI as usize) {
            #[cfg(feature = "its")]
            Some(lpi @ FROM_SPI_TO_LPI..) => self.lpis.get(lpi - FROM_SPI_TO_LPI),
            Some(spi) => self.spis.get(spi),
            None => self
                .vcpus
                .get(usize::from(cpu.get()))?
                .interrupts
                .get(number),
        }
    }

    fn interrupt_mut(&mut self, intid: IntId, cpu: VcpuId) -> Option<&mut Interrupt> {
        let number = intid.get() as usize;
        match number.checked_sub(IntId::FIRST_SPI as usize) {
            #[cfg(feature = "its")]
            Some(lpi @ FROM_SPI_TO_LPI..) => self.lpis.get_mut(lpi - FROM_SPI_TO_LPI),
            Some(spi) => self.spis.get_mut(spi),
            None => self
                .vcpus
                .get_mut(usize::from(cpu.get()))?
                .interrupts
                .get_mut(number),
        }
    }

    /// True when the guest has enabled an interrupt.
    fn is_enabled(&self, intid: IntId, cpu: VcpuId) -> bool {
        #[cfg(feature = "its")]
        if intid.is_lpi() {
            let lpi = self.interrupt(intid, cpu);
            return lpi.is_some_and(|lpi| lpi.is(Flags::ENABLED));
        }
        self.shown.is_enabled(intid, cpu)
    }

    /// The physical interrupt behind a virtual one but for extended SPIs, which [`Interrupt::physical`] knows.
    const fn physical(&self, intid: IntId) -> IntId {
        #[cfg(feature = "its")]
        if intid.is_lpi() {
            return IntId::new(intid.get() - IntId::FIRST_LPI + self.first_lpi);
        }
        intid
    }

    /// What an interrupt has to pass.
    fn gate(&self, intid: IntId, cpu: VcpuId) -> Gate {
        Gate {
            enabled: self.is_enabled(intid, cpu),
            groups: self.groups,
        }
    }

    /// Puts an interrupt that changed into the waiting set where it now belongs, and takes its grant back. Every change of an interrupt
    /// comes through here. Returns the virtual CPU that it was added to.
    fn update(&mut self, intid: IntId, cpu: VcpuId) -> VcpuSet {
        let gate = self.gate(intid, cpu);
        self.revoke(intid, cpu);
        let Some(interrupt) = self.interrupt_mut(intid, cpu) else {
            return VcpuSet::EMPTY;
        };
        let now = interrupt.wants(gate).unwrap_or(NOBODY);
        // Its next arrival goes elsewhere, and the register that holds it may not announce its end: it must be loaded anew.
        let strays = interrupt.is(Flags::HELD | Flags::NEW) && interrupt.target != interrupt.holder;
        let holder = VcpuId::new(interrupt.holder);
        let before = core::mem::replace(&mut interrupt.waits_at, now);
        if before != now
            && let Some(state) = self.vcpus.get_mut(usize::from(before))
        {
            state.waiting.remove(intid);
        }
        if strays {
            return self.recall_all(holder);
        }
        let Some(state) = self.vcpus.get_mut(usize::from(now)) else {
            return VcpuSet::EMPTY;
        };
        state.changed = true;
        if before == now {
            return VcpuSet::EMPTY;
        }
        state.waiting.insert(intid);
        VcpuSet::only(VcpuId::new(now))
    }

    /// From now on the vectors leave this interrupt to us.
    fn revoke(&mut self, intid: IntId, cpu: VcpuId) {
        let physical = self.physical(intid);
        if let Some(interrupt) = self
            .interrupt_mut(intid, cpu)
            .filter(|interrupt| interrupt.is(Flags::GRANTED))
        {
            interrupt.flags -= Flags::GRANTED;
            let (holder, physical) = (interrupt.holder, interrupt.physical(physical));
            if let Some(grants) = self.grants.get(usize::from(holder)) {
                grants.revoke(physical);
            }
        }
    }

    /// Has the holder of an interrupt read its list registers back, after which the interrupt is placed anew.
    fn recall(&mut self, intid: IntId, cpu: VcpuId) -> VcpuSet {
        let Some(holder) = self
            .interrupt(intid, cpu)
            .filter(|interrupt| interrupt.is(Flags::HELD))
            .map(|held| held.holder)
        else {
            return VcpuSet::EMPTY;
        };
        self.recall_all(VcpuId::new(holder))
    }

    /// Has `cpu` read its list registers back.
    fn recall_all(&mut self, cpu: VcpuId) -> VcpuSet {
        self.vcpus
            .get_mut(usize::from(cpu.get()))
            .map_or(VcpuSet::EMPTY, |state| {
                state.recall = true;
                VcpuSet::only(cpu)
            })
    }
}
