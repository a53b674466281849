//! Guest accesses to the register frames: decoding, and what each register does to an interrupt.

use super::interrupt::{Flags, Interrupt, NOBODY};
#[cfg(feature = "its")]
use super::its;
use super::registers::{Map, Register, find, identification};
use super::{Access, Calls, Frame, Geometry, Hardware, ReadValue, VcpuSet, Version, Vgic, Width};
use crate::ListRegisters;
use core::ops::Range;
use model::device::Trigger;
use model::{IntId, VcpuId};

/// `GICD_CTLR` of GICv3: affinity routing (ARE) and one security state (DS), both fixed (IHI 0069H 12.9.4).
#[cfg(feature = "virtual-v3")]
const CONTROL_V3: u32 = 1 << 4 | 1 << 6;
/// Product "B", Arm's implementer code (IHI 0069H 12.9.11).
pub(super) const IIDR: u32 = 0x42 << 24 | 0x43b;
/// The bits of a priority that are implemented: 32 levels, as every virtual CPU interface has at least (IHI 0069H 4.8).
const PRIORITY_BITS: u8 = 0xf8;

/// `GICD_TYPER` (IHI 0048B 4.3.2, IHI 0069H 12.9.38).
pub(super) fn kind(geometry: &Geometry) -> u32 {
    let lines = (u32::from(geometry.spis) / 32) & 0x1f;
    match geometry.version {
        #[cfg(feature = "virtual-v2")]
        Version::V2 => lines | (geometry.vcpus.len().saturating_sub(1) as u32 & 7) << 5,
        #[cfg(feature = "virtual-v3")]
        Version::V3 => {
            // 10 INTID bits; Aff3 is used; an SPI has one target; SGI ranges only when some Aff0 needs them.
            let ranges = geometry
                .vcpus
                .iter()
                .any(|vcpu| vcpu.mpidr.affinity(0) > 15);
            lines | 9 << 19 | 1 << 24 | 1 << 25 | u32::from(ranges) << 26
        }
    }
}

/// One register access, decoded.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub register: Register,
    /// Bytes from the start of the register or array.
    pub at: u32,
    pub width: Width,
    /// Whose private interrupts are meant; nobody's in the distributor of GICv3, where their places are reserved.
    pub owner: Option<VcpuId>,
}

impl Target {
    /// The first interrupt in the accessed bits, and how many there are, in an array with `bits` bits an interrupt.
    pub const fn interrupts(&self, bits: u32) -> Range<u32> {
        let first = self.at * 8 / bits;
        first..first + self.width.bytes() * 8 / bits
    }
}

impl Vgic {
    fn decode(&self, frame: Frame, offset: u32, width: Width, cpu: VcpuId) -> Option<Target> {
        let (map, owner) = match (frame, self.geometry.version) {
            // A GICv2 banks the registers of private interrupts (IHI 0048B 4.1.4).
            (Frame::Distributor, version) => {
                let banked = !version.is_v3();
                (Map::Distributor(version), banked.then_some(cpu))
            }
            #[cfg(feature = "virtual-v3")]
            (Frame::Redistributor(of), Version::V3) if usize::from(of.get()) < self.vcpus.len() => {
                (Map::Redistributor, Some(of))
            }
            (Frame::Redistributor(_), _) => return None,
        };
        let (register, at) = find(map, offset, width)?;
        Some(Target {
            register,
            at,
            width,
            owner,
        })
    }

    /// What stands here whatever the list registers hold: everything but pending and active states.
    fn plain(&self, target: Target) -> Option<u64> {
        let value = match target.register {
            #[cfg(feature = "virtual-v3")]
            Register::Control if self.geometry.version.is_v3() => self.groups | CONTROL_V3,
            Register::Control => self.groups,
            Register::Type => self.shown.kind(),
            Register::Implementer => IIDR,
            Register::SetEnable | Register::ClearEnable => self.read_enabled(target),
            Register::SetPending
            | Register::ClearPending
            | Register::SetActive
            | Register::ClearActive => return None,
            #[cfg(feature = "virtual-v2")]
            Register::SetSgiPending | Register::ClearSgiPending => return None,
            _ => return Some(self.plain_of_each(target)),
        };
        Some(value.into())
    }

