//! Tests of the virtual controller against a fake machine whose virtual CPU interface plays the hardware's part.

mod access;
mod conformance;
mod cpu_interface;
#[cfg(feature = "its")]
mod its;
mod nesting;
mod random;
mod reference;
mod register_map;
mod scenarios;
mod sgi;

use super::*;
use crate::{Announce, ListRegister, ListRegisters, LrState};
use model::{Mpidr, PcpuId};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// An owned level-sensitive SPI.
pub const LEVEL: IntId = IntId::new(33);
/// An owned edge-triggered SPI, and the physical interrupt behind it: an extended SPI.
pub const EDGE: IntId = IntId::new(34);
pub const EDGE_OUTSIDE: IntId = IntId::new(4130);
/// The SPI of a virtual device, level-sensitive.
pub const UART: IntId = IntId::new(40);
/// An SPI that nobody stands behind.
pub const HIDDEN: IntId = IntId::new(50);
/// The virtual timer's PPI.
pub const TIMER: IntId = IntId::new(27);
/// SPIs of the fake machine.
pub const SPIS: usize = 64;

static OWNED: [PassedInterrupt; 2] = [
    PassedInterrupt::new(LEVEL, Trigger::Level),
    PassedInterrupt {
        seen: EDGE,
        ..PassedInterrupt::new(EDGE_OUTSIDE, Trigger::Edge)
    },
];

/// The list registers and virtual CPU interface of one CPU, as the guest's use of it changes them.
#[derive(Default)]
pub struct VirtualInterface {
    pub registers: RefCell<Vec<ListRegister>>,
    pub announced: Cell<Announce>,
    /// Ends and deactivations that found no list register: `EOIcount`.
    unmatched: Cell<u32>,
    /// `EOImode`: an end only drops the priority.
    pub split: Cell<bool>,
    /// What the guest has acknowledged and not yet ended, with its priority: the active priorities.
    pub running: RefCell<Vec<(IntId, u8)>>,
}

impl VirtualInterface {
    fn new(count: usize) -> Self {
        Self {
            registers: RefCell::new(vec![ListRegister::EMPTY; count]),
            ..Self::default()
        }
    }

    fn bits(&self, holds: impl Fn(&ListRegister) -> bool) -> u64 {
        self.registers
            .borrow()
            .iter()
            .enumerate()
            .map(|(n, register)| u64::from(holds(register)) << n)
            .sum()
    }

    /// What the registers hold, without the free ones.
    pub fn held(&self) -> Vec<ListRegister> {
        self.registers
            .borrow()
            .iter()
            .copied()
            .filter(|register| register.state != LrState::Empty)
            .collect()
    }

    /// The state in which an interrupt is held.
    pub fn state(&self, intid: IntId) -> LrState {
        self.held()
            .iter()
            .find(|register| register.virtual_id == intid)
            .map_or(LrState::Empty, |register| register.state)
    }

    /// The guest acknowledges: the most urgent pending interrupt that is more urgent than what it handles.
    pub fn acknowledge(&self) -> Option<ListRegister> {
        let ceiling = self
            .running
            .borrow()
            .iter()
            .map(|(_, priority)| *priority)
            .min()
            .map_or(0x100, u16::from);
        let mut registers = self.registers.borrow_mut();
        let next = registers
            .iter_mut()
            .filter(|register| {
                register.state == LrState::Pending && u16::from(register.priority) < ceiling
            })
            .min_by_key(|register| register.priority)?;
        let taken = *next;
        next.state = LrState::Active;
        self.running
            .borrow_mut()
            .push((taken.virtual_id, taken.priority));
        Some(taken)
    }

    /// The guest ends what it acknowledged last. Returns the physical interrupt that this deactivates.
    pub fn end(&self) -> Option<IntId> {
        let (intid, priority) = self.running.borrow_mut().pop()?;
        if self.split.get() {
            return None;
        }
        // The register must have the priority that is dropped (`ICV_EOIR1_EL1`).
        self.deactivate(intid, |register| register.priority == priority)
    }

