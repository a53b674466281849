//! The controller beside the reference: the same random operations on both, and the same answers from both.

use super::reference::{Record, Reference};
use super::*;
use core::ops::RangeInclusive;
use proptest::prelude::*;

const CPUS: u8 = 3;
const PPI: IntId = IntId::new(20);
const INTERRUPTS: [IntId; 9] = [
    IntId::new(1),
    IntId::new(9),
    PPI,
    LEVEL,
    EDGE,
    UART,
    HIDDEN,
    IntId::new(60),
    IntId::new(61),
];
/// Numbers of list registers.
const REGISTERS: RangeInclusive<usize> = 2..=4;

/// How a guest ends its interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// Last acknowledged, first ended, however deep they nest (`EOImode` 0).
    Nested,
    /// Priorities are dropped in order, and interrupts deactivated in any order (`EOImode` 1).
    Split,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Enable(bool),
    Pend(bool),
    Activate(bool),
    Group(bool),
    Priority(u8),
    Route(u8),
    Edge(bool),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Pulse,
    Line(bool),
    VirtualLine(bool),
    Sgi { to: u8, intid: u8 },
    Change { which: usize, change: Change },
    Groups(u8),
    Acknowledge,
    Drop,
    Deactivate(usize),
    End,
    Off,
    On,
    Compare,
}

fn steps() -> impl Strategy<Value = Vec<(u8, Step)>> {
    let change = prop_oneof![
        4 => any::<bool>().prop_map(Change::Enable),
        4 => any::<bool>().prop_map(Change::Pend),
        2 => any::<bool>().prop_map(Change::Activate),
        1 => any::<bool>().prop_map(Change::Group),
        3 => any::<u8>().prop_map(Change::Priority),
        2 => (0..=CPUS).prop_map(Change::Route),
        1 => any::<bool>().prop_map(Change::Edge),
    ];
    let step = prop_oneof![
        2 => Just(Step::Pulse),
        2 => any::<bool>().prop_map(Step::Line),
        2 => any::<bool>().prop_map(Step::VirtualLine),
        3 => (0..CPUS, prop::sample::select(vec![1_u8, 9])).prop_map(|(to, intid)| Step::Sgi { to, intid }),
        8 => (0..INTERRUPTS.len(), change).prop_map(|(which, change)| Step::Change { which, change }),
        1 => (0..4_u8).prop_map(Step::Groups),
        6 => Just(Step::Acknowledge),
        2 => Just(Step::Drop),
        2 => any::<usize>().prop_map(Step::Deactivate),
        4 => Just(Step::End),
        1 => Just(Step::Off),
        2 => Just(Step::On),
        1 => Just(Step::Compare),
    ];
    prop::collection::vec((0..CPUS, step), 0..120)
}

struct Run {
    machine: Machine,
    reference: Reference,
    version: Version,
    ends: Ends,
}

impl Run {
    fn new(version: Version, ends: Ends, registers: usize) -> Self {
        let group1 = version == Version::V3;
        let mut records = Vec::new();
        for intid in INTERRUPTS {
            let edge = intid.is_sgi() || intid == EDGE;
            let physical = [LEVEL, EDGE].contains(&intid);
            let owners: Vec<_> = if intid.is_private() {
                (0..CPUS).map(Some).collect()
            } else {
                vec![None]
            };
            records.extend(
                owners
                    .iter()
                    .map(|owner| Record::new(intid, *owner, edge, physical, group1)),
            );
        }
        let machine = Machine::started_with(version, CPUS, registers);
        for interface in &machine.interfaces {
            interface.split.set(ends == Ends::Split);
        }
        Self {
            machine,
            reference: Reference::new(records, CPUS),
            version,
            ends,
        }
    }

    fn turn_on(&mut self, cpu: u8) {
        self.machine.turn_on(cpu);
        self.machine
            .interface(cpu)
            .split
            .set(self.ends == Ends::Split);
    }

    fn step(&mut self, cpu: u8, step: Step) {
        if !self.machine.is_on(cpu) {
            if matches!(step, Step::On) {
                self.turn_on(cpu);
            }
            return;
        }
        match step {
            Step::Pulse => {
                self.reference.of(EDGE, 0).pend();
                self.machine.pulse(EDGE);
            }
            Step::Line(high) => {
                self.reference.of(LEVEL, 0).set_line(high);
                self.machine.line(LEVEL, high);
            }
            Step::VirtualLine(high) => {
                self.reference.of(UART, 0).set_line(high);
                self.machine.virtual_line(UART, high);
            }
            Step::Sgi { to, intid } => self.send(cpu, to, intid),
            Step::Change { which, change } => self.change(cpu, INTERRUPTS[which], change),
            Step::Groups(groups) => {
                self.reference.groups = groups;
                self.machine.set(cpu, 0, groups.into());
            }
            Step::Acknowledge => self.acknowledge(cpu),
            Step::Drop if self.ends == Ends::Split => drop(self.end(cpu)),
            Step::Deactivate(nth) if self.ends == Ends::Split => {
                let candidates = self.reference.deactivatable(cpu);
                if !candidates.is_empty() {
                    self.deactivate(cpu, candidates[nth % candidates.len()]);
                }
            }
            Step::End => {
                let ended = self.end(cpu);
                let owed = self.reference.deactivatable(cpu);
                if let Some(intid) = ended.filter(|intid| owed.contains(intid)) {
                    self.deactivate(cpu, intid);
                }
            }
            Step::Off if cpu != 0 => {
                self.reference.turn_off(cpu);
                self.machine.turn_off(cpu);
            }
            Step::Compare => self.compare(),
            Step::Drop | Step::Deactivate(_) | Step::Off | Step::On => {}
        }
        self.machine.run_physical();
    }

