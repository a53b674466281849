//! Random operations of guests and devices against rules that hold for every interrupt controller: nothing is lost, nothing invented, an
//! interrupt is in one list register at most, and only owned interrupts are linked.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const CPUS: u8 = 3;
const INTERRUPTS: [IntId; 8] = [
    IntId::new(1),
    IntId::new(9),
    LEVEL,
    EDGE,
    UART,
    HIDDEN,
    IntId::new(60),
    IntId::new(61),
];

#[derive(Clone, Debug)]
enum Step {
    Pulse,
    Line(bool),
    VirtualLine(bool),
    Sgi {
        from: u8,
        to: u8,
        intid: u8,
    },
    /// A one-bit register array, as an offset in the distributor, and which interrupt.
    Bit {
        cpu: u8,
        array: u32,
        which: usize,
    },
    Priority {
        cpu: u8,
        which: usize,
        priority: u8,
    },
    Route {
        cpu: u8,
        which: usize,
        target: u8,
    },
    Groups {
        cpu: u8,
        groups: u8,
    },
    Read {
        cpu: u8,
        array: u32,
        which: usize,
    },
    Acknowledge(u8),
    End(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let cpu = || 0..CPUS;
    let which = || 0..INTERRUPTS.len();
    let array = || prop::sample::select(vec![0x100_u32, 0x180, 0x200, 0x280, 0x300, 0x380]);
    let step = prop_oneof![
        2 => Just(Step::Pulse),
        1 => any::<bool>().prop_map(Step::Line),
        2 => any::<bool>().prop_map(Step::VirtualLine),
        3 => (cpu(), cpu(), prop::sample::select(vec![1_u8, 9])).prop_map(|(from, to, intid)| Step::Sgi { from, to, intid }),
        4 => (cpu(), array(), which()).prop_map(|(cpu, array, which)| Step::Bit { cpu, array, which }),
        1 => (cpu(), which(), any::<u8>()).prop_map(|(cpu, which, priority)| Step::Priority { cpu, which, priority }),
        2 => (cpu(), which(), 0..=CPUS).prop_map(|(cpu, which, target)| Step::Route { cpu, which, target }),
        1 => (cpu(), 0..4_u8).prop_map(|(cpu, groups)| Step::Groups { cpu, groups }),
        1 => (cpu(), array(), which()).prop_map(|(cpu, array, which)| Step::Read { cpu, array, which }),
        5 => cpu().prop_map(Step::Acknowledge),
        5 => cpu().prop_map(Step::End),
    ];
    prop::collection::vec(step, 0..200)
}

/// Whether the next arrival of each interrupt that remembers arrivals (edges, SGIs) is still owed to the guest. SGIs count for each CPU, GICv2
/// ones also for each source.
#[derive(Default)]
struct Owed(BTreeSet<(IntId, u8, u8)>);

struct Run {
    machine: Machine,
    version: Version,
    owed: Owed,
}

impl Run {
    fn new(version: Version) -> Self {
        Self {
            machine: Machine::started(version, CPUS),
            version,
            owed: Owed::default(),
        }
    }

    /// Where the private or shared bit of an interrupt is.
    fn place(&self, cpu: u8, array: u32, intid: IntId) -> (Frame, u32, u64) {
        let (offset, value) = bit(array, intid);
        if intid.is_private() && self.version == Version::V3 {
            // Any CPU may access any redistributor: use the next one's.
            let neighbour = (cpu + 1) % CPUS;
            (
                Frame::Redistributor(VcpuId::new(neighbour)),
                0x1_0000 + offset,
                value.into(),
            )
        } else {
            (Frame::Distributor, offset, value.into())
        }
    }

    fn remembers(intid: IntId) -> bool {
        intid == EDGE || intid.is_sgi()
    }

    fn deliver_physical(&mut self) {
        for (intid, _) in self.machine.run_physical() {
            self.arrived(intid);
        }
    }

