//! The GICv2 CPU interface in software: each register, then what a guest does with several.

use super::super::cpu_interface::{CPU_INTERFACE_SIZE, CpuInterface, Lines};
use super::*;
use proptest::prelude::*;

const CTLR: u32 = 0x00;
const PMR: u32 = 0x04;
const BPR: u32 = 0x08;
const IAR: u32 = 0x0c;
const EOIR: u32 = 0x10;
const RPR: u32 = 0x14;
const HPPIR: u32 = 0x18;
const ABPR: u32 = 0x1c;
const AIAR: u32 = 0x20;
const AEOIR: u32 = 0x24;
const AHPPIR: u32 = 0x28;
const APR0: u32 = 0xd0;
const IIDR: u32 = 0xfc;
const DIR: u32 = 0x1000;

const BOTH_GROUPS: u32 = 0b11;
const ACK_CTL: u32 = 1 << 2;
const FIQ_EN: u32 = 1 << 3;
const CBPR: u32 = 1 << 4;
const EOI_MODE: u32 = 1 << 9;

const IDLE: u32 = 0xff;
const SPURIOUS: u32 = 1023;
const IN_GROUP1: u32 = 1022;

const IRQ: Lines = Lines {
    irq: true,
    fiq: false,
};
const FIQ: Lines = Lines {
    irq: false,
    fiq: true,
};
const NONE: Lines = Lines {
    irq: false,
    fiq: false,
};

/// An interface, and the physical interrupts of its virtual CPU 0.
struct Guest {
    interface: CpuInterface,
    physical: PhysicalInterrupts,
}

impl Guest {
    /// `GICC_CTLR` is `control`, all priorities pass, preemption is as fine as it gets.
    fn new(control: u32) -> Self {
        let guest = Self {
            interface: CpuInterface::new(),
            physical: PhysicalInterrupts::default(),
        };
        guest.set(CTLR, control);
        guest.set(PMR, 0xff);
        guest
    }

    fn get(&self, offset: u32) -> u32 {
        match self.interface.load(offset, Width::Word) {
            Access::Done(value) => value,
            Access::Unknown => panic!("no register at {offset:#x}"),
        }
    }

    /// A store; gives what was deactivated beyond the list registers.
    fn set(&self, offset: u32, value: u32) -> Option<IntId> {
        let cpu = VcpuId::new(0);
        match self
            .interface
            .store(offset, Width::Word, value, cpu, &self.physical)
        {
            Access::Done(beyond) => beyond,
            Access::Unknown => panic!("no register at {offset:#x}"),
        }
    }

    /// Makes an interrupt pending in list register `slot`.
    fn pend(&self, slot: usize, intid: u32, priority: u8, group1: bool) {
        let register = ListRegister {
            virtual_id: IntId::new(intid),
            priority,
            group1,
            state: LrState::Pending,
            ..ListRegister::EMPTY
        };
        ListRegisters::write(&self.interface, slot, register);
    }

    fn state(&self, slot: usize) -> LrState {
        ListRegisters::read(&self.interface, slot).state
    }
}

const REFILL: Announce = Announce {
    refill: true,
    ..Announce::NOTHING
};

#[test]
fn each_register_has_its_reset_value_and_its_writable_bits() {
    // Offset, value after reset, value after ones were written, value after zeros were written (IHI 0048B 5.5 and table 4-2).
    const TABLE: [(u32, u32, u32, u32); 18] = [
        (CTLR, 0, 0x21f, 0),
        (PMR, 0, 0xf8, 0),
        (BPR, 2, 7, 2),
        (IAR, SPURIOUS, SPURIOUS, SPURIOUS),
        (EOIR, 0, 0, 0),
        (RPR, IDLE, IDLE, IDLE),
        (HPPIR, SPURIOUS, SPURIOUS, SPURIOUS),
        (ABPR, 3, 7, 3),
        (AIAR, SPURIOUS, SPURIOUS, SPURIOUS),
        (AEOIR, 0, 0, 0),
        (AHPPIR, SPURIOUS, SPURIOUS, SPURIOUS),
        (APR0, 0, u32::MAX, 0),
        (0xd4, 0, 0, 0),
        (0xd8, 0, 0, 0),
        (0xdc, 0, 0, 0),
        (IIDR, 0x0202_143b, 0x0202_143b, 0x0202_143b),
        (DIR, 0, 0, 0),
        (CTLR, 0, 0x21f, 0),
    ];
    for (offset, reset, ones, zeros) in TABLE {
        let guest = Guest {
            interface: CpuInterface::new(),
            physical: PhysicalInterrupts::default(),
        };
        assert_eq!(guest.get(offset), reset, "{offset:#x} after reset");
        guest.set(offset, u32::MAX);
        assert_eq!(guest.get(offset), ones, "{offset:#x} with ones");
        guest.set(offset, 0);
        assert_eq!(guest.get(offset), zeros, "{offset:#x} with zeros");
    }
}

