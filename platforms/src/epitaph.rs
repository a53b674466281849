//! The hypervisor's own end: a defect is told in a fixed form, and then nothing more is done on this CPU.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::machine::reach;
use crate::{SYSTEM, early};
use hv::arch::aarch64::el2::El2;
use hv::arch::aarch64::firmware;

/// Affinity of the first CPU that failed: it tells, the others only stop.
static TELLS: AtomicU64 = AtomicU64::new(NOBODY);
const NOBODY: u64 = u64::MAX;

fn end() -> ! {
    early::line(format_args!("*** end: {:?}", SYSTEM.end));
    reach(SYSTEM.end)
}

fn begin() {
    let own = El2::affinity().get();
    match TELLS.compare_exchange(NOBODY, own, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {}
        // It failed again while it told.
        Err(teller) if teller == own => reach(SYSTEM.end),
        Err(_) => firmware::halt(),
    }
    early::line(format_args!(""));
    early::line(format_args!("*** Bulkhead has failed; this is a defect"));
    early::line(format_args!(
        "*** system: {} on {}",
        SYSTEM.name, SYSTEM.board.name
    ));
    early::line(format_args!("*** cpu: {:?}", El2::affinity()));
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    begin();
    match info.location() {
        Some(at) => early::line(format_args!(
            "*** panic: {} at {}:{}",
            info.message(),
            at.file(),
            at.line()
        )),
        None => early::line(format_args!("*** panic: {}", info.message())),
    }
    end()
}

/// An exception at EL2: called by the vectors, on a stack of its own.
#[unsafe(no_mangle)]
extern "C" fn bulkhead_defect_report(sp: u64, esr: u64, elr: u64, far: u64, lr: u64) -> ! {
    begin();
    early::line(format_args!(
        "*** exception: esr={esr:#x} elr={elr:#x} far={far:#x} lr={lr:#x} sp={sp:#x}"
    ));
    end()
}