    /// The registers that are put together from the interrupts' states, and those that are seldom read.
    fn plain_of_each(&self, target: Target) -> u64 {
        let value = match target.register {
            Register::Group => {
                self.gather(target, 1, |interrupt| interrupt.is(Flags::GROUP1).into())
            }
            Register::Priority => self.gather(target, 8, |interrupt| interrupt.priority.into()),
            #[cfg(feature = "virtual-v2")]
            Register::Target => self.read_targets(target),
            Register::Configuration => self.gather(target, 2, |interrupt| {
                u32::from(interrupt.is(Flags::EDGE)) * 2
            }),
            #[cfg(feature = "virtual-v3")]
            Register::Route => return self.read_route(target),
            #[cfg(feature = "virtual-v3")]
            Register::RedistributorType => {
                let value = target.owner.map_or(0, |cpu| self.redistributor_type(cpu));
                return super::route::narrow(value, target);
            }
            #[cfg(feature = "virtual-v3")]
            Register::Waker => target.owner.map_or(0, |cpu| self.read_waker(cpu)),
            #[cfg(feature = "its")]
            Register::RedistributorControl => self.read_lpi_control(target.owner),
            #[cfg(feature = "its")]
            Register::LpiTables => {
                let value = self.read_lpi_tables(target.owner, target.at);
                return super::route::narrow(value, target);
            }
            Register::Identification => identification(self.geometry.version, target.at),
            _ => 0,
        };
        value.into()
    }

    /// `ISENABLER` and `ICENABLER`. The first one has a place in the distributor of GICv3 too, reserved.
    fn read_enabled(&self, target: Target) -> u32 {
        match (target.at, target.owner) {
            (0..4, None) => 0,
            (at, owner) => self
                .shown
                .enabled_word((at / 4) as usize, owner.unwrap_or(VcpuId::new(0))),
        }
    }

    /// A guest's read. Reading the pending or active state of interrupts in the caller's list registers empties them into the state:
    /// [`flush`](Self::flush) before entering the guest.
    pub fn read(
        &mut self,
        frame: Frame,
        offset: u32,
        width: Width,
        caller: impl Calls,
    ) -> Access<ReadValue> {
        let Some(target) = self.decode(frame, offset, width, caller.cpu()) else {
            return Access::Unknown;
        };
        if let Some(value) = self.plain(target) {
            return Access::Done(ReadValue {
                value,
                kicks: VcpuSet::EMPTY,
            });
        }
        let (kicks, value) = match target.register {
            Register::SetPending | Register::ClearPending => (
                self.refresh(target, caller),
                self.gather(target, 1, |interrupt| interrupt.is_pending().into())
                    | self.physically_pending(target, caller),
            ),
            #[cfg(feature = "virtual-v2")]
            Register::SetSgiPending | Register::ClearSgiPending => {
                self.read_sources(target, caller)
            }
            _ => (
                self.refresh(target, caller),
                self.gather(target, 1, |interrupt| interrupt.is(Flags::ACTIVE).into()),
            ),
        };
        Access::Done(ReadValue {
            value: value.into(),
            kicks,
        })
    }

