//! The hypervisor's own end: a defect is told in a fixed form, and then nothing more is done on this CPU.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::{SYSTEM, cpu, early, machine};

/// APIC number of the first CPU that failed: it tells, the others only stop.
static TELLS: AtomicU32 = AtomicU32::new(NOBODY);
/// No number: they have eight bits.
const NOBODY: u32 = u32::MAX;

fn begin() {
    // Leaf 1, EBX: the CPU's own number, which can be read whatever state its APIC is in.
    let own = cpu::cpuid(1, 0).ebx >> 24;
    match TELLS.compare_exchange(NOBODY, own, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {}
        // It failed again while it told.
        Err(teller) if teller == own => machine::reach(SYSTEM.end),
        Err(_) => cpu::halt(),
    }
    early::line(format_args!(""));
    early::line(format_args!("*** Bulkhead has failed; this is a defect"));
    early::line(format_args!(
        "*** system: {} on {}",
        SYSTEM.name, SYSTEM.board.name
    ));
    early::line(format_args!("*** cpu: apic {own}"));
}

fn end() -> ! {
    early::line(format_args!("*** end: {:?}", SYSTEM.end));
    machine::reach(SYSTEM.end)
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

/// An exception in the hypervisor.
pub fn exception(vector: u64, code: u64, rip: u64, address: u64) -> ! {
    begin();
    early::line(format_args!(
        "*** exception: vector={vector} code={code:#x} rip={rip:#x} cr2={address:#x}"
    ));
    end()
}