    fn arrived(&mut self, intid: IntId) {
        if Self::remembers(intid) {
            self.owed.0.insert((intid, 0, 0));
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Pulse => {
                self.machine
                    .physical
                    .set(EDGE, 0, |physical| physical.latched = true);
                self.deliver_physical();
            }
            Step::Line(high) => {
                self.machine
                    .physical
                    .set(LEVEL, 0, |physical| physical.line = high);
                self.deliver_physical();
            }
            Step::VirtualLine(high) => self.machine.virtual_line(UART, high),
            Step::Sgi { from, to, intid } => self.send(from, to, intid),
            Step::Bit { cpu, array, which } => self.write_bit(cpu, array, INTERRUPTS[which]),
            Step::Priority {
                cpu,
                which,
                priority,
            } => {
                let intid = INTERRUPTS[which];
                if !intid.is_private() {
                    let offset = 0x400 + intid.get();
                    self.machine.write(
                        cpu,
                        Frame::Distributor,
                        offset,
                        Width::Byte,
                        priority.into(),
                    );
                }
            }
            Step::Route { cpu, which, target } => self.route(cpu, INTERRUPTS[which], target),
            Step::Groups { cpu, groups } => self.machine.set(cpu, 0, groups.into()),
            Step::Read { cpu, array, which } => {
                let (frame, offset, _) = self.place(cpu, array, INTERRUPTS[which]);
                self.machine.read(cpu, frame, offset, Width::Word);
            }
            Step::Acknowledge(cpu) => self.acknowledge(cpu),
            Step::End(cpu) => self.end(cpu),
        }
        self.deliver_physical();
        self.check();
    }

    fn send(&mut self, from: u8, to: u8, intid: u8) {
        match self.version {
            Version::V2 => self.machine.send_from(from, to, IntId::new(intid.into())),
            Version::V3 => {
                let value = u64::from(intid) << 24 | 1 << to;
                let kicks =
                    self.machine
                        .vgic
                        .send_sgi(VcpuId::new(from), SgiRegister::Sgi1r, value);
                self.machine.kick(kicks);
            }
        }
        let source = if self.version == Version::V2 { from } else { 0 };
        self.owed.0.insert((IntId::new(intid.into()), to, source));
    }

    fn write_bit(&mut self, cpu: u8, array: u32, intid: IntId) {
        let (frame, offset, value) = self.place(cpu, array, intid);
        let owner = match frame {
            Frame::Redistributor(of) => of.get(),
            Frame::Distributor if intid.is_private() => cpu,
            Frame::Distributor => 0,
        };
        let ignored = self.version == Version::V2 && intid.is_sgi();
        if Self::remembers(intid) && !ignored {
            // A physical arrival may follow the write at once; it is owed again then.
            match array {
                0x200 => drop(self.owed.0.insert((intid, owner, 0))),
                0x280 => drop(self.owed.0.remove(&(intid, owner, 0))),
                _ => {}
            }
        }
        self.machine.write(cpu, frame, offset, Width::Word, value);
    }

    fn route(&mut self, cpu: u8, intid: IntId, target: u8) {
        if intid.is_private() {
            return;
        }
        match self.version {
            Version::V2 => {
                let mask = 1 << target & 0b111;
                self.machine.write(
                    cpu,
                    Frame::Distributor,
                    0x800 + intid.get(),
                    Width::Byte,
                    mask,
                );
            }
            Version::V3 => {
                let affinity = if target == CPUS {
                    0x77
                } else {
                    u64::from(target)
                };
                self.machine.write(
                    cpu,
                    Frame::Distributor,
                    0x6000 + 8 * intid.get(),
                    Width::Double,
                    affinity,
                );
            }
        }
    }

    fn acknowledge(&mut self, cpu: u8) {
        let Some(taken) = self.machine.interface(cpu).acknowledge() else {
            return;
        };
        let intid = taken.virtual_id;
        if Self::remembers(intid) {
            let owner = if intid.is_private() { cpu } else { 0 };
            assert!(
                self.owed.0.remove(&(intid, owner, taken.source)),
                "{intid:?} was invented"
            );
        }
        self.machine.run_maintenance(cpu);
    }

