//! Single forbidden accesses, each under a fault guard.

use core::arch::asm;

use board::fault::{Fault, catch};
use board::mmio;

use crate::report::{Answer, Attack};

/// What is written where nothing of ours is.
const PATTERN: u32 = 0xbadc_0de5;

/// Runs an instruction sequence under a guard.
///
/// The probes of this guest are wrong on purpose; what makes them sound for *this* program is that they only aim at what it
/// does not own, and that a guard takes the fault.
pub fn guarded<R: Copy>(code: impl FnOnce() -> R + Copy) -> Result<R, Fault> {
    // SAFETY: every probe is a short piece of assembly without destructors or borrows, as `catch` asks.
    unsafe { catch(code) }
}

/// Reads a foreign word: any non-zero content is a breach.
pub fn read(attack: &mut Attack, address: u64) {
    // SAFETY: a fault guard is active.
    match guarded(|| unsafe { mmio::read32(address) }) {
        Ok(0) => attack.add(Answer::ReadsZero),
        Ok(value) => attack.add_breach(address, value.into()),
        Err(fault) => attack.add(Answer::of_fault(fault, Some(address))),
    }
}

/// Writes a foreign word: it is a breach if it can be read back.
pub fn write(attack: &mut Attack, address: u64) {
    // SAFETY: a fault guard is active, and the address is not ours, so nothing of Rust's is there.
    if let Err(fault) = guarded(|| unsafe { mmio::write32(address, PATTERN) }) {
        return attack.add(Answer::of_fault(fault, Some(address)));
    }
    // SAFETY: a fault guard is active.
    match guarded(|| unsafe { mmio::read32(address) }) {
        Ok(PATTERN) => attack.add_breach(address, PATTERN.into()),
        _ => attack.add(Answer::NoEffect),
    }
}

/// Calls a foreign address: that something there runs and returns is a breach.
pub fn jump(attack: &mut Attack, address: u64) {
    let call = || {
        // SAFETY: a fault guard is active; whatever runs there may change what a C function may.
        unsafe { asm!("blr {}", in(reg) address, clobber_abi("C")) }
    };
    match guarded(call) {
        Ok(()) => attack.add_breach(address, 0),
        Err(fault) => attack.add(Answer::of_fault(fault, Some(address))),
    }
}
