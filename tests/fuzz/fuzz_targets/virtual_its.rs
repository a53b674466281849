//! Any sequence of ITS commands, accesses to the registers of the ITS and of LPIs, messages of devices, and changes of the queue while it is executed.
//! Nothing may panic or overflow, the physical ITS must never be told of what is not the partition's, and after a restart everything works.
#![no_main]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use gic::ListRegisters;
use gic::virt::its::{Change, Device, Its, Memory, STEPS, Translation};
use gic::virt::{
    Caller, CpuInterface, Frame, Geometry, Grants, Hardware, Interrupt, MOST_LPIS, Shown, VcpuSet,
    VcpuState, Version, Vgic, Width,
};
use libfuzzer_sys::fuzz_target;
use model::device::Trigger;
use model::its::{DeviceIds, VirtualIts};
use model::partition::Vcpu;
use model::time::TimeShare;
use model::{IntId, Ipa, Mpidr, PcpuId, VcpuId};

#[path = "../../../gic/src/virt/tests/its/physical.rs"]
mod physical;
use physical::{CONFIG, PhysicalIts, TABLES};

const CPUS: u8 = 2;
const SPIS: u16 = 32;
/// The first of the partition's devices.
const DEVICE: u32 = 0x10;
/// RAM, at its beginning a queue of one page, then the configuration table.
const RAM: u64 = 0x4000_0000;
const RAM_BYTES: u64 = 0x10_0000;
const PROPERTIES: u64 = RAM + 0x1_0000;
/// Offsets of GITS_CTLR, CBASER, CWRITER, CREADR and BASER0, which are more interesting than others.
const REGISTERS: [u32; 8] = [0, 0x80, 0x84, 0x88, 0x8c, 0x90, 0x100, 0x1_0040];

/// The partition's memory: doublewords that are not zero.
#[derive(Default)]
struct Ram(RefCell<BTreeMap<u64, u64>>);

impl Memory for Ram {
    fn read(&self, ipa: u64) -> Option<u64> {
        assert!(ipa.is_multiple_of(8));
        let own = (RAM..RAM + RAM_BYTES).contains(&ipa);
        own.then(|| self.0.borrow().get(&ipa).copied().unwrap_or(0))
    }
}

#[derive(Default)]
struct Physical(PhysicalIts);

/// No physical interrupt but LPIs is the partition's.
impl Hardware for Physical {
    fn enable(&self, intid: IntId, _: VcpuId) {
        unreachable!("{intid:?}");
    }
    fn disable(&self, intid: IntId, _: VcpuId) {
        assert!(intid.is_private(), "{intid:?}");
    }
    fn route(&self, intid: IntId, _: VcpuId) {
        unreachable!("{intid:?}");
    }
    fn set_trigger(&self, intid: IntId, _: Trigger) {
        unreachable!("{intid:?}");
    }
    fn is_pending(&self, _: IntId, _: VcpuId) -> bool {
        false
    }
    fn clear_pending(&self, intid: IntId, _: VcpuId) {
        unreachable!("{intid:?}");
    }
    fn deactivate(&self, intid: IntId, _: VcpuId) {
        unreachable!("{intid:?}");
    }
    fn translate(&self, change: Change) -> bool {
        self.0.apply(change)
    }
}

/// A partition with an ITS.
struct Bench {
    gic: Vgic,
    interfaces: [CpuInterface; CPUS as usize],
    physical: Physical,
    ram: Ram,
}

impl Bench {
    fn new() -> Self {
        let vcpu = |n| Vcpu {
            pcpu: PcpuId::new(n),
            mpidr: Mpidr::new(n.into()),
            time: TimeShare::Always,
        };
        let geometry = Geometry {
            version: Version::V3,
            vcpus: Vec::leak((0..CPUS).map(vcpu).collect()),
            interrupts: &[],
            timers: [IntId::new(27), IntId::new(30)],
            spis: SPIS,
        };
        let gic = Vgic::new(
            geometry,
            Vec::leak(vec![VcpuState::ROOM; CPUS.into()]),
            Vec::leak(vec![Interrupt::ROOM; SPIS.into()]),
            Vec::leak((0..CPUS).map(|_| Grants::NEW).collect()),
            Box::leak(Box::new(Shown::new())),
        );
        let its = Its::new(
            &CONFIG,
            Vec::leak(vec![Translation::NONE; MOST_LPIS]),
            Vec::leak(vec![Device::NONE; TABLES]),
        );
        let mut bench = Self {
            gic: gic.with_its(its, Vec::leak(vec![Interrupt::ROOM; MOST_LPIS])),
            interfaces: [const { CpuInterface::new() }; CPUS as usize],
            physical: Physical::default(),
            ram: Ram::default(),
        };
        bench.restart();
        bench
    }