#[test]
fn only_words_at_the_registers_of_the_manual_are_answered() {
    let known: Vec<u32> = (0..=0x28)
        .step_by(4)
        .chain((0xd0..=0xdc).step_by(4))
        .chain([0xfc, 0x1000])
        .collect();
    let interface = CpuInterface::new();
    let physical = PhysicalInterrupts::default();
    for offset in 0..CPU_INTERFACE_SIZE as u32 {
        for width in [Width::Byte, Width::Half, Width::Word, Width::Double] {
            let is_known = width == Width::Word && known.contains(&offset);
            let load = interface.load(offset, width);
            let store = interface.store(offset, width, 0, VcpuId::new(0), &physical);
            assert_eq!(load != Access::Unknown, is_known, "{offset:#x} {width:?}");
            assert_eq!(store != Access::Unknown, is_known, "{offset:#x} {width:?}");
        }
    }
}

#[test]
fn reset_gives_a_new_interface() {
    let guest = Guest::new(0x21f);
    for (offset, value) in [(BPR, 7), (ABPR, 7), (APR0, 5)] {
        guest.set(offset, value);
    }
    guest.pend(3, 40, 0, false);
    guest.interface.announce(REFILL);
    guest.interface.reset();
    assert_eq!(
        format!("{:?}", guest.interface),
        format!("{:?}", CpuInterface::new())
    );
}

#[test]
fn interrupt_is_signalled_acknowledged_and_ended() {
    let guest = Guest::new(BOTH_GROUPS);
    assert_eq!(guest.interface.lines(), NONE);
    guest.pend(0, 40, 0xa0, false);
    assert_eq!((guest.interface.lines(), guest.get(HPPIR)), (IRQ, 40));
    assert_eq!(guest.get(IAR), 40);
    assert_eq!((guest.state(0), guest.get(RPR)), (LrState::Active, 0xa0));
    assert_eq!((guest.interface.lines(), guest.get(IAR)), (NONE, SPURIOUS));
    assert_eq!(guest.set(EOIR, 40), None);
    assert_eq!((guest.state(0), guest.get(RPR)), (LrState::Empty, IDLE));
}

#[test]
fn most_urgent_comes_first_and_of_equals_the_smallest_number() {
    let guest = Guest::new(BOTH_GROUPS);
    guest.pend(0, 50, 0x80, false);
    guest.pend(1, 41, 0x80, false);
    guest.pend(2, 60, 0x40, false);
    let mut order = Vec::new();
    for _ in 0..3 {
        order.push(guest.get(IAR));
        guest.set(EOIR, order[order.len() - 1]);
    }
    assert_eq!(order, [60, 41, 50]);
}

#[test]
fn priority_mask_lets_only_smaller_values_through() {
    let guest = Guest::new(BOTH_GROUPS);
    guest.pend(0, 40, 0xa0, false);
    guest.set(PMR, 0xa0);
    assert_eq!((guest.interface.lines(), guest.get(IAR)), (NONE, SPURIOUS));
    assert_eq!(guest.get(HPPIR), 40, "the mask does not count here");
    guest.set(PMR, 0xa8);
    assert_eq!((guest.interface.lines(), guest.get(IAR)), (IRQ, 40));
}

#[test]
fn more_urgent_interrupt_preempts_and_an_equal_one_waits() {
    let guest = Guest::new(BOTH_GROUPS);
    guest.pend(0, 40, 0x80, false);
    assert_eq!(guest.get(IAR), 40);
    guest.pend(1, 41, 0x80, false);
    assert_eq!(guest.get(IAR), SPURIOUS);
    guest.pend(2, 42, 0x78, false);
    assert_eq!((guest.get(IAR), guest.get(RPR)), (42, 0x78));
    guest.set(EOIR, 42);
    assert_eq!((guest.get(RPR), guest.get(IAR)), (0x80, SPURIOUS));
    guest.set(EOIR, 40);
    assert_eq!(guest.get(IAR), 41);
}

