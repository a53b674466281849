//! The CPU interface of a GICv2 in software, for a guest that wants one where the hardware has none: a GICv3 without the compatibility
//! interface (IHI 0069H 3.1.2).
//!
//! It shows what a GICv2 with virtualization shows a guest, `GICV` (IHI 0048B 5.5), and has list registers as that has, in memory: the
//! rest of the virtual controller does not know the difference. Every access of the guest traps. What it signals the hypervisor
//! makes pending itself ([`lines`](CpuInterface::lines)), and what hardware would announce by a maintenance interrupt it asks for
//! after each access ([`wants_attention`](CpuInterface::wants_attention)).
//!
//! Only the physical CPU that runs the virtual CPU uses its interface, as it is with the hardware's.

use core::cell::Cell;

use super::{Access, Hardware, Width};
use crate::{Announce, ListRegister, ListRegisters, LrState, MAX_LIST_REGISTERS};
use model::{IntId, VcpuId};

/// Its registers take two pages: `GICC_DIR` is in the second (IHI 0048B, table 4-2).
pub const CPU_INTERFACE_SIZE: u64 = 0x2000;

/// Offsets of the registers.
mod offset {
    pub(super) const CTLR: u32 = 0x00;
    pub(super) const PMR: u32 = 0x04;
    pub(super) const BPR: u32 = 0x08;
    pub(super) const IAR: u32 = 0x0c;
    pub(super) const EOIR: u32 = 0x10;
    pub(super) const RPR: u32 = 0x14;
    pub(super) const HPPIR: u32 = 0x18;
    pub(super) const ABPR: u32 = 0x1c;
    pub(super) const AIAR: u32 = 0x20;
    pub(super) const AEOIR: u32 = 0x24;
    pub(super) const AHPPIR: u32 = 0x28;
    pub(super) const APR0: u32 = 0xd0;
    /// `APR1` to `APR3`: for more than 32 priorities, which there are not.
    pub(super) const APR1: u32 = 0xd4;
    pub(super) const APR3: u32 = 0xdc;
    pub(super) const IIDR: u32 = 0xfc;
    pub(super) const DIR: u32 = 0x1000;
}

/// Bits of `GICV_CTLR` (IHI 0048B 5.5.2).
mod control {
    pub(super) const GROUP0: u32 = 1 << 0;
    /// `AckCtl`: `IAR` and `HPPIR` answer for group 1, too.
    pub(super) const ACKNOWLEDGE_GROUP1: u32 = 1 << 2;
    /// `FIQEn`: group 0 is signalled as FIQ.
    pub(super) const FIQ: u32 = 1 << 3;
    /// `CBPR`: `BPR` counts for group 1, too.
    pub(super) const COMMON_BINARY_POINT: u32 = 1 << 4;
    /// `EOImode`: the end of an interrupt drops its priority only.
    pub(super) const SPLIT_END: u32 = 1 << 9;
    /// All, with `EnableGrp1`.
    pub(super) const ALL: u32 =
        GROUP0 | 1 << 1 | ACKNOWLEDGE_GROUP1 | FIQ | COMMON_BINARY_POINT | SPLIT_END;
}

/// As a GIC-400 identifies itself: the guest's device tree names it.
const IIDR: u32 = 0x0202_143b;
/// Implemented bits of a priority: 32 levels.
const PRIORITY_BITS: u32 = 0xf8;
/// The smallest binary point that 5 priority bits allow, and the smallest alias, which is one more (IHI 0048B 5.5.4, 5.5.9).
const LEAST_POINT: u32 = 2;
const LEAST_ALIASED_POINT: u32 = 3;
/// `RPR` while nothing is active.
const IDLE: u32 = 0xff;
/// What is answered when nothing is pending, and when what is pending is in group 1 (IHI 0048B 3.2.5).
const SPURIOUS: u32 = 1023;
const IN_GROUP1: u32 = 1022;
/// Numbers from here on are no interrupts.
const FIRST_SPECIAL: u32 = 1020;

/// What the virtual CPU's interrupt inputs are to see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// A virtual IRQ is pending.
    pub irq: bool,
    /// A virtual FIQ is pending.
    pub fiq: bool,
}

/// The GICv2 CPU interface of one virtual CPU.
#[derive(Debug)]
pub struct CpuInterface {
    registers: [Cell<ListRegister>; MAX_LIST_REGISTERS],
    control: Cell<u32>,
    mask: Cell<u32>,
    point: Cell<u32>,
    aliased_point: Cell<u32>,
    /// Bit n: an interrupt with group priority `8 * n` is acknowledged and its priority not dropped (`APR0`).
    active: Cell<u32>,
    announced: Cell<Announce>,
}

