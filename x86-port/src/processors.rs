//! Starts the other CPUs: INIT and SIPI by the boot CPU, one after the other (Intel SDM volume 3, 9.4.4).

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::storage::{self, PCPUS};
use crate::{SYSTEM, apic, boot, cpu, early, run};

/// All of them are.
static COMPLETE: AtomicBool = AtomicBool::new(false);
/// pCPUs that are up, but for the boot CPU until it has started the others.
static READY: AtomicUsize = AtomicUsize::new(0);

/// Starts every CPU of the system but the calling one, whose identifier is `own`. Returns the calling CPU's index, if the system uses it.
pub fn start(own: u32) -> Option<usize> {
    let (code, length) = boot::trampoline();
    // SAFETY: the loader's memory map has this page as RAM, `start` has compared it, and nobody uses it; the provisional map has all of it.
    unsafe { core::ptr::copy_nonoverlapping(code, boot::TRAMPOLINE as *mut u8, length) };
    let mut index_of_own = None;
    for (index, pcpu) in SYSTEM.pcpus.iter().enumerate() {
        if pcpu.apic == own {
            index_of_own = Some(index);
        } else {
            start_one(index, pcpu.apic);
        }
    }
    COMPLETE.store(true, Ordering::Release);
    index_of_own
}

fn start_one(index: usize, apic: u32) {
    /// How long a CPU may take, in milliseconds: emulated ones wait for their host.
    const PATIENCE: u32 = 5000;
    let before = READY.load(Ordering::Acquire);
    boot::bulkhead_secondary_stack.store(storage::stack_top(index), Ordering::Release);
    apic::send_init(apic);
    cpu::wait_microseconds(10_000);
    for _ in 0..2 {
        apic::send_startup(apic, boot::TRAMPOLINE);
        cpu::wait_microseconds(200);
        // A CPU that runs ignores the second one; it must not run on a stack that the next one gets.
        if READY.load(Ordering::Acquire) > before {
            return;
        }
    }
    for _ in 0..PATIENCE {
        if READY.load(Ordering::Acquire) > before {
            return;
        }
        cpu::wait_microseconds(1000);
    }
    early::stop(format_args!("the CPU with APIC {apic} does not start"));
}

/// Counts the calling pCPU in, and waits until the boot CPU has started all of them.
pub fn arrive() {
    READY.fetch_add(1, Ordering::AcqRel);
    while !COMPLETE.load(Ordering::Acquire) {
        core::hint::spin_loop();
    }
}

/// Called by the first instructions on every other CPU, on the provisional map.
#[unsafe(no_mangle)]
extern "C" fn bulkhead_secondary() -> ! {
    let own = apic::enable();
    let index = SYSTEM.pcpus.iter().position(|pcpu| pcpu.apic == own);
    match index {
        Some(index) if index < PCPUS => run::run(index),
        _ => early::stop(format_args!("a CPU with APIC {own} started unasked")),
    }
}