#[test]
fn binary_point_joins_priorities_into_groups_that_do_not_preempt_one_another() {
    // Binary point, the priority that is handled, the most urgent one that does not preempt it (IHI 0048B, table 3-2).
    for (point, handled, same_group) in [
        (2, 0x58, 0x58),
        (3, 0x58, 0x50),
        (4, 0x58, 0x40),
        (5, 0x58, 0x40),
        (6, 0x58, 0x00),
        (7, 0xf0, 0x00),
    ] {
        let guest = Guest::new(BOTH_GROUPS);
        guest.set(BPR, point);
        guest.pend(0, 40, handled, false);
        assert_eq!(guest.get(IAR), 40);
        guest.pend(1, 41, same_group, false);
        assert_eq!(guest.interface.lines(), NONE, "point {point}");
        if let Some(urgent) = same_group.checked_sub(8) {
            guest.pend(2, 42, urgent, false);
            assert_eq!(guest.get(IAR), 42, "point {point}");
        }
    }
}

#[test]
fn alias_counts_for_group_1_as_one_less_and_not_at_all_with_a_common_binary_point() {
    let guest = Guest::new(BOTH_GROUPS | ACK_CTL);
    guest.set(ABPR, 5);
    guest.pend(0, 40, 0x58, true);
    assert_eq!((guest.get(IAR), guest.get(RPR)), (40, 0x40));
    guest.pend(1, 41, 0x40, true);
    assert_eq!(guest.interface.lines(), NONE);
    guest.set(EOIR, 40);

    guest.set(CTLR, BOTH_GROUPS | ACK_CTL | CBPR);
    guest.pend(0, 40, 0x58, true);
    guest.set(APR0, 0);
    guest.set(PMR, 0x40);
    assert_eq!(guest.get(IAR), SPURIOUS);
    guest.set(PMR, 0xff);
    assert_eq!((guest.get(IAR), guest.get(RPR)), (41, 0x40));
    guest.set(EOIR, 41);
    assert_eq!((guest.get(IAR), guest.get(RPR)), (40, 0x58));
}

#[test]
fn group_1_is_announced_by_1022_until_asked_for_by_its_own_registers_or_by_ack_ctl() {
    let guest = Guest::new(BOTH_GROUPS);
    guest.pend(0, 40, 0x80, true);
    assert_eq!(guest.interface.lines(), IRQ);
    assert_eq!((guest.get(IAR), guest.get(HPPIR)), (IN_GROUP1, IN_GROUP1));
    assert_eq!(guest.state(0), LrState::Pending);
    assert_eq!((guest.get(AHPPIR), guest.get(AIAR)), (40, 40));
    guest.set(AEOIR, 40);

    guest.pend(0, 40, 0x80, true);
    guest.set(CTLR, BOTH_GROUPS | ACK_CTL);
    assert_eq!((guest.get(HPPIR), guest.get(IAR)), (40, 40));
}

#[test]
fn aliases_do_not_answer_for_group_0() {
    let guest = Guest::new(BOTH_GROUPS);
    guest.pend(0, 40, 0x80, false);
    assert_eq!((guest.get(AHPPIR), guest.get(AIAR)), (SPURIOUS, SPURIOUS));
    assert_eq!(guest.state(0), LrState::Pending);
}

#[test]
fn group_that_is_off_is_neither_signalled_nor_in_the_way_of_the_other() {
    let guest = Guest::new(0b01);
    guest.pend(0, 40, 0x00, true);
    assert_eq!(
        (guest.interface.lines(), guest.get(HPPIR)),
        (NONE, SPURIOUS)
    );
    guest.pend(1, 41, 0x80, false);
    assert_eq!((guest.interface.lines(), guest.get(IAR)), (IRQ, 41));
}

#[test]
fn group_0_comes_as_fiq_with_fiq_en_and_group_1_never() {
    let guest = Guest::new(BOTH_GROUPS | FIQ_EN);
    guest.pend(0, 40, 0x80, false);
    assert_eq!(guest.interface.lines(), FIQ);
    guest.pend(0, 40, 0x80, true);
    assert_eq!(guest.interface.lines(), IRQ);
}

#[test]
fn sgi_shows_its_source_in_bits_12_to_10_and_is_ended_with_it() {
    let guest = Guest::new(BOTH_GROUPS);
    let sgi = ListRegister {
        virtual_id: IntId::new(5),
        state: LrState::Pending,
        source: 6,
        ..ListRegister::EMPTY
    };
    ListRegisters::write(&guest.interface, 0, sgi);
    assert_eq!(
        (guest.get(HPPIR), guest.get(IAR)),
        (6 << 10 | 5, 6 << 10 | 5)
    );
    assert_eq!(guest.set(EOIR, 6 << 10 | 5), None);
    assert_eq!(guest.state(0), LrState::Empty);
}