impl CpuInterface {
    /// An interface as after reset, with nothing in its list registers.
    pub const fn new() -> Self {
        Self {
            registers: [const { Cell::new(ListRegister::EMPTY) }; MAX_LIST_REGISTERS],
            control: Cell::new(0),
            mask: Cell::new(0),
            point: Cell::new(LEAST_POINT),
            aliased_point: Cell::new(LEAST_ALIASED_POINT),
            active: Cell::new(0),
            announced: Cell::new(Announce::NOTHING),
        }
    }

    /// Brings it back to where it was after [`new`](Self::new): what a virtual CPU finds when it starts.
    pub fn reset(&self) {
        for register in &self.registers {
            register.set(ListRegister::EMPTY);
        }
        self.control.set(0);
        self.mask.set(0);
        self.point.set(LEAST_POINT);
        self.aliased_point.set(LEAST_ALIASED_POINT);
        self.active.set(0);
        self.announced.set(Announce::NOTHING);
    }

    /// What the virtual CPU's inputs are to see now. Changes with every access, and with every change of a list register.
    pub fn lines(&self) -> Lines {
        let Some((_, next)) = self.signalled() else {
            return Lines::default();
        };
        let fiq = !next.group1 && self.is(control::FIQ);
        Lines { irq: !fiq, fiq }
    }

    /// True when hardware would raise a maintenance interrupt: an interrupt ended that had asked for it, or none is pending and some wait. Ends
    /// of interrupts in no register are known one by one, from [`store`](Self::store).
    /// [`Vgic::maintain`](super::Vgic::maintain) answers it.
    pub fn wants_attention(&self) -> bool {
        let pending = self.bits(|register| register.state == LrState::Pending);
        let ended =
            self.bits(|register| register.state == LrState::Empty && register.end_maintenance);
        self.announced.get().refill && pending == 0 || ended != 0
    }

    /// A guest's read. Reading `IAR` and `AIAR` acknowledges.
    pub fn load(&self, offset: u32, width: Width) -> Access<u32> {
        if width != Width::Word {
            return Access::Unknown;
        }
        Access::Done(match offset {
            offset::CTLR => self.control.get(),
            offset::PMR => self.mask.get(),
            offset::BPR => self.point.get(),
            offset::ABPR => self.aliased_point.get(),
            offset::IAR => self.acknowledge(self.is(control::ACKNOWLEDGE_GROUP1)),
            offset::AIAR => self.acknowledge_group1(),
            offset::RPR => self.running(),
            offset::HPPIR => match self.most_urgent() {
                Some((_, next)) if next.group1 && !self.is(control::ACKNOWLEDGE_GROUP1) => {
                    IN_GROUP1
                }
                next => number(next),
            },
            offset::AHPPIR => number(self.most_urgent().filter(|(_, next)| next.group1)),
            offset::APR0 => self.active.get(),
            offset::APR1..=offset::APR3 if offset.is_multiple_of(4) => 0,
            offset::IIDR => IIDR,
            offset::EOIR | offset::AEOIR | offset::DIR => 0,
            _ => return Access::Unknown,
        })
    }

    /// A guest's write. A deactivation reaches the physical interrupt through `hardware` where one is linked. The answer is the interrupt that was deactivated though no list
    /// register holds it: [`Vgic::deactivate`](super::Vgic::deactivate) ends that one.
    pub fn store(
        &self,
        offset: u32,
        width: Width,
        value: u32,
        cpu: VcpuId,
        hardware: &impl Hardware,
    ) -> Access<Option<IntId>> {
        if width != Width::Word {
            return Access::Unknown;
        }
        match offset {
            offset::CTLR => self.control.set(value & control::ALL),
            offset::PMR => self.mask.set(value & PRIORITY_BITS),
            offset::BPR => self.point.set((value & 7).max(LEAST_POINT)),
            offset::ABPR => self.aliased_point.set((value & 7).max(LEAST_ALIASED_POINT)),
            offset::EOIR | offset::AEOIR => {
                let ended = self.end(value & 0x3ff);
                return Access::Done(ended.and_then(|intid| self.deactivate(intid, cpu, hardware)));
            }
            // Without `EOImode` a write is UNPREDICTABLE (IHI 0048B 4.4.14): nothing happens.
            offset::DIR if self.is(control::SPLIT_END) => {
                let intid = Some(value & 0x3ff).filter(|number| *number < FIRST_SPECIAL);
                let intid = intid.map(IntId::new);
                return Access::Done(intid.and_then(|intid| self.deactivate(intid, cpu, hardware)));
            }
            offset::APR0 => self.active.set(value),
            offset::APR1..=offset::APR3 if offset.is_multiple_of(4) => {}
            offset::IAR
            | offset::RPR
            | offset::HPPIR
            | offset::AIAR
            | offset::AHPPIR
            | offset::IIDR
            | offset::DIR => {}
            _ => return Access::Unknown,
        }
        Access::Done(None)
    }

    fn is(&self, bit: u32) -> bool {
        self.control.get() & bit != 0
    }

