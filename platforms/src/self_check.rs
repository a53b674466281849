//! The self-check at boot: the board against its device tree and against what the system needs, a line for each thing, the first difference no
//! better than the last. A system whose board differs is not started.
//!
//! The tree is compared first, as every image does it ([`bring_up`](crate::bring_up)). What it says of CPUs and the interrupt controller is then tried on the
//! hardware: each CPU looks for itself, one after the other.

use core::fmt::Arguments;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use gic::probe::Probe;
use gic::{Announce, InterruptController, ListRegisters};
use hv::arch::aarch64::el2::El2;
use hv::arch::aarch64::probe::{Timer, sees_virtual_interrupt, while_fired};
use hv::machine::Cpu;
use hv::sync::BootCell;
use model::board::PhysicalGic;
use platforms::cores;
use platforms::device_tree::{DeviceTree, big_endian};

use crate::SYSTEM;
use crate::early::{line, stop};
use crate::interrupts::Gic;

/// The tree that firmware handed over, and where the image lies.
static TREE: BootCell<DeviceTree<'static>> = BootCell::new();
static LOAD: AtomicU64 = AtomicU64::new(0);
/// What differs so far.
static DIFFERENCES: AtomicUsize = AtomicUsize::new(0);
/// The pCPU whose turn it is to look.
static TURN: AtomicUsize = AtomicUsize::new(0);

/// Something differs.
pub fn differs(what: Arguments<'_>) {
    line(format_args!("check DIFFERS: {what}"));
    DIFFERENCES.fetch_add(1, Ordering::Relaxed);
}

fn ok(what: Arguments<'_>) {
    line(format_args!("check ok: {what}"));
}

fn expect(holds: bool, what: Arguments<'_>, otherwise: Arguments<'_>) {
    if holds {
        ok(what);
    } else {
        differs(otherwise);
    }
}

/// A comparison that says itself what differs.
pub fn compare(what: Arguments<'_>, comparison: impl FnOnce()) {
    let before = DIFFERENCES.load(Ordering::Relaxed);
    comparison();
    if DIFFERENCES.load(Ordering::Relaxed) == before {
        ok(what);
    }
}

/// What does not fit the tree may not answer at all: it is not touched.
pub fn tree_is_compared(tree: DeviceTree<'static>, load: u64) {
    conclude();
    // Set once, here.
    let _ = TREE.set(tree);
    LOAD.store(load, Ordering::Relaxed);
}

/// Stops the boot when something differs.
fn conclude() {
    match DIFFERENCES.load(Ordering::Relaxed) {
        0 => {}
        1 => stop(format_args!(
            "the self-check has found 1 difference, see above"
        )),
        more => stop(format_args!(
            "the self-check has found {more} differences, see above"
        )),
    }
}

/// The distributor is on.
pub fn interrupt_controller(gic: Gic) {
    let wanted = match SYSTEM.board.gic {
        #[cfg(feature = "v2")]
        PhysicalGic::V2 { .. } => 2,
        PhysicalGic::V3 { .. } => 3,
    };
    // A GICv4 is a GICv3.
    let found = gic.architecture();
    let fits = found == wanted || (found, wanted) == (4, 3);
    expect(
        fits,
        format_args!(
            "the distributor says that it is a GICv{found} with up to {} interrupts",
            gic.interrupts()
        ),
        format_args!(
            "the tree has a GICv{wanted}, and GICD_PIDR2 says architecture {found}: another controller, or another address"
        ),
    );
    #[cfg(feature = "iommu")]
    streams();
}

/// IOMMUs are on already: one that does not answer has stopped the boot.
#[cfg(feature = "iommu")]
fn streams() {
    for iommu in SYSTEM.iommus {
        ok(format_args!(
            "IOMMU {} ({}) at {:#x} answers",
            iommu.path,
            iommu.kind.compatible().first().unwrap_or(&""),
            iommu.registers.base.get()
        ));
        for owned in iommu.owned {
            let partition = SYSTEM.partitions.get(usize::from(owned.partition.get()));
            ok(format_args!(
                "IOMMU {}: {} stream(s) from {:#x} are {}, of {}",
                iommu.path,
                owned.streams.count,
                owned.streams.first.get(),
                owned.device,
                partition.map_or("nobody", |partition| partition.name)
            ));
        }
    }
}

/// What each pCPU finds of itself, when its interrupt controller is ready and before it tells the others. One that never comes does not keep the others.
pub fn cpu(index: usize, gic: Gic) {
    let deadline = El2::now().wrapping_add(2 * El2::frequency());
    while TURN.load(Ordering::Acquire) != index && El2::now() < deadline {
        core::hint::spin_loop();
    }
    let affinity = El2::affinity().get();
    core_in_tree(affinity);
    features(affinity);
    timers(affinity, gic);
    virtual_interface(affinity, gic);
    TURN.store(index + 1, Ordering::Release);
    conclude();
}

