//! The hypervisor's own end: a defect is told in a fixed form, and then nothing more is done on this CPU.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::{SYSTEM, cpu, early, machine};

/// The first CPU that fails tells; the others only stop.
static TOLD: AtomicBool = AtomicBool::new(false);

fn begin() {
    if TOLD.swap(true, Ordering::AcqRel) {
        cpu::halt();
    }
    early::line(format_args!(""));
    early::line(format_args!("*** Bulkhead has failed; this is a defect"));
    early::line(format_args!(
        "*** system: {} on {}",
        SYSTEM.name, SYSTEM.board.name
    ));
    // Leaf 1, EBX: the CPU's own number, which can be read whatever state its APIC is in.
    early::line(format_args!("*** cpu: apic {}", cpu::cpuid(1, 0).ebx >> 24));
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