    /// A guest's write. Returns the virtual CPUs to kick; [`flush`](Self::flush) before entering the guest. Where the CPU is
    /// [wanted](Hardware::is_wanted) it may be left unfinished (`broken_off`): then the same call goes on with it.
    pub fn write(
        &mut self,
        frame: Frame,
        offset: u32,
        width: Width,
        value: u64,
        caller: impl Calls,
    ) -> Access<VcpuSet> {
        let Some(target) = self.decode(frame, offset, width, caller.cpu()) else {
            return Access::Unknown;
        };
        let word = value as u32;
        let kicks = match target.register {
            Register::Control => self.write_control(word, caller),
            #[cfg(feature = "virtual-v2")]
            Register::Sgi => self.write_sgir(caller.cpu(), word),
            #[cfg(feature = "virtual-v3")]
            Register::Route => self.write_route(target, value, caller.hardware()),
            #[cfg(feature = "virtual-v3")]
            Register::Waker => {
                if let Some(cpu) = target.owner {
                    self.write_waker(cpu, word);
                }
                VcpuSet::EMPTY
            }
            #[cfg(feature = "its")]
            Register::RedistributorControl => self.write_lpi_control(target.owner, word, caller),
            #[cfg(feature = "its")]
            Register::LpiTables => {
                let part = its::Part::new(target.at, target.width);
                self.write_lpi_tables(target.owner, target.at, part, value);
                VcpuSet::EMPTY
            }
            Register::Group => self.write_each(target, 1, word, u32::MAX, caller),
            Register::Configuration => self.write_each(target, 2, word, u32::MAX, caller),
            Register::SetEnable
            | Register::ClearEnable
            | Register::SetPending
            | Register::ClearPending
            | Register::SetActive
            | Register::ClearActive => self.write_each(target, 1, word, word, caller),
            Register::Priority => self.write_each(target, 8, word, u32::MAX, caller),
            #[cfg(feature = "virtual-v2")]
            Register::Target | Register::SetSgiPending | Register::ClearSgiPending => {
                self.write_each(target, 8, word, u32::MAX, caller)
            }
            _ => VcpuSet::EMPTY,
        };
        Access::Done(kicks)
    }

    /// Does to an interrupt what a register says whose part for it was written with `field`.
    fn write_one(
        &mut self,
        register: Register,
        (intid, cpu): (IntId, VcpuId),
        field: u32,
        caller: impl Calls,
    ) -> VcpuSet {
        match register {
            Register::Group => self.set_group(intid, cpu, field != 0),
            Register::SetEnable => self.enable(intid, cpu, caller),
            Register::ClearEnable => self.disable(intid, cpu, caller),
            #[cfg(feature = "virtual-v2")]
            Register::SetPending | Register::ClearPending if self.is_sourced(intid, cpu) => {
                VcpuSet::EMPTY
            }
            Register::SetPending => self.set_pending(intid, cpu),
            Register::ClearPending => self.clear_pending(intid, cpu, caller),
            Register::SetActive => self.set_active(intid, cpu, caller),
            Register::ClearActive => self.clear_active(intid, cpu, caller),
            Register::Priority => self.set_priority(intid, cpu, field as u8),
            #[cfg(feature = "virtual-v2")]
            Register::Target => self.set_targets(intid, field, caller.hardware()),
            Register::Configuration => self.configure(intid, cpu, field & 2 != 0, caller),
            #[cfg(feature = "virtual-v2")]
            Register::SetSgiPending => self.add_sources(intid, cpu, field as u8),
            #[cfg(feature = "virtual-v2")]
            Register::ClearSgiPending => self.clear_sources(intid, cpu, field as u8, caller),
            _ => VcpuSet::EMPTY,
        }
    }

    fn write_control(&mut self, value: u32, caller: impl Calls) -> VcpuSet {
        let done = self.resume(caller.cpu());
        if core::mem::replace(&mut self.groups, value & 3) == self.groups && done == 0 {
            return VcpuSet::EMPTY;
        }
        // What is pending in list registers may have to come back, and what was held back may go.
        let mut kicks = VcpuSet::EMPTY;
        let private = self.vcpus.len() as u32 * IntId::FIRST_SPI;
        for index in done..private + self.spis.len() as u32 {
            let (number, cpu) = match index.checked_sub(private) {
                None => (index % IntId::FIRST_SPI, index / IntId::FIRST_SPI),
                Some(spi) => (IntId::FIRST_SPI + spi, 0),
            };
            let cpu = VcpuId::new(cpu as u8);
            let state = self.vcpus.get(usize::from(cpu.get()));
            if number == 0 && state.is_some_and(|state| state.used != 0) {
                kicks |= self.recall_all(cpu);
            }
            kicks |= self.update(IntId::new(number), cpu);
            #[cfg(feature = "shared")]
            if self.breaks_off(index + 1, caller) {
                break;
            }
        }
        kicks
    }