    /// The guest deactivates an interrupt, and is not trapped. Returns the physical interrupt that this deactivates.
    fn deactivate(&self, intid: IntId, fits: impl Fn(&ListRegister) -> bool) -> Option<IntId> {
        let mut registers = self.registers.borrow_mut();
        let active = registers
            .iter_mut()
            .find(|register| register.virtual_id == intid && register.state.is_active());
        match active {
            None => {
                self.unmatched.set((self.unmatched.get() + 1) % 32);
                None
            }
            Some(register) if fits(register) => {
                register.state = LrState::new(register.state.is_pending(), false);
                register.hardware
            }
            Some(_) => None,
        }
    }

    /// The maintenance interrupt is asserted.
    fn wants_maintenance(&self) -> bool {
        let told = self.announced.get();
        let pending = self.bits(|register| register.state == LrState::Pending);
        let ended =
            self.bits(|register| register.state == LrState::Empty && register.end_maintenance);
        told.refill && pending == 0 || told.unmatched && self.unmatched.get() != 0 || ended != 0
    }

    /// What [`reset_virtual_interface`](crate::InterruptController::reset_virtual_interface) does.
    fn reset(&self) {
        self.registers.borrow_mut().fill(ListRegister::EMPTY);
        self.running.borrow_mut().clear();
        self.announced.set(Announce::NOTHING);
        self.unmatched.set(0);
        self.split.set(false);
    }
}

impl ListRegisters for VirtualInterface {
    fn count(&self) -> usize {
        self.registers.borrow().len()
    }
    fn empty(&self) -> u64 {
        self.bits(|register| register.state == LrState::Empty && !register.end_maintenance)
    }
    fn read(&self, index: usize) -> ListRegister {
        self.registers.borrow()[index]
    }
    fn write(&self, index: usize, register: ListRegister) {
        // Through the hardware's format: what it cannot express must not matter.
        self.registers.borrow_mut()[index] = if register.source == 0 {
            ListRegister::from_v3(register.to_v3())
        } else {
            ListRegister::from_v2(register.to_v2())
        };
    }
    fn image(&self, index: usize, register: ListRegister) -> Option<u64> {
        assert!(index < self.count() && register.source == 0);
        Some(register.to_v3())
    }
    /// The source CPU of a GICv2 SGI stands where the numbers of LPIs have more bits.
    fn write_image(&self, index: usize, image: u64) {
        let mut register = ListRegister::from_v3(image);
        if register.virtual_id.get() >> 13 == 0 {
            register.source = (register.virtual_id.get() >> 10) as u8;
            register.virtual_id = IntId::new(register.virtual_id.get() & 0x3ff);
        }
        self.registers.borrow_mut()[index] = register;
    }
    fn announce(&self, what: Announce) {
        self.announced.set(what);
        self.unmatched.set(0);
    }
    fn running_priority(&self) -> u8 {
        let running = self.running.borrow();
        running.last().map_or(u8::MAX, |(_, priority)| *priority)
    }
    fn splits_ends(&self) -> bool {
        self.split.get()
    }
}

/// A physical interrupt.
#[derive(Clone, Copy, Debug, Default)]
pub struct Physical {
    pub enabled: bool,
    pub active: bool,
    /// A level line is asserted.
    pub line: bool,
    /// An edge is latched.
    pub latched: bool,
    pub target: u8,
}

/// The physical interrupts, by number and, for private ones, virtual CPU.
#[derive(Default)]
pub struct PhysicalInterrupts {
    all: RefCell<BTreeMap<(u32, u8), Physical>>,
    /// How often the hypervisor deactivated one itself.
    pub deactivations: Cell<u32>,
    /// The virtual CPU on whose behalf the controller is being called.
    acting: Cell<u8>,
    /// Somebody else waits for the physical CPU: at every other look, so that all tests have writes that are broken off.
    wanted: Cell<bool>,
    /// Nobody waits for the physical CPU.
    calm: Cell<bool>,
    /// What the physical ITS was told.
    #[cfg(feature = "its")]
    messages: its::physical::PhysicalIts,
}

impl PhysicalInterrupts {
    fn key(intid: IntId, cpu: VcpuId) -> (u32, u8) {
        let physical = if intid == EDGE { EDGE_OUTSIDE } else { intid };
        let cpu = if intid.is_private() { cpu.get() } else { 0 };
        (physical.get(), cpu)
    }