#[test]
fn split_end_drops_the_priority_and_leaves_deactivation_to_dir() {
    let guest = Guest::new(BOTH_GROUPS | EOI_MODE);
    guest.pend(0, 40, 0x80, false);
    guest.get(IAR);
    assert_eq!(guest.set(EOIR, 40), None);
    assert_eq!((guest.get(RPR), guest.state(0)), (IDLE, LrState::Active));
    assert_eq!(guest.set(DIR, 40), None);
    assert_eq!(guest.state(0), LrState::Empty);
}

#[test]
fn dir_without_eoi_mode_does_nothing() {
    let guest = Guest::new(BOTH_GROUPS);
    guest.pend(0, 40, 0x80, false);
    guest.get(IAR);
    assert_eq!(guest.set(DIR, 40), None);
    assert_eq!(guest.state(0), LrState::Active);
}

#[test]
fn special_numbers_end_nothing() {
    let guest = Guest::new(BOTH_GROUPS);
    guest.pend(0, 40, 0x80, false);
    guest.get(IAR);
    for number in 1020..=1023 {
        assert_eq!(guest.set(EOIR, number), None);
    }
    guest.set(CTLR, BOTH_GROUPS | EOI_MODE);
    assert_eq!(guest.set(DIR, SPURIOUS), None);
    assert_eq!((guest.get(RPR), guest.state(0)), (0x80, LrState::Active));
}

#[test]
fn linked_physical_interrupt_is_deactivated_with_the_virtual_one() {
    let guest = Guest::new(BOTH_GROUPS);
    guest
        .physical
        .set(LEVEL, 0, |physical| physical.active = true);
    let linked = ListRegister {
        virtual_id: LEVEL,
        hardware: Some(LEVEL),
        state: LrState::Pending,
        ..ListRegister::EMPTY
    };
    ListRegisters::write(&guest.interface, 2, linked);
    assert_eq!(guest.get(IAR), LEVEL.get());
    assert!(guest.physical.get(LEVEL, 0).active);
    guest.set(EOIR, LEVEL.get());
    assert!(!guest.physical.get(LEVEL, 0).active);
}

#[test]
fn interrupt_that_came_again_while_active_is_pending_once_it_is_ended() {
    let guest = Guest::new(BOTH_GROUPS);
    let register = ListRegister {
        virtual_id: IntId::new(40),
        state: LrState::PendingActive,
        ..ListRegister::EMPTY
    };
    ListRegisters::write(&guest.interface, 0, register);
    assert_eq!(guest.interface.lines(), NONE);
    guest.set(EOIR, 40);
    assert_eq!((guest.state(0), guest.get(IAR)), (LrState::Pending, 40));
}

#[test]
fn end_of_an_interrupt_in_no_list_register_is_told() {
    let guest = Guest::new(BOTH_GROUPS);
    assert_eq!(guest.set(EOIR, 40), Some(IntId::new(40)));
}

#[test]
fn attention_is_wanted_for_an_announced_end_and_for_room_that_was_asked_for() {
    let guest = Guest::new(BOTH_GROUPS);
    let announced = ListRegister {
        virtual_id: IntId::new(40),
        state: LrState::Pending,
        end_maintenance: true,
        ..ListRegister::EMPTY
    };
    ListRegisters::write(&guest.interface, 0, announced);
    guest.get(IAR);
    assert!(!guest.interface.wants_attention());
    guest.set(EOIR, 40);
    assert!(guest.interface.wants_attention());

    ListRegisters::write(&guest.interface, 0, ListRegister::EMPTY);
    guest.pend(0, 40, 0x80, false);
    guest.pend(1, 41, 0x80, false);
    guest.interface.announce(REFILL);
    guest.get(IAR);
    guest.set(EOIR, 40);
    assert!(!guest.interface.wants_attention());
    guest.get(IAR);
    assert!(guest.interface.wants_attention());
}