fn core_in_tree(affinity: u64) {
    let midr = El2::identity();
    let node = TREE.get().and_then(|tree| {
        tree.nodes().find(|node| {
            let has = |wanted: &[u8], value: &dyn Fn(&[u8]) -> bool| {
                node.properties()
                    .any(|(name, found)| name == wanted && value(found))
            };
            has(b"device_type", &|kind| kind == b"cpu\0")
                && has(b"reg", &|reg| big_endian(reg) == affinity)
        })
    });
    let compatible = node
        .and_then(|node| node.properties().find(|(name, _)| *name == b"compatible"))
        .and_then(|(_, names)| names.split(|byte| *byte == 0).next())
        .and_then(|name| str::from_utf8(name).ok())
        .unwrap_or("");
    match (cores::name(midr), cores::is_known(compatible)) {
        (Some(core), true) => expect(
            core == compatible,
            format_args!("CPU {affinity:#x} is {core} (MIDR_EL1 {midr:#x})"),
            format_args!(
                "the tree has {compatible} as CPU {affinity:#x}, and MIDR_EL1 {midr:#x} is {core}"
            ),
        ),
        _ => ok(format_args!(
            "CPU {affinity:#x} has MIDR_EL1 {midr:#x}; the tree calls it \"{compatible}\", of which nothing more is known here"
        )),
    }
}

fn features(affinity: u64) {
    let [pfr0, mmfr0, mmfr1] = El2::features();
    let field = |register: u64, lowest: u32| register >> lowest & 0xf;
    let counter = El2::frequency();
    ok(format_args!(
        "CPU {affinity:#x}: ID_AA64PFR0_EL1 {pfr0:#x}, ID_AA64MMFR0_EL1 {mmfr0:#x}, ID_AA64MMFR1_EL1 {mmfr1:#x}"
    ));
    // ID_AA64PFR0_EL1.EL1 is 1 or 2 with AArch64; ID_AA64MMFR0_EL1.TGran4_2 is 1 without stage 2 by pages of 4 KiB, and TGran4 15 without such pages at all.
    let pages = match field(mmfr0, 40) {
        0 => field(mmfr0, 28) != 0xf,
        stage2 => stage2 != 1,
    };
    expect(
        pages && field(pfr0, 4) != 0,
        format_args!("CPU {affinity:#x} has AArch64 at EL1 and pages of 4 KiB"),
        format_args!("CPU {affinity:#x} has no AArch64 at EL1 or no pages of 4 KiB"),
    );
    let before = El2::now();
    // Slow counters have 1 MHz.
    let moves = (0..1_000_000).any(|_| El2::now() != before);
    expect(
        counter != 0 && moves,
        format_args!("CPU {affinity:#x}: the system counter runs at {counter} Hz"),
        format_args!(
            "CPU {affinity:#x}: the system counter stands, or firmware left CNTFRQ_EL0 at 0 ({counter})"
        ),
    );
}

fn timers(affinity: u64, gic: Gic) {
    let board = &SYSTEM.board;
    for (timer, name, intid) in [
        (Timer::Virtual, "virtual", board.virtual_timer),
        (Timer::Physical, "physical", board.physical_timer),
        (Timer::Hypervisor, "hypervisor", board.hypervisor_timer),
    ] {
        let before = gic.is_pending(intid);
        let raised = while_fired(timer, || settles(|| gic.is_pending(intid)));
        expect(
            raised && !before,
            format_args!(
                "CPU {affinity:#x}: the {name} timer raises interrupt {}",
                intid.get()
            ),
            format_args!(
                "CPU {affinity:#x}: the {name} timer does not raise interrupt {}, which the tree has for it",
                intid.get()
            ),
        );
    }
}

fn virtual_interface(affinity: u64, gic: Gic) {
    let intid = SYSTEM.board.maintenance;
    gic.announce(Announce {
        refill: true,
        ..Announce::NOTHING
    });
    let raised = settles(|| gic.is_pending(intid));
    gic.announce(Announce::NOTHING);
    expect(
        raised,
        format_args!(
            "CPU {affinity:#x}: {} list registers, maintenance by interrupt {}",
            gic.count(),
            intid.get()
        ),
        format_args!(
            "CPU {affinity:#x}: the GIC does not raise maintenance interrupt {}, which the tree has for it",
            intid.get()
        ),
    );
    gic.signal_one();
    let seen = sees_virtual_interrupt(LOAD.load(Ordering::Relaxed));
    gic.reset_virtual_interface();
    match seen {
        Some(true) => ok(format_args!(
            "CPU {affinity:#x}: virtual interrupts reach EL1"
        )),
        Some(false) => differs(format_args!(
            "CPU {affinity:#x}: the GIC's virtual interrupts do not reach the CPU: no guest would ever see one"
        )),
        None => differs(format_args!(
            "CPU {affinity:#x}: an interrupt or an error comes that nobody has asked for"
        )),
    }
}

/// Waits a little for hardware to follow.
fn settles(look: impl Fn() -> bool) -> bool {
    (0..10_000).any(|_| look())
}