    /// The most urgent pending interrupt of the groups that are on, and its register. Of two equal ones the smaller number.
    fn most_urgent(&self) -> Option<(usize, ListRegister)> {
        let registers = self.registers.iter().map(Cell::get).enumerate();
        registers
            .filter(|(_, one)| {
                one.state == LrState::Pending && self.is(control::GROUP0 << u32::from(one.group1))
            })
            .min_by_key(|(_, one)| (one.priority, one.virtual_id))
    }

    /// The same, if the priority mask and what the guest handles let it through (IHI 0048B 3.3).
    fn signalled(&self) -> Option<(usize, ListRegister)> {
        self.most_urgent().filter(|(_, next)| {
            u32::from(next.priority) < self.mask.get()
                && self.group_priority(*next) < self.running()
        })
    }

    /// The part of a priority that decides on preemption (IHI 0048B 3.3.3). The alias counts as one less, as it does for the group whose
    /// priorities a machine with two security states shows shifted.
    fn group_priority(&self, register: ListRegister) -> u32 {
        let own_point = register.group1 && !self.is(control::COMMON_BINARY_POINT);
        let point = if own_point {
            self.aliased_point.get() - 1
        } else {
            self.point.get()
        };
        u32::from(register.priority) & (0xff << (point + 1))
    }

    fn running(&self) -> u32 {
        match self.active.get() {
            0 => IDLE,
            active => active.trailing_zeros() * 8,
        }
    }

    /// `IAR`, with an answer for group 1 or not.
    fn acknowledge(&self, group1_too: bool) -> u32 {
        let Some((index, next)) = self.signalled() else {
            return SPURIOUS;
        };
        if next.group1 && !group1_too {
            return IN_GROUP1;
        }
        let state = LrState::Active;
        self.write_register(index, ListRegister { state, ..next });
        self.active
            .set(self.active.get() | 1 << (self.group_priority(next) / 8));
        number(Some((index, next)))
    }

    /// `AIAR`: group 1 only.
    fn acknowledge_group1(&self) -> u32 {
        match self.signalled() {
            Some((_, next)) if next.group1 => self.acknowledge(true),
            _ => SPURIOUS,
        }
    }

    /// `EOIR` and `AEOIR`: the running priority is dropped. Gives the interrupt if it is to be deactivated, too.
    fn end(&self, number: u32) -> Option<IntId> {
        if number >= FIRST_SPECIAL {
            return None;
        }
        let active = self.active.get();
        self.active.set(active & active.wrapping_sub(1));
        (!self.is(control::SPLIT_END)).then_some(IntId::new(number))
    }

    /// Takes the active state from an interrupt. `Some` when no list register has it.
    fn deactivate(&self, intid: IntId, cpu: VcpuId, hardware: &impl Hardware) -> Option<IntId> {
        let mut registers = self.registers.iter().map(Cell::get).enumerate();
        let found = registers.find(|(_, one)| one.virtual_id == intid && one.state.is_active());
        let Some((index, register)) = found else {
            return Some(intid);
        };
        let state = LrState::new(register.state.is_pending(), false);
        self.write_register(index, ListRegister { state, ..register });
        if let Some(physical) = register.hardware {
            hardware.deactivate(physical, cpu);
        }
        None
    }

    /// The registers for which something is true, as bits.
    fn bits(&self, is_true: impl Fn(&ListRegister) -> bool) -> u64 {
        let registers = self.registers.iter().map(Cell::get).enumerate();
        registers
            .filter(|(_, register)| is_true(register))
            .fold(0, |bits, (index, _)| bits | 1 << index)
    }

    fn write_register(&self, index: usize, content: ListRegister) {
        if let Some(register) = self.registers.get(index) {
            register.set(content);
        }
    }
}

impl Default for CpuInterface {
    fn default() -> Self {
        Self::new()
    }
}

/// What `IAR` and `HPPIR` answer: the number, with an SGI's source CPU in bits 12:10.
fn number(next: Option<(usize, ListRegister)>) -> u32 {
    next.map_or(SPURIOUS, |(_, register)| {
        register.virtual_id.get() | u32::from(register.source) << 10
    })
}

impl ListRegisters for CpuInterface {
    fn count(&self) -> usize {
        MAX_LIST_REGISTERS
    }

    fn empty(&self) -> u64 {
        self.bits(|register| register.state == LrState::Empty && !register.end_maintenance)
    }

    fn read(&self, index: usize) -> ListRegister {
        self.registers
            .get(index)
            .map_or(ListRegister::EMPTY, Cell::get)
    }

    fn write(&self, index: usize, register: ListRegister) {
        self.write_register(index, register);
    }

    /// Memory: the vectors write hardware registers.
    fn image(&self, _index: usize, _register: ListRegister) -> Option<u64> {
        None
    }

    fn write_image(&self, _index: usize, _image: u64) {}

    fn announce(&self, what: Announce) {
        self.announced.set(what);
    }

    fn running_priority(&self) -> u8 {
        self.running() as u8
    }

    fn splits_ends(&self) -> bool {
        self.is(control::SPLIT_END)
    }
}