    /// Has virtual CPU `cpu` do something; whoever must flush does.
    fn act(
        &mut self,
        cpu: VcpuId,
        action: impl FnOnce(&mut Vgic, &Ram, Caller<'_, CpuInterface, Physical>) -> VcpuSet,
    ) {
        let hardware = &self.physical;
        let caller = |cpu: VcpuId| Caller {
            cpu,
            registers: &self.interfaces[usize::from(cpu.get())],
            hardware,
        };
        let mut kicks = action(&mut self.gic, &self.ram, caller(cpu)) | VcpuSet::only(cpu);
        for _ in 0..8 {
            for cpu in std::mem::replace(&mut kicks, VcpuSet::EMPTY).iter() {
                kicks |= self.gic.flush(caller(cpu));
            }
        }
        assert!(kicks.is_empty(), "kicks never end");
    }

    /// One call of `run_commands`.
    fn run(&mut self, cpu: VcpuId) {
        let before = self.physical.0.changes.get();
        self.act(cpu, |gic, ram, caller| gic.run_commands(ram, caller));
        let changes = self.physical.0.changes.get() - before;
        assert!(changes <= 2 * STEPS, "{changes} physical changes in one go");
    }

    fn write_its(&mut self, offset: u32, width: Width, value: u64) {
        let _ = self.gic.read_its(offset, width);
        let _ = self.gic.write_its(offset, width, value);
    }

    fn write_redistributor(&mut self, cpu: VcpuId, offset: u32, width: Width, value: u64) {
        self.act(cpu, |gic, _, caller| {
            let frame = Frame::Redistributor(cpu);
            match gic.write(frame, offset, width, value, caller) {
                gic::virt::Access::Done(kicks) => kicks,
                gic::virt::Access::Unknown => VcpuSet::EMPTY,
            }
        });
    }

    /// As after a reset of the partition, set up as a guest does that means well: a queue, LPIs on, a collection at each CPU.
    fn restart(&mut self) {
        for interface in &self.interfaces {
            interface.reset();
        }
        self.gic.reset(&self.physical);
        let first = VcpuId::new(0);
        self.act(first, |gic, _, caller| {
            match gic.write(Frame::Distributor, 0, Width::Word, 3, caller) {
                gic::virt::Access::Done(kicks) => kicks,
                gic::virt::Access::Unknown => VcpuSet::EMPTY,
            }
        });
        for cpu in (0..CPUS).map(VcpuId::new) {
            self.write_redistributor(cpu, 0x70, Width::Double, PROPERTIES | 13);
            self.write_redistributor(cpu, 0, Width::Word, 1);
        }
        self.write_its(0x80, Width::Double, 1 << 63 | RAM);
        self.write_its(0, Width::Word, 1);
        for cpu in 0..u64::from(CPUS) {
            self.submit([0x09, 0, cpu | cpu << 16 | 1 << 63, 0]);
            self.run(first);
        }
    }

    /// Writes a command behind the last one and tells the ITS of it.
    fn submit(&mut self, words: [u64; 4]) {
        let gic::virt::Access::Done(place) = self.gic.read_its(0x88, Width::Double) else {
            unreachable!("GITS_CWRITER can be read");
        };
        for (address, word) in (RAM + place..).step_by(8).zip(words) {
            self.ram.0.borrow_mut().insert(address, word);
        }
        self.write_its(0x88, Width::Double, (place + 32) % 4096);
    }

    /// A message of a device.
    fn message(&mut self, device: u32, event: u16) {
        let Some((physical, cpu)) = self.physical.0.signal(device, event) else {
            return;
        };
        let cpu = VcpuId::new(cpu);
        if let Some(lpi) = self.gic.lpi(physical) {
            self.act(cpu, |gic, _, caller| gic.deliver(lpi, caller));
        }
    }

    fn step(&mut self, step: [u8; 8]) {
        let [what, a, b, c, d, e, f, g] = step;
        let cpu = VcpuId::new(a % CPUS);
        let value = u64::from_le_bytes([b, c, d, e, f, g, b, c]);
        match what % 16 {
            // Commands of numbers that may exist.
            0..=5 => {
                let device = u64::from(DEVICE) + u64::from(b & 0x2f);
                let (event, lpi) = (u64::from(c), 8192 + u64::from(d));
                let third = u64::from(e & 0x1f) | u64::from(f & 3) << 16 | u64::from(g) << 56;
                let first = u64::from(a & 0x0f) | device << 32;
                self.submit([first, event | lpi << 32, third, u64::from(f & 3) << 16]);
                if what % 16 != 0 {
                    self.run(cpu);
                }
            }
            // Any doublewords.
            6 => {
                self.submit([value, value.rotate_left(24), !value, value << 16]);
                self.run(cpu);
            }
            // The queue or the configuration table changes behind the back of the ITS.
            7 => {
                let at = RAM + u64::from(u16::from_le_bytes([b, c])) * 8;
                self.ram.0.borrow_mut().insert(at, value);
            }
            8 | 9 => {
                let offset = match a >> 3 {
                    31 => u32::from_le_bytes([b, c, d & 3, 0]),
                    which => REGISTERS[usize::from(which) % REGISTERS.len()],
                };
                let width =
                    [Width::Word, Width::Double, Width::Half, Width::Byte][usize::from(a >> 1 & 3)];
                let value = if d & 1 == 0 {
                    value
                } else {
                    RAM | 1 << 63 | u64::from(e) << 5
                };
                self.write_its(offset, width, value);
            }
            10 => self.run(cpu),
            11 => {
                let offset =
                    [0, 0x70, 0x74, 0x78, 0xa0, 0xb0, 0xc0, u32::from(b)][usize::from(a >> 5)];
                let width = [Width::Word, Width::Double][usize::from(a >> 4 & 1)];
                self.write_redistributor(cpu, offset, width, value);
            }
            12 | 13 => self.message(DEVICE + u32::from(b & 0x2f), c.into()),
            // A device with many events, so that later commands take more than one call.
            14 => {
                let device = u64::from(DEVICE) + u64::from(b & 3);
                self.submit([0x08 | device << 32, 5, 1 << 63, 0]);
                self.run(cpu);
                for event in 0..u64::from(c & 63) {
                    let lpi = 8192 + u64::from(d) + event;
                    self.submit([0x0a | device << 32, event | lpi << 32, e.into(), 0]);
                    self.run(cpu);
                }
            }
            _ if a == 0 => self.restart(),
            // The guest acknowledges and ends, or looks for more.
            _ => {
                let interface = &self.interfaces[usize::from(cpu.get())];
                let _ = interface.load([0x0c, 0x20, 0x18][usize::from(b % 3)], Width::Word);
                let hardware = &self.physical;
                let _ = interface.store(
                    [0x10, 0x24, 0x04][usize::from(c % 3)],
                    Width::Word,
                    value as u32,
                    cpu,
                    hardware,
                );
                self.act(cpu, |gic, _, caller| gic.maintain(caller));
            }
        }
    }

    fn check(&self) {
        let mut seen = BTreeSet::new();
        for interface in &self.interfaces {
            for register in (0..interface.count()).map(|index| interface.read(index)) {
                if register.state.is_pending() || register.state.is_active() {
                    let intid = register.virtual_id;
                    assert!(seen.insert(intid.get()), "{intid:?} is held twice");
                    assert_eq!(register.hardware, None, "{intid:?}");
                }
            }
        }
        for ((device, event), (physical, _)) in self.physical.0.events.borrow().iter() {
            assert!(
                self.gic.lpi(*physical).is_some(),
                "event {event} of {device:#x} is mapped in hardware only"
            );
            let has_table = self.physical.0.tables.borrow().contains_key(device);
            assert!(has_table, "{device:#x} has events without a table");
        }
    }

    /// A guest that starts anew finds its ITS as it should be.
    fn works_after_a_restart(&mut self) {
        self.restart();
        self.ram.0.borrow_mut().insert(PROPERTIES, 0x81);
        let of_device = |number: u64| number | u64::from(DEVICE) << 32;
        let all = [
            [of_device(0x08), 5, 1 << 63, 0],
            [of_device(0x0a), 3 | 8192 << 32, 1, 0],
            [of_device(0x0c), 3, 0, 0],
        ];
        for words in all {
            self.submit(words);
            self.run(VcpuId::new(0));
        }
        self.message(DEVICE, 3);
        let interface = &self.interfaces[1];
        let arrived = (0..interface.count())
            .map(|index| interface.read(index))
            .any(|register| register.virtual_id.get() == 8192 && register.state.is_pending());
        assert!(arrived, "a message is lost");
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut bench = Bench::new();
    let (steps, _) = bytes.as_chunks();
    for step in steps {
        bench.step(*step);
        bench.check();
    }
    bench.works_after_a_restart();
});