/// The interface as IHI 0048B 3.2 and 3.3 describe it: a list of pending interrupts, and a stack of priorities. Written from the manual, to be
/// compared with the real one.
#[derive(Default)]
struct Model {
    control: u32,
    mask: u32,
    /// `BPR` and `ABPR`.
    points: [u32; 2],
    /// Number, priority, group 1.
    pending: Vec<(u32, u32, bool)>,
    /// What was acknowledged and not dropped, most urgent last, by group priority.
    running: Vec<(u32, u32)>,
    active: Vec<u32>,
}

impl Model {
    fn is(&self, bit: u32) -> bool {
        self.control & bit != 0
    }

    fn next(&self) -> Option<(u32, u32, bool)> {
        let on = |group1: bool| self.is(if group1 { 2 } else { 1 });
        let mut candidates = self.pending.clone();
        candidates.retain(|(_, _, group1)| on(*group1));
        candidates.sort_by_key(|(number, priority, _)| (*priority, *number));
        candidates.first().copied()
    }

    /// The priority without its subpriority: tables 3-2 and 3-3 give how many of the lower bits that has.
    fn group_priority(&self, priority: u32, group1: bool) -> u32 {
        let bits = if group1 && !self.is(CBPR) {
            self.points[1]
        } else {
            self.points[0] + 1
        };
        priority / (1 << bits) * (1 << bits)
    }

    fn signalled(&self) -> Option<(u32, u32, bool)> {
        let running = self.running.last().map_or(IDLE, |(_, priority)| *priority);
        self.next().filter(|(_, priority, group1)| {
            *priority < self.mask && self.group_priority(*priority, *group1) < running
        })
    }

    fn acknowledge(&mut self, answers: [Option<u32>; 2]) -> u32 {
        let Some((number, priority, group1)) = self.signalled() else {
            return SPURIOUS;
        };
        if let Some(instead) = answers[usize::from(group1)] {
            return instead;
        }
        self.pending.retain(|(other, _, _)| *other != number);
        self.running
            .push((number, self.group_priority(priority, group1)));
        self.active.push(number);
        number
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn interface_answers_as_the_manual_says(steps in prop::collection::vec((0..10_u32, 0..16_u32, any::<u32>()), 0..150)) {
        let guest = Guest::new(BOTH_GROUPS);
        let mut model = Model { control: BOTH_GROUPS, mask: 0xf8, points: [2, 3], ..Model::default() };
        for (step, slot, value) in steps {
            let number = 32 + slot;
            match step {
                0 | 1 if guest.state(slot as usize) == LrState::Empty => {
                    let (priority, group1) = (value as u8 & 0xf8, value >> 8 & 1 != 0);
                    guest.pend(slot as usize, number, priority, group1);
                    model.pending.push((number, priority.into(), group1));
                }
                2 => {
                    guest.set(CTLR, value);
                    model.control = value & 0x21f;
                }
                3 => {
                    guest.set(PMR, value);
                    model.mask = value & 0xf8;
                }
                4 => {
                    guest.set(BPR, value);
                    guest.set(ABPR, value >> 3);
                    model.points = [(value & 7).max(2), (value >> 3 & 7).max(3)];
                }
                5 | 6 => {
                    let instead = (!model.is(ACK_CTL)).then_some(IN_GROUP1);
                    prop_assert_eq!(guest.get(IAR), model.acknowledge([None, instead]));
                }
                7 => prop_assert_eq!(guest.get(AIAR), model.acknowledge([Some(SPURIOUS), None])),
                8 => if let Some((number, _)) = model.running.pop() {
                    guest.set(EOIR, number);
                    if !model.is(EOI_MODE) {
                        model.active.retain(|other| *other != number);
                    }
                },
                9 if model.is(EOI_MODE) && !model.active.is_empty() => {
                    let number = model.active.remove(value as usize % model.active.len());
                    guest.set(DIR, number);
                }
                _ => {}
            }
            let running = model.running.last().map_or(IDLE, |(_, priority)| *priority);
            prop_assert_eq!(guest.get(RPR), running);
            let pending = match model.next() {
                Some((_, _, true)) if !model.is(ACK_CTL) => IN_GROUP1,
                next => next.map_or(SPURIOUS, |(number, _, _)| number),
            };
            prop_assert_eq!(guest.get(HPPIR), pending);
            let lines = match model.signalled() {
                None => NONE,
                Some((_, _, false)) if model.is(FIQ_EN) => FIQ,
                Some(_) => IRQ,
            };
            prop_assert_eq!(guest.interface.lines(), lines);
            for slot in 0..16 {
                let active = guest.state(slot).is_active();
                prop_assert_eq!(active, model.active.contains(&(32 + slot as u32)));
            }
        }
    }
}