    fn change(&self, intid: IntId, cpu: VcpuId, change: impl FnOnce(&mut Physical)) {
        let owned = [LEVEL, EDGE_OUTSIDE, TIMER, IntId::new(30)].contains(&intid);
        assert!(owned, "{intid:?} is not this partition's");
        assert!(
            !intid.is_private() || cpu.get() == self.acting.get(),
            "{intid:?} of another CPU is out of reach"
        );
        change(
            self.all
                .borrow_mut()
                .entry(Self::key(intid, cpu))
                .or_default(),
        );
    }

    pub fn get(&self, intid: IntId, cpu: u8) -> Physical {
        self.all
            .borrow()
            .get(&Self::key(intid, VcpuId::new(cpu)))
            .copied()
            .unwrap_or_default()
    }

    pub fn set(&self, intid: IntId, cpu: u8, change: impl FnOnce(&mut Physical)) {
        change(
            self.all
                .borrow_mut()
                .entry(Self::key(intid, VcpuId::new(cpu)))
                .or_default(),
        );
    }
}

impl Hardware for PhysicalInterrupts {
    fn enable(&self, intid: IntId, cpu: VcpuId) {
        self.change(intid, cpu, |physical| physical.enabled = true);
    }
    fn disable(&self, intid: IntId, cpu: VcpuId) {
        self.change(intid, cpu, |physical| physical.enabled = false);
    }
    fn route(&self, intid: IntId, cpu: VcpuId) {
        self.change(intid, cpu, |physical| physical.target = cpu.get());
    }
    fn set_trigger(&self, intid: IntId, _: Trigger) {
        self.change(intid, VcpuId::new(0), |_| ());
    }
    fn is_pending(&self, intid: IntId, cpu: VcpuId) -> bool {
        // Checks that it is in reach.
        self.change(intid, cpu, |_| ());
        let physical = self.get(intid, cpu.get());
        physical.line || physical.latched
    }
    fn clear_pending(&self, intid: IntId, cpu: VcpuId) {
        self.change(intid, cpu, |physical| physical.latched = false);
    }
    fn deactivate(&self, intid: IntId, cpu: VcpuId) {
        self.change(intid, cpu, |physical| physical.active = false);
        self.deactivations.set(self.deactivations.get() + 1);
    }
    fn is_wanted(&self) -> bool {
        self.wanted.replace(!self.wanted.get()) && !self.calm.get()
    }
    #[cfg(feature = "its")]
    fn translate(&self, change: super::its::Change) -> bool {
        self.messages.apply(change)
    }
}

impl Vgic {
    /// True when `cpu` has something to do in [`flush`](Self::flush).
    fn has_pending(&self, cpu: VcpuId) -> bool {
        let state = &self.vcpus[usize::from(cpu.get())];
        state.recall || !state.waiting.is_empty()
    }
}

/// One partition on its machine.
pub struct Machine {
    pub vgic: Vgic,
    pub grants: &'static [Grants],
    pub shown: &'static Shown,
    /// Arrivals that the vectors delivered by themselves.
    pub straight: u32,
    pub interfaces: Vec<VirtualInterface>,
    pub physical: PhysicalInterrupts,
    /// Virtual CPUs that do not run.
    off: VcpuSet,
}

impl Machine {
    /// A machine as after reset. Virtual CPU n has the affinity `[n / 4, n % 4]` in Aff1, Aff0 for GICv3.
    pub fn new(version: Version, vcpus: u8) -> Self {
        let list: Vec<_> = (0..vcpus)
            .map(|n| Vcpu {
                pcpu: PcpuId::new(n),
                mpidr: Mpidr::new(u64::from(n / 4) << 8 | u64::from(n % 4)),
                time: model::time::TimeShare::Always,
            })
            .collect();
        Self::with_vcpus(version, list)
    }

