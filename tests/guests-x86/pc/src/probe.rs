//! Attempts: what may fault, and then says so.

/// What an attempt returned in RAX and RDX.
#[repr(C)]
struct Outcome {
    value: u64,
    faulted: u64,
}

unsafe extern "C" {
    fn guest_attempt_read(address: u64) -> Outcome;
    fn guest_attempt_write(address: u64, value: u64) -> Outcome;
    fn guest_attempt_rdmsr(index: u64) -> Outcome;
    fn guest_attempt_wrmsr(index: u64, value: u64) -> Outcome;
    fn guest_attempt_vmrun(block: u64) -> Outcome;
    fn guest_attempt_clgi() -> Outcome;
    fn guest_attempt_vmxon(region: *const u64) -> Outcome;
    fn guest_attempt_cr4(value: u64) -> Outcome;
    fn guest_attempt_xsetbv(value: u64) -> Outcome;
}

fn result(outcome: Outcome) -> Option<u64> {
    (outcome.faulted as u32 == 0).then_some(outcome.value)
}

/// Reads 8 bytes. `None` after a fault.
pub fn read(address: u64) -> Option<u64> {
    // SAFETY: reading changes nothing, and the entry code's handlers return from the faults of this instruction. The same holds for those below.
    result(unsafe { guest_attempt_read(address) })
}

/// Writes 8 bytes.
///
/// # Safety
/// What is there is no memory that Rust knows of.
pub unsafe fn write(address: u64, value: u64) -> Option<u64> {
    // SAFETY: the caller says that nobody misses what is there.
    result(unsafe { guest_attempt_write(address, value) })
}

/// Reads an MSR.
pub fn read_msr(index: u32) -> Option<u64> {
    // SAFETY: see `read`.
    result(unsafe { guest_attempt_rdmsr(u64::from(index)) })
}

/// Writes an MSR.
///
/// # Safety
/// The program does not depend on it.
pub unsafe fn write_msr(index: u32, value: u64) -> Option<u64> {
    // SAFETY: the caller says that the program does not depend on it.
    result(unsafe { guest_attempt_wrmsr(u64::from(index), value) })
}

/// VMRUN.
pub fn vmrun() -> Option<u64> {
    // SAFETY: see `read`; the guest's CPU has no such instruction.
    result(unsafe { guest_attempt_vmrun(0) })
}

/// CLGI.
pub fn clgi() -> Option<u64> {
    // SAFETY: see `vmrun`.
    result(unsafe { guest_attempt_clgi() })
}

/// VMXON.
pub fn vmxon() -> Option<u64> {
    let region = 0;
    // SAFETY: see `vmrun`.
    result(unsafe { guest_attempt_vmxon(&raw const region) })
}

/// Writes CR4.
///
/// # Safety
/// The program can go on with this value.
pub unsafe fn set_cr4(value: u64) -> Option<u64> {
    // SAFETY: the caller says so.
    result(unsafe { guest_attempt_cr4(value) })
}

/// Writes XCR0.
pub fn set_xcr0(value: u64) -> Option<u64> {
    // SAFETY: see `read`; the program uses no vector registers.
    result(unsafe { guest_attempt_xsetbv(value) })
}