    fn end(&mut self, cpu: u8) {
        if let Some(physical) = self.machine.interface(cpu).end() {
            self.machine
                .physical
                .set(physical, cpu, |physical| physical.active = false);
        }
        self.machine.run_maintenance(cpu);
    }

    fn check(&self) {
        let mut seen = BTreeSet::new();
        for (cpu, interface) in self.machine.interfaces.iter().enumerate() {
            for register in interface.held() {
                let intid = register.virtual_id;
                let owner = if intid.is_private() { cpu } else { 0 };
                assert!(
                    seen.insert((intid, owner)),
                    "{intid:?} is in two list registers"
                );
                if let Some(physical) = register.hardware {
                    let behind = if intid == EDGE { EDGE_OUTSIDE } else { intid };
                    assert_eq!(physical, behind);
                    assert!(
                        [LEVEL, EDGE].contains(&intid),
                        "{intid:?} is linked but not owned"
                    );
                    assert!(
                        self.machine.physical.get(intid, 0).active,
                        "{intid:?} is linked to an inactive interrupt"
                    );
                    assert_ne!(register.state, LrState::PendingActive, "{intid:?}");
                }
            }
        }
    }

    /// The guest lets everything through and handles all of it; then the machine must be silent and owe nothing.
    fn drain(&mut self) {
        self.machine.set(0, 0, 3);
        self.machine
            .physical
            .set(LEVEL, 0, |physical| physical.line = false);
        self.machine.virtual_line(UART, false);
        for which in INTERRUPTS {
            self.route(0, which, 0);
            for cpu in 0..CPUS {
                self.write_bit(cpu, 0x100, which);
                // What the guest made active itself nothing else would end.
                self.write_bit(cpu, 0x380, which);
            }
        }
        for _ in 0..50 {
            self.deliver_physical();
            for cpu in 0..CPUS {
                self.end(cpu);
                self.acknowledge(cpu);
            }
            self.check();
        }
        assert!(self.owed.0.is_empty(), "lost: {:?}", self.owed.0);
        for cpu in 0..CPUS {
            assert_eq!(
                self.machine.interface(cpu).held(),
                [],
                "CPU {cpu} is not done"
            );
        }
        for intid in [LEVEL, EDGE] {
            assert!(
                !self.machine.physical.get(intid, 0).active,
                "{intid:?} is orphaned"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn gicv3_loses_nothing_and_invents_nothing(steps in steps()) {
        let mut run = Run::new(Version::V3);
        steps.iter().for_each(|step| run.step(step));
        run.drain();
    }

    #[test]
    fn gicv2_loses_nothing_and_invents_nothing(steps in steps()) {
        let mut run = Run::new(Version::V2);
        steps.iter().for_each(|step| run.step(step));
        run.drain();
    }

    #[test]
    fn any_access_to_any_offset_is_survived(
        version in prop::sample::select(vec![Version::V2, Version::V3]),
        accesses in prop::collection::vec((0..3_u8, 0..4_u8, 0..0x2_0000_u32, 0..4_usize, any::<u64>(), any::<bool>()), 0..300),
    ) {
        let mut machine = Machine::started(version, CPUS);
        for (cpu, frame, offset, width, value, is_write) in accesses {
            let frame = if frame == 3 { Frame::Distributor } else { Frame::Redistributor(VcpuId::new(frame * 2)) };
            let width = [Width::Byte, Width::Half, Width::Word, Width::Double][width];
            // Registers are dense at the start of the frame and rare elsewhere.
            let offset = if value & 1 != 0 { offset & 0x1_1fff } else { offset };
            if is_write {
                machine.write(cpu, frame, offset, width, value);
            } else {
                machine.read(cpu, frame, offset, width);
            }
            machine.run_physical();
            if let Some(next) = machine.acknowledge(cpu) {
                prop_assert!(next.get() < 96);
                machine.end(cpu);
            }
        }
    }
}