    /// Collects a field of `bits` bits of each accessed interrupt. Interrupts that do not exist give zero.
    pub(super) fn gather(
        &self,
        target: Target,
        bits: u32,
        field: impl Fn(&Interrupt) -> u32,
    ) -> u32 {
        let all = self.all_accessed(target, bits).iter().enumerate();
        all.fold(0, |value, (index, interrupt)| {
            value | field(interrupt) << (index as u32 * bits)
        })
    }

    /// The accessed interrupts that wait in the physical controller, one bit each.
    fn physically_pending(&self, target: Target, caller: impl Calls) -> u32 {
        let first = target.interrupts(1).start;
        let mut value = 0;
        for (index, interrupt) in (0..).zip(self.all_accessed(target, 1)) {
            let waits = interrupt.is(Flags::OWNED)
                && self
                    .accessed(first + index, target)
                    .is_some_and(|(intid, cpu)| {
                        (intid.is_spi() || cpu == caller.cpu())
                            && caller.hardware().is_pending(interrupt.physical(intid), cpu)
                    });
            value |= u32::from(waits) << index;
        }
        value
    }

    /// Hands each accessed interrupt in `touched`, one bit each, its field of `bits` bits of `value`.
    fn write_each(
        &mut self,
        target: Target,
        bits: u32,
        value: u32,
        touched: u32,
        caller: impl Calls,
    ) -> VcpuSet {
        let numbers = target.interrupts(bits);
        let mut rest = touched & u32::MAX << self.resume(caller.cpu());
        rest &= u32::MAX >> (32 - numbers.len());
        let mut kicks = VcpuSet::EMPTY;
        while rest != 0 {
            let index = rest.trailing_zeros();
            rest &= rest - 1;
            if let Some(accessed) = self.accessed(numbers.start + index, target) {
                let field = value >> (index * bits) & ((1 << bits) - 1);
                kicks |= self.write_one(target.register, accessed, field, caller);
            }
            #[cfg(feature = "shared")]
            if rest != 0 && self.breaks_off(index + 1, caller) {
                break;
            }
        }
        kicks
    }

    /// Every virtual CPU has its own pCPU: no write was broken off.
    #[cfg(not(feature = "shared"))]
    const fn resume(&mut self, _cpu: VcpuId) -> u32 {
        0
    }

    /// All interrupts that are accessed, and exist.
    fn all_accessed(&self, target: Target, bits: u32) -> &[Interrupt] {
        let Range { start, end } = target.interrupts(bits);
        let owner = target
            .owner
            .map_or(usize::MAX, |cpu| usize::from(cpu.get()));
        let (all, first) = match self.vcpus.get(owner) {
            _ if start >= IntId::FIRST_SPI => (&*self.spis, IntId::FIRST_SPI),
            Some(state) => (&state.interrupts[..], 0),
            None => return &[],
        };
        let end = all.len().min((end - first) as usize);
        all.get((start - first) as usize..end).unwrap_or_default()
    }

    /// An interrupt that exists in the accessed frame, and the virtual CPU that it is private to, or any.
    fn accessed(&self, number: u32, target: Target) -> Option<(IntId, VcpuId)> {
        let intid = IntId::new(number);
        let cpu = if intid.is_private() {
            target.owner?
        } else {
            VcpuId::new(0)
        };
        self.interrupt(intid, cpu).is_some().then_some((intid, cpu))
    }

    /// Brings the known state of the accessed interrupts up to date: at once where the caller holds one, soon where another does.
    pub(super) fn refresh(&mut self, target: Target, caller: impl Calls) -> VcpuSet {
        let all = self.all_accessed(target, 1).iter();
        let keepers = all.fold(VcpuSet::EMPTY, |keepers, interrupt| {
            keepers | interrupt.keeper(caller.cpu())
        });
        self.claim_from(keepers, caller)
    }