    fn send(&mut self, from: u8, to: u8, intid: u8) {
        let record = self.reference.of(IntId::new(intid.into()), to);
        if self.version == Version::V2 {
            record.pend_from(from);
            self.machine.send_from(from, to, IntId::new(intid.into()));
        } else {
            record.pend();
            let value = u64::from(intid) << 24 | 1 << to;
            let kicks = self
                .machine
                .vgic
                .send_sgi(VcpuId::new(from), SgiRegister::Sgi1r, value);
            self.machine.kick(kicks);
        }
    }

    /// The frame in which `cpu` finds an interrupt, and what to add to offsets in it.
    fn frame(&self, cpu: u8, intid: IntId) -> (Frame, u32) {
        if intid.is_private() && self.version == Version::V3 {
            (Frame::Redistributor(VcpuId::new(cpu)), 0x1_0000)
        } else {
            (Frame::Distributor, 0)
        }
    }

    fn put(&mut self, cpu: u8, array: u32, intid: IntId) {
        let (frame, base) = self.frame(cpu, intid);
        let (offset, value) = bit(array, intid);
        self.machine
            .write(cpu, frame, base + offset, Width::Word, value.into());
    }

    /// Replaces a field of `bits` bits in an array of words.
    fn put_field(&mut self, cpu: u8, array: u32, intid: IntId, bits: u32, value: u64) {
        let (frame, base) = self.frame(cpu, intid);
        let offset = base + array + intid.get() * bits / 32 * 4;
        let shift = intid.get() * bits % 32;
        let word = self.machine.read(cpu, frame, offset, Width::Word).unwrap();
        let kept = word & !(((1 << bits) - 1) << shift);
        self.machine
            .write(cpu, frame, offset, Width::Word, kept | value << shift);
    }

    fn change(&mut self, cpu: u8, intid: IntId, change: Change) {
        let sourced = self.version == Version::V2 && intid.is_sgi();
        let running = self.reference.running.iter().flatten();
        let handled = running.into_iter().any(|(other, _)| *other == intid);
        let record = self.reference.of(intid, cpu);
        match change {
            Change::Enable(on) => {
                record.enabled = on;
                self.put(cpu, if on { 0x100 } else { 0x180 }, intid);
            }
            // IHI 0048B 4.3.7: read-only for SGIs.
            Change::Pend(on) => {
                match on {
                    _ if sourced => {}
                    true => record.pend(),
                    false => record.unpend(),
                }
                self.put(cpu, if on { 0x200 } else { 0x280 }, intid);
            }
            // Of one that a handler runs for, and that is not active any more: nobody says what its end means then.
            Change::Activate(true) if !handled || record.active => {
                record.activate();
                self.put(cpu, 0x300, intid);
            }
            Change::Activate(false) => {
                record.deactivate();
                self.reference.forgive(intid, cpu);
                self.put(cpu, 0x380, intid);
            }
            Change::Group(group1) => {
                record.group1 = group1;
                self.put_field(cpu, 0x80, intid, 1, group1.into());
            }
            Change::Priority(priority) => {
                record.set_priority(priority);
                self.put_field(cpu, 0x400, intid, 8, priority.into());
            }
            Change::Route(target) if !intid.is_private() => {
                record.target = (target < CPUS).then_some(target);
                self.route(cpu, intid, target);
            }
            // While an interrupt is enabled or pending a change is UNPREDICTABLE or may lose it (IHI 0069H 12.9.9).
            Change::Edge(edge)
                if intid.is_spi()
                    && !(record.physical
                        || record.enabled
                        || record.active
                        || record.is_pending()) =>
            {
                record.edge = edge;
                self.put_field(cpu, 0xc00, intid, 2, u64::from(edge) * 2);
            }
            Change::Activate(true) | Change::Route(_) | Change::Edge(_) => {}
        }
    }