    pub fn with_vcpus(version: Version, vcpus: Vec<Vcpu>) -> Self {
        let count = vcpus.len();
        let geometry = Geometry {
            version,
            vcpus: vcpus.leak(),
            interrupts: &OWNED,
            timers: [TIMER, IntId::new(30)],
            spis: SPIS as u16,
        };
        let states = vec![VcpuState::ROOM; count].leak();
        let spis = vec![Interrupt::ROOM; SPIS].leak();
        let shown: &Shown = Box::leak(Box::new(Shown::new()));
        let grants: &[Grants] = (0..count).map(|_| Grants::NEW).collect::<Vec<_>>().leak();
        Self {
            vgic: Vgic::new(geometry, states, spis, grants, shown),
            shown,
            grants,
            straight: 0,
            interfaces: (0..count).map(|_| VirtualInterface::new(4)).collect(),
            physical: PhysicalInterrupts::default(),
            off: VcpuSet::EMPTY,
        }
    }

    /// A machine whose guest has turned both groups on, enabled every interrupt, set priority 0xa0, and sent all SPIs to CPU 0.
    pub fn started(version: Version, vcpus: u8) -> Self {
        Self::started_with(version, vcpus, 4)
    }

    /// The same, with this many list registers on each CPU.
    pub fn started_with(version: Version, vcpus: u8, registers: usize) -> Self {
        let mut machine = Self::new(version, vcpus);
        machine
            .interfaces
            .fill_with(|| VirtualInterface::new(registers));
        machine.set_up(vcpus);
        machine
    }

    /// The same, with all CPUs on from the start.
    pub fn started_with_all_on(version: Version, vcpus: u8) -> Self {
        let mut machine = Self::new(version, vcpus);
        let all = (0..vcpus).map(|cpu| VcpuSet::only(VcpuId::new(cpu)));
        machine.kick(all.fold(VcpuSet::EMPTY, |set, cpu| set | cpu));
        machine.set_up(vcpus);
        machine
    }

    fn set_up(&mut self, vcpus: u8) {
        let machine = self;
        let version = machine.vgic.geometry.version;
        machine.write(0, Frame::Distributor, 0, Width::Word, 3);
        for cpu in 0..vcpus {
            let frame = match version {
                Version::V2 => (Frame::Distributor, 0),
                Version::V3 => (Frame::Redistributor(VcpuId::new(cpu)), 0x1_0000),
            };
            machine.write(cpu, frame.0, frame.1 + 0x100, Width::Word, 0xffff_ffff);
            for offset in (0x400..0x420).step_by(4) {
                machine.write(cpu, frame.0, frame.1 + offset, Width::Word, 0xa0a0_a0a0);
            }
        }
        for word in 1..3 {
            machine.write(
                0,
                Frame::Distributor,
                0x100 + word * 4,
                Width::Word,
                0xffff_ffff,
            );
        }
        for offset in (32..32 + SPIS as u32).step_by(4) {
            machine.write(
                0,
                Frame::Distributor,
                0x400 + offset,
                Width::Word,
                0xa0a0_a0a0,
            );
            machine.write(
                0,
                Frame::Distributor,
                0x800 + offset,
                Width::Word,
                0x0101_0101,
            );
        }
    }