    /// Gets hold of an interrupt's state: reads the caller's list registers back if they hold it, and has another holder do so.
    pub(super) fn claim(&mut self, intid: IntId, cpu: VcpuId, caller: impl Calls) -> VcpuSet {
        let keeper = self
            .interrupt(intid, cpu)
            .map_or(VcpuSet::EMPTY, |interrupt| interrupt.keeper(caller.cpu()));
        self.claim_from(keeper, caller)
    }

    /// The same for all interrupts that these virtual CPUs hold.
    fn claim_from(&mut self, keepers: VcpuSet, caller: impl Calls) -> VcpuSet {
        let mut kicks = VcpuSet::EMPTY;
        for keeper in keepers.without(caller.cpu()).iter() {
            kicks |= self.recall_all(keeper);
        }
        if keepers.contains(caller.cpu()) {
            kicks |= self.sync(caller);
        }
        kicks
    }

    /// Ends an access that changed an interrupt: its physical side, then its place.
    pub(super) fn finish(&mut self, intid: IntId, cpu: VcpuId, caller: impl Calls) -> VcpuSet {
        self.settle(intid, cpu, caller) | self.update(intid, cpu)
    }

    /// Enables or disables the physical interrupt, if there is one within reach, as the virtual one is. Another CPU's timer follows when
    /// that CPU settles.
    pub(super) fn apply_enable(&self, intid: IntId, cpu: VcpuId, caller: impl Calls) {
        let within_reach = intid.is_spi() || cpu == caller.cpu();
        let interrupt = self.interrupt(intid, cpu);
        let Some(owned) = interrupt.filter(|one| within_reach && one.is(Flags::OWNED)) else {
            return;
        };
        let physical = owned.physical(intid);
        match self.shown.is_enabled(intid, cpu) {
            true => caller.hardware().enable(physical, cpu),
            false => caller.hardware().disable(physical, cpu),
        }
    }

    fn enable(&mut self, intid: IntId, cpu: VcpuId, caller: impl Calls) -> VcpuSet {
        self.shown.set_enabled(intid, cpu, true);
        self.apply_enable(intid, cpu, caller);
        self.reconsider(intid, cpu) | self.finish(intid, cpu, caller)
    }

    fn disable(&mut self, intid: IntId, cpu: VcpuId, caller: impl Calls) -> VcpuSet {
        self.shown.set_enabled(intid, cpu, false);
        self.apply_enable(intid, cpu, caller);
        // What the guest handles stays with it, link and all; what it has not seen comes back.
        self.claim(intid, cpu, caller) | self.finish(intid, cpu, caller)
    }

    /// After a change that may let through what was left behind when the interrupt was loaded.
    fn reconsider(&mut self, intid: IntId, cpu: VcpuId) -> VcpuSet {
        match self.interrupt(intid, cpu) {
            Some(interrupt) if interrupt.is(Flags::HELD | Flags::LATER) => self.recall(intid, cpu),
            _ => VcpuSet::EMPTY,
        }
    }

    fn set_pending(&mut self, intid: IntId, cpu: VcpuId) -> VcpuSet {
        match self.interrupt_mut(intid, cpu) {
            Some(interrupt) => interrupt.pend(),
            None => return VcpuSet::EMPTY,
        }
        self.update(intid, cpu)
    }

    pub(super) fn clear_pending(
        &mut self,
        intid: IntId,
        cpu: VcpuId,
        caller: impl Calls,
    ) -> VcpuSet {
        let kicks = self.claim(intid, cpu, caller);
        if let Some(interrupt) = self.interrupt_mut(intid, cpu) {
            interrupt.unpend();
            if interrupt.is(Flags::OWNED) && (intid.is_spi() || cpu == caller.cpu()) {
                let physical = interrupt.physical(intid);
                caller.hardware().clear_pending(physical, cpu);
            }
        }
        kicks | self.finish(intid, cpu, caller)
    }

    fn set_active(&mut self, intid: IntId, cpu: VcpuId, caller: impl Calls) -> VcpuSet {
        let kicks = self.claim(intid, cpu, caller);
        if let Some(interrupt) = self.interrupt_mut(intid, cpu) {
            interrupt.activate();
        }
        kicks | self.finish(intid, cpu, caller)
    }