    fn route(&mut self, cpu: u8, intid: IntId, target: u8) {
        let (offset, width, value) = match self.version {
            Version::V2 => (0x800 + intid.get(), Width::Byte, 1 << target & 0b111),
            Version::V3 if target == CPUS => (0x6000 + 8 * intid.get(), Width::Double, 0x77),
            Version::V3 => (0x6000 + 8 * intid.get(), Width::Double, target.into()),
        };
        self.machine
            .write(cpu, Frame::Distributor, offset, width, value);
    }

    fn acknowledge(&mut self, cpu: u8) {
        let got = self.machine.interface(cpu).acknowledge();
        let got = got.map(|register| (register.virtual_id, register.priority, register.source));
        let verdict = self.reference.acknowledge(cpu, got);
        assert_eq!(verdict, Ok(()));
        self.machine.run_maintenance(cpu);
    }

    /// The end of interrupt, which also deactivates when it is not split.
    fn end(&mut self, cpu: u8) -> Option<IntId> {
        let (intid, _) = self.reference.running[usize::from(cpu)].pop()?;
        if self.ends == Ends::Nested && self.reference.owed[usize::from(cpu)].contains(&intid) {
            self.reference.ended(intid, cpu);
        }
        self.machine.end(cpu);
        Some(intid)
    }

    fn deactivate(&mut self, cpu: u8, intid: IntId) {
        self.reference.ended(intid, cpu);
        self.machine.deactivate(cpu, intid);
    }

    fn field(&mut self, cpu: u8, array: u32, intid: IntId, bits: u32) -> u64 {
        let (frame, base) = self.frame(cpu, intid);
        let offset = base + array + intid.get() * bits / 32 * 4;
        let word = self.machine.read(cpu, frame, offset, Width::Word).unwrap();
        word >> (intid.get() * bits % 32) & ((1 << bits) - 1)
    }

    /// Everything that a guest can read about each interrupt.
    fn compare(&mut self) {
        for record in self.reference.interrupts.clone() {
            let cpu = record.owner.unwrap_or(0);
            if !self.machine.is_on(cpu) {
                continue;
            }
            let intid = record.intid;
            // The first read brings back what another CPU holds.
            for array in [0x200, 0x300] {
                self.field(cpu, array, intid, 1);
            }
            let read = [(0x80, 1), (0x100, 1), (0x300, 1), (0x400, 8), (0xc00, 2)]
                .map(|(array, bits)| self.field(cpu, array, intid, bits));
            let expected = [
                record.group1.into(),
                record.enabled.into(),
                record.active.into(),
                record.priority.into(),
                u64::from(record.edge) * 2,
            ];
            assert_eq!(read, expected, "{record:?}");
            if !record.stale {
                let pending = self.field(cpu, 0x200, intid, 1) != 0;
                assert_eq!(pending, record.is_pending(), "{record:?}");
            }
        }
    }

    /// Lets everything through, ends and handles all of it: nothing may be left over.
    fn drain(&mut self) {
        (0..CPUS).for_each(|cpu| self.step(cpu, Step::On));
        self.step(0, Step::Line(false));
        self.step(0, Step::VirtualLine(false));
        self.step(0, Step::Groups(3));
        for (cpu, intid) in (0..CPUS).flat_map(|cpu| INTERRUPTS.map(|intid| (cpu, intid))) {
            self.change(cpu, intid, Change::Activate(false));
            self.change(cpu, intid, Change::Enable(true));
            self.change(cpu, intid, Change::Route(cpu));
        }
        for cpu in 0..CPUS {
            while !self.reference.running[usize::from(cpu)].is_empty() {
                self.step(cpu, Step::End);
            }
            for _ in 0..20 {
                self.step(cpu, Step::Acknowledge);
                self.step(cpu, Step::End);
            }
            assert_eq!(self.machine.interface(cpu).held(), [], "CPU {cpu}");
        }
        self.compare();
    }
}

fn run(version: Version, ends: Ends, registers: usize, steps: &[(u8, Step)]) {
    let mut run = Run::new(version, ends, registers);
    for (cpu, step) in steps {
        run.step(*cpu, *step);
    }
    run.compare();
    run.drain();
}

/// An eighth of what `PROPTEST_CASES` says, since each case is long.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        failure_persistence: None,
        cases: usual.cases.div_ceil(8),
        ..usual
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn gicv3_does_as_the_reference_with_nested_ends(registers in REGISTERS, steps in steps()) {
        run(Version::V3, Ends::Nested, registers, &steps);
    }

    #[test]
    fn gicv3_does_as_the_reference_with_split_ends(registers in REGISTERS, steps in steps()) {
        run(Version::V3, Ends::Split, registers, &steps);
    }

    #[test]
    fn gicv2_does_as_the_reference_with_nested_ends(registers in REGISTERS, steps in steps()) {
        run(Version::V2, Ends::Nested, registers, &steps);
    }

    #[test]
    fn gicv2_does_as_the_reference_with_split_ends(registers in REGISTERS, steps in steps()) {
        run(Version::V2, Ends::Split, registers, &steps);
    }
}