    /// What a virtual CPU does, and what was broken off while its interrupts were placed. Those who wait for its physical CPU come without end only if
    /// they are no more than a few.
    fn act<T>(
        &mut self,
        cpu: u8,
        act: impl FnOnce(&mut Vgic, Caller<'_, VirtualInterface, PhysicalInterrupts>) -> T,
    ) -> T {
        let done = self.act_once(cpu, act);
        for attempt in 0.. {
            if !self.vgic.is_unplaced(VcpuId::new(cpu)) {
                break;
            }
            self.physical.calm.set(attempt > 3);
            let kicks = self.act_once(cpu, |vgic, caller| vgic.flush(caller));
            self.physical.calm.set(false);
            self.kick(kicks);
        }
        done
    }

    fn act_once<T>(
        &mut self,
        cpu: u8,
        act: impl FnOnce(&mut Vgic, Caller<'_, VirtualInterface, PhysicalInterrupts>) -> T,
    ) -> T {
        self.physical.acting.set(cpu);
        let registers = &self.interfaces[usize::from(cpu)];
        act(
            &mut self.vgic,
            Caller {
                cpu: VcpuId::new(cpu),
                registers,
                hardware: &self.physical,
            },
        )
    }

    /// Has every virtual CPU in the set flush, and those that they name in turn.
    pub fn kick(&mut self, mut set: VcpuSet) {
        while let Some(cpu) = set.iter().next() {
            set = set.without(cpu);
            if self.is_on(cpu.get()) {
                set |= self.act(cpu.get(), |vgic, caller| vgic.flush(caller));
            }
        }
    }

    pub fn is_on(&self, cpu: u8) -> bool {
        !self.off.contains(VcpuId::new(cpu))
    }

    /// CPU_OFF: its interrupts go back to the state, and its virtual CPU interface is as after reset.
    pub fn turn_off(&mut self, cpu: u8) {
        let kicks = self.act(cpu, |vgic, caller| vgic.park(caller));
        self.interfaces[usize::from(cpu)].reset();
        self.off |= VcpuSet::only(VcpuId::new(cpu));
        self.kick(kicks);
    }

    /// CPU_ON.
    pub fn turn_on(&mut self, cpu: u8) {
        self.off = self.off.without(VcpuId::new(cpu));
        self.kick(VcpuSet::only(VcpuId::new(cpu)));
    }

    /// A guest's write until it is finished, and the flushes that follow. Returns how often it had to go on.
    pub fn write(&mut self, cpu: u8, frame: Frame, offset: u32, width: Width, value: u64) -> u32 {
        for again in 0.. {
            match self.act(cpu, |vgic, caller| {
                vgic.write(frame, offset, width, value, caller)
            }) {
                Access::Done(kicks) => self.kick(kicks | VcpuSet::only(VcpuId::new(cpu))),
                Access::Unknown => {}
            }
            if !self.vgic.is_unfinished(VcpuId::new(cpu)) {
                return again;
            }
        }
        unreachable!("a write is finished before the numbers are")
    }

    /// A guest's word write to the distributor.
    pub fn set(&mut self, cpu: u8, offset: u32, value: u32) {
        self.write(cpu, Frame::Distributor, offset, Width::Word, value.into());
    }

    /// A guest's read, and the flushes that follow.
    pub fn read(&mut self, cpu: u8, frame: Frame, offset: u32, width: Width) -> Option<u64> {
        match self.act(cpu, |vgic, caller| vgic.read(frame, offset, width, caller)) {
            Access::Done(read) => {
                self.kick(read.kicks | VcpuSet::only(VcpuId::new(cpu)));
                Some(read.value)
            }
            Access::Unknown => None,
        }
    }

    /// A guest's word read of the distributor.
    pub fn get(&mut self, cpu: u8, offset: u32) -> u32 {
        self.read(cpu, Frame::Distributor, offset, Width::Word)
            .unwrap() as u32
    }

    /// Sends every physical interrupt that is signalled to its CPU, as often as it is. Returns those that arrived.
    pub fn run_physical(&mut self) -> Vec<(IntId, u8)> {
        let mut arrived = Vec::new();
        loop {
            let next =
                self.physical
                    .all
                    .borrow_mut()
                    .iter_mut()
                    .find_map(|(&(number, cpu), physical)| {
                        let signalled = physical.enabled
                            && !physical.active
                            && (physical.line || physical.latched);
                        signalled.then(|| {
                            physical.latched = false;
                            physical.active = true;
                            let intid = IntId::new(number);
                            (
                                intid,
                                if intid.is_private() {
                                    cpu
                                } else {
                                    physical.target
                                },
                            )
                        })
                    });
            let Some((intid, cpu)) = next else {
                return arrived;
            };
            let seen = if intid == EDGE_OUTSIDE { EDGE } else { intid };
            arrived.push((seen, cpu));
            self.arrive(intid, seen, cpu);
        }
    }

    /// An interrupt for `cpu`, as the vectors and then the exit deliver it: the guest knows the physical one by the number `intid`.
    fn arrive(&mut self, physical: IntId, intid: IntId, cpu: u8) {
        if !self.is_on(cpu) {
            let kicks = self.act(cpu, |vgic, caller| vgic.raise(intid, caller.cpu));
            return self.kick(kicks);
        }
        let interface = &self.interfaces[usize::from(cpu)];
        let straight = self.grants[usize::from(cpu)].straight(physical, interface.empty());
        if let Some((slot, image)) = straight {
            interface.write_image(slot, image);
            self.straight += 1;
            return;
        }
        let kicks = self.act(cpu, |vgic, caller| vgic.deliver(intid, caller));
        self.kick(kicks);
    }

    /// A GICv2 SGI to one virtual CPU, as its vectors and then its exit deliver it.
    pub fn send_from(&mut self, from: u8, to: u8, intid: IntId) {
        let source = VcpuId::new(from);
        if !self.is_on(to) {
            let kicks = self.vgic.note_sgi(intid, 1 << from, VcpuId::new(to));
            return self.kick(kicks);
        }
        let interface = &self.interfaces[usize::from(to)];
        let straight = self.grants[usize::from(to)].straight_from(source, intid, interface.empty());
        if let Some((slot, image)) = straight {
            interface.write_image(slot, image);
            self.straight += 1;
            return;
        }
        let kicks = self.act(to, |vgic, caller| {
            vgic.deliver_sgi(intid, 1 << from, caller)
        });
        self.kick(kicks);
    }

    /// An edge on an owned SPI.
    pub fn pulse(&mut self, intid: IntId) {
        self.physical
            .set(intid, 0, |physical| physical.latched = true);
        self.run_physical();
    }

    /// The level of an owned SPI's line.
    pub fn line(&mut self, intid: IntId, high: bool) {
        self.physical.set(intid, 0, |physical| physical.line = high);
        self.run_physical();
    }

    /// The level of a virtual device's line.
    pub fn virtual_line(&mut self, intid: IntId, high: bool) {
        let kicks = self.vgic.set_line(intid, high);
        self.kick(kicks);
    }

    pub fn acknowledge(&mut self, cpu: u8) -> Option<IntId> {
        let taken = self.interfaces[usize::from(cpu)]
            .acknowledge()
            .map(|register| register.virtual_id);
        self.run_maintenance(cpu);
        taken
    }

    /// The guest ends what it acknowledged last; what the hardware does then happens.
    pub fn end(&mut self, cpu: u8) {
        if let Some(physical) = self.interfaces[usize::from(cpu)].end() {
            self.physical
                .set(physical, cpu, |physical| physical.active = false);
        }
        self.run_maintenance(cpu);
        self.run_physical();
    }

    /// The guest deactivates an interrupt; a write that traps is done by the controller.
    pub fn deactivate(&mut self, cpu: u8, intid: IntId) {
        let interface = &self.interfaces[usize::from(cpu)];
        if self.vgic.geometry.version == Version::V2 || interface.announced.get().deactivations {
            let kicks = self.act(cpu, |vgic, caller| {
                vgic.write_deactivate(intid.get(), caller)
            });
            self.kick(kicks | VcpuSet::only(VcpuId::new(cpu)));
        } else if let Some(physical) = interface.deactivate(intid, |_| true) {
            self.physical
                .set(physical, cpu, |physical| physical.active = false);
        }
        self.run_maintenance(cpu);
        self.run_physical();
    }

    /// The maintenance interrupt, as long as it is asserted.
    pub fn run_maintenance(&mut self, cpu: u8) {
        for _ in 0..8 {
            if !self.interfaces[usize::from(cpu)].wants_maintenance() {
                return;
            }
            let kicks = self.act(cpu, |vgic, caller| vgic.maintain(caller));
            self.kick(kicks);
        }
        panic!("the maintenance interrupt of CPU {cpu} never ends");
    }

    /// The guest handles all that is pending on a CPU. Returns what it got, in order.
    pub fn handle_all(&mut self, cpu: u8) -> Vec<IntId> {
        let mut handled = Vec::new();
        while let Some(intid) = self.acknowledge(cpu) {
            handled.push(intid);
            assert!(handled.len() < 1000, "endless interrupts: {handled:?}");
            self.end(cpu);
        }
        handled
    }

    pub fn interface(&self, cpu: u8) -> &VirtualInterface {
        &self.interfaces[usize::from(cpu)]
    }
}

/// Offset and value of the word that has an SPI's or PPI's bit, in a one-bit array at `array`.
pub fn bit(array: u32, intid: IntId) -> (u32, u32) {
    (array + intid.get() / 32 * 4, 1 << (intid.get() % 32))
}