    /// The guest wrote `value` to `ICC_DIR_EL1` or `GICV_DIR`, and was trapped. Unless it has separated deactivation from the drop of priority that
    /// is UNPREDICTABLE (IHI 0048B 4.4.14, IHI 0069H 12.2.10), and does nothing.
    pub fn write_deactivate(&mut self, value: u32, caller: impl Calls) -> VcpuSet {
        let number = match self.geometry.version {
            #[cfg(feature = "virtual-v2")]
            Version::V2 => value & 0x3ff,
            #[cfg(feature = "virtual-v3")]
            Version::V3 => value & 0xff_ffff,
        };
        if caller.registers().splits_ends() {
            self.deactivate(IntId::new(number), caller)
        } else {
            VcpuSet::EMPTY
        }
    }

    /// The guest deactivates an interrupt. It may be active at another CPU: an SPI's active state belongs to no CPU (IHI 0069H 4.1.2).
    pub fn deactivate(&mut self, intid: IntId, caller: impl Calls) -> VcpuSet {
        if self.interrupt(intid, caller.cpu()).is_none() {
            return VcpuSet::EMPTY;
        }
        self.clear_active(intid, caller.cpu(), caller)
    }

    fn clear_active(&mut self, intid: IntId, cpu: VcpuId, caller: impl Calls) -> VcpuSet {
        let kicks = self.claim(intid, cpu, caller);
        if let Some(interrupt) = self.interrupt_mut(intid, cpu) {
            interrupt.deactivate();
        }
        kicks | self.finish(intid, cpu, caller)
    }

    fn set_group(&mut self, intid: IntId, cpu: VcpuId, group1: bool) -> VcpuSet {
        match self.interrupt_mut(intid, cpu) {
            Some(interrupt) if interrupt.is(Flags::GROUP1) != group1 => {
                interrupt.put(Flags::GROUP1, group1)
            }
            _ => return VcpuSet::EMPTY,
        }
        self.recall(intid, cpu) | self.update(intid, cpu)
    }

    /// An interrupt that is pending in a list register keeps the priority that it was loaded with (IHI 0069H 12.9.20 leaves it open).
    pub(super) fn set_priority(&mut self, intid: IntId, cpu: VcpuId, priority: u8) -> VcpuSet {
        if let Some(interrupt) = self.interrupt_mut(intid, cpu) {
            interrupt.priority = priority & PRIORITY_BITS;
        }
        self.update(intid, cpu)
    }

    /// SGIs are edge-triggered, and the trigger of PPIs is fixed here, as IHI 0069H 12.11.7 allows.
    fn configure(&mut self, intid: IntId, cpu: VcpuId, edge: bool, caller: impl Calls) -> VcpuSet {
        if !intid.is_spi()
            || self
                .interrupt(intid, cpu)
                .is_none_or(|interrupt| interrupt.is(Flags::EDGE) == edge)
        {
            return VcpuSet::EMPTY;
        }
        let kicks = self.claim(intid, cpu, caller);
        if let Some(interrupt) = self.interrupt_mut(intid, cpu) {
            interrupt.set_edge(edge);
            if interrupt.is(Flags::OWNED) {
                let trigger = if edge { Trigger::Edge } else { Trigger::Level };
                let physical = interrupt.physical(intid);
                caller.hardware().set_trigger(physical, trigger);
            }
        }
        kicks | self.finish(intid, cpu, caller)
    }

    pub(super) fn send_to(
        &mut self,
        intid: IntId,
        route: u32,
        target: u8,
        hardware: &impl Hardware,
    ) -> VcpuSet {
        let cpu = VcpuId::new(0);
        let Some(interrupt) = self.interrupt_mut(intid, cpu) else {
            return VcpuSet::EMPTY;
        };
        interrupt.route = route;
        if core::mem::replace(&mut interrupt.target, target) == target {
            return VcpuSet::EMPTY;
        }
        if interrupt.is(Flags::OWNED) && target != NOBODY {
            hardware.route(interrupt.physical(intid), VcpuId::new(target));
        }
        self.recall(intid, cpu) | self.update(intid, cpu)
    }
}
