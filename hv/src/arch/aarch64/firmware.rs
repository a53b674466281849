//! Calls to the firmware at EL3, by SMC (Arm DEN 0028): turning CPUs and the machine on and off, and what guests may pass on.

use model::system::Pcpu;

use super::boot::secondary_entry;

const CPU_OFF: u64 = 0x8400_0002;
const CPU_ON: u64 = 0xc400_0003;
const SYSTEM_OFF: u64 = 0x8400_0008;
const SYSTEM_RESET: u64 = 0x8400_0009;

/// One SMC with up to three arguments.
fn call(function: u64, x1: u64, x2: u64, x3: u64) -> i64 {
    let result: u64;
    // SAFETY: PSCI functions do not touch the caller's memory; SMCCC lets them change x0 to x17, which are declared.
    unsafe {
        core::arch::asm!(
            "smc #0",
            inout("x0") function => result,
            inout("x1") x1 => _,
            inout("x2") x2 => _,
            inout("x3") x3 => _,
            out("x4") _, out("x5") _, out("x6") _, out("x7") _,
            out("x8") _, out("x9") _, out("x10") _, out("x11") _,
            out("x12") _, out("x13") _, out("x14") _, out("x15") _,
            out("x16") _, out("x17") _,
            options(nostack)
        );
    }
    result as i64
}

/// Starts a CPU of an image that lies at `load`, as pCPU `index`. The error is PSCI's status.
pub fn cpu_on(cpu: &Pcpu, load: u64, index: u64) -> Result<(), i64> {
    match call(CPU_ON, cpu.mpidr.get(), secondary_entry(load), index) {
        0 => Ok(()),
        status => Err(status),
    }
}

/// Waits for ever.
pub fn halt() -> ! {
    loop {
        aarch64_cpu::asm::wfi();
    }
}

/// Turns the calling CPU off; waits for ever where firmware does not.
pub fn cpu_off() -> ! {
    let _ = call(CPU_OFF, 0, 0, 0);
    halt()
}

/// Turns the machine off; waits for ever where firmware does not.
pub fn system_off() -> ! {
    let _ = call(SYSTEM_OFF, 0, 0, 0);
    halt()
}

/// Resets the machine; waits for ever where firmware does not.
pub fn system_reset() -> ! {
    let _ = call(SYSTEM_RESET, 0, 0, 0);
    halt()
}

/// Passes a guest's call on: x0 to x7 go in, x0 to x3 come out (SMCCC 1.1); the rest is the guest's and stays.
#[cfg(feature = "firmware-calls")]
pub fn forward(registers: &mut [u64; 31]) {
    let [x0, x1, x2, x3, x4, x5, x6, x7, ..] = registers;
    // SAFETY: the system file lets this partition call its firmware, which sees the same memory as ever; x0 to x17 are declared.
    unsafe {
        core::arch::asm!(
            "smc #0",
            inout("x0") *x0,
            inout("x1") *x1,
            inout("x2") *x2,
            inout("x3") *x3,
            inout("x4") *x4 => _,
            inout("x5") *x5 => _,
            inout("x6") *x6 => _,
            inout("x7") *x7 => _,
            out("x8") _, out("x9") _, out("x10") _, out("x11") _,
            out("x12") _, out("x13") _, out("x14") _, out("x15") _,
            out("x16") _, out("x17") _,
            options(nostack)
        );
    }
}
