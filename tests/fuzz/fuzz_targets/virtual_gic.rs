//! Any sequence of accesses to the virtual interrupt controller's frames and to its GICv2 CPU interface, of arrivals, power-offs and flushes. Nothing
//! may panic or overflow, no interrupt may be in two list registers, and only owned ones may be linked to physical ones.
#![no_main]

use std::collections::BTreeSet;

use gic::ListRegisters;
use gic::virt::{
    Access, Caller, CpuInterface, Frame, Geometry, Grants, Hardware, Interrupt, Shown, VcpuSet,
    VcpuState, Version, Vgic, Width,
};
use libfuzzer_sys::fuzz_target;
use model::device::{PassedInterrupt, Trigger};
use model::partition::Vcpu;
use model::time::TimeShare;
use model::{IntId, Mpidr, PcpuId, VcpuId};

const CPUS: u8 = 3;
const SPIS: u16 = 64;
const LEVEL: IntId = IntId::new(33);
const EDGE: IntId = IntId::new(34);
const TIMER: IntId = IntId::new(27);
static OWNED: [PassedInterrupt; 2] = [
    PassedInterrupt::new(LEVEL, Trigger::Level),
    PassedInterrupt::new(EDGE, Trigger::Edge),
];

/// Physical interrupts: only that nobody else's are touched counts.
struct Physical;

impl Physical {
    fn touch(intid: IntId) {
        assert!(
            [LEVEL, EDGE, TIMER, IntId::new(30)].contains(&intid),
            "{intid:?}"
        );
    }
}

impl Hardware for Physical {
    fn enable(&self, intid: IntId, _: VcpuId) {
        Self::touch(intid);
    }
    fn disable(&self, intid: IntId, _: VcpuId) {
        Self::touch(intid);
    }
    fn route(&self, intid: IntId, _: VcpuId) {
        Self::touch(intid);
    }
    fn set_trigger(&self, intid: IntId, _: Trigger) {
        Self::touch(intid);
    }
    fn is_pending(&self, intid: IntId, _: VcpuId) -> bool {
        Self::touch(intid);
        false
    }
    fn clear_pending(&self, intid: IntId, _: VcpuId) {
        Self::touch(intid);
    }
    fn deactivate(&self, intid: IntId, _: VcpuId) {
        Self::touch(intid);
    }
}

fn controller(version: Version) -> Vgic {
    let vcpu = |n| Vcpu {
        pcpu: PcpuId::new(n),
        mpidr: Mpidr::new(n.into()),
        time: TimeShare::Always,
    };
    let geometry = Geometry {
        version,
        vcpus: Vec::leak((0..CPUS).map(vcpu).collect()),
        interrupts: &OWNED,
        timers: [TIMER, IntId::new(30)],
        spis: SPIS,
    };
    Vgic::new(
        geometry,
        Vec::leak(vec![VcpuState::ROOM; CPUS.into()]),
        Vec::leak(vec![Interrupt::ROOM; SPIS.into()]),
        Vec::leak((0..CPUS).map(|_| Grants::NEW).collect()),
        Box::leak(Box::new(Shown::new())),
    )
}

fn check(interfaces: &[CpuInterface]) {
    let mut seen = BTreeSet::new();
    for (cpu, interface) in interfaces.iter().enumerate() {
        for register in (0..interface.count()).map(|index| interface.read(index)) {
            if !register.state.is_pending() && !register.state.is_active() {
                continue;
            }
            let intid = register.virtual_id;
            let owner = if intid.is_private() { cpu } else { 0 };
            assert!(seen.insert((intid.get(), owner)), "{intid:?} is held twice");
            if let Some(physical) = register.hardware {
                assert_eq!(physical, intid);
                Physical::touch(intid);
            }
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((version, steps)) = bytes.split_first() else {
        return;
    };
    let version = if version & 1 == 0 {
        Version::V2
    } else {
        Version::V3
    };
    let mut gic = controller(version);
    let interfaces: Vec<_> = (0..CPUS).map(|_| CpuInterface::new()).collect();
    for step in steps.chunks_exact(8) {
        let [what, cpu, a, b, c, d, e, f] = *step else {
            return;
        };
        let cpu = VcpuId::new(cpu % CPUS);
        let caller = Caller {
            cpu,
            registers: &interfaces[usize::from(cpu.get())],
            hardware: &Physical,
        };
        let offset = u32::from_le_bytes([a, b, c & 1, 0]);
        let value = u64::from_le_bytes([d, e, f, c, d, e, f, c]);
        let width = [Width::Byte, Width::Half, Width::Word, Width::Double][usize::from(c >> 1 & 3)];
        let frame = match c >> 3 & 3 {
            3 => Frame::Distributor,
            of => Frame::Redistributor(VcpuId::new(of)),
        };
        let mut kicks = match what % 8 {
            0 => match gic.read(frame, offset, width, caller) {
                Access::Done(read) => read.kicks,
                Access::Unknown => VcpuSet::EMPTY,
            },
            1 | 2 => match gic.write(frame, offset, width, value, caller) {
                Access::Done(kicks) => kicks,
                Access::Unknown => VcpuSet::EMPTY,
            },
            3 => gic.deliver([LEVEL, EDGE, TIMER][usize::from(a % 3)], caller),
            4 => gic.set_line(IntId::new(40), a & 1 != 0),
            5 => {
                let _ = caller.registers.load(offset & 0xff, Width::Word);
                gic.maintain(caller)
            }
            6 => {
                let page = u32::from(c & 1) << 12;
                match caller.registers.store(
                    page | u32::from(a),
                    Width::Word,
                    value as u32,
                    cpu,
                    &Physical,
                ) {
                    Access::Done(Some(intid)) => gic.deactivate(intid, caller),
                    _ => VcpuSet::EMPTY,
                }
            }
            _ => {
                let kicks = gic.park(caller);
                caller.registers.reset();
                kicks
            }
        };
        // Whoever is named flushes, and the caller before it goes on.
        for _ in 0..8 {
            let named = kicks | VcpuSet::only(cpu);
            kicks = VcpuSet::EMPTY;
            for cpu in named.iter() {
                let registers = &interfaces[usize::from(cpu.get())];
                let hardware = &Physical;
                kicks |= gic.flush(Caller {
                    cpu,
                    registers,
                    hardware,
                });
            }
        }
        assert!(kicks.is_empty(), "kicks never end");
        check(&interfaces);
    }
});
