//! PSCI (Arm DEN 0022) and the SMC calling convention (Arm DEN 0028).

use core::arch::asm;
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::{Board, MAX_CPUS, boot, cpu};

/// PSCI_VERSION.
pub const VERSION: u64 = 0x8400_0000;
/// CPU_SUSPEND, 64-bit.
pub const CPU_SUSPEND: u64 = 0xc400_0001;
/// CPU_OFF.
pub const CPU_OFF: u64 = 0x8400_0002;
/// CPU_ON, 64-bit.
pub const CPU_ON: u64 = 0xc400_0003;
/// AFFINITY_INFO, 64-bit.
pub const AFFINITY_INFO: u64 = 0xc400_0004;
/// SYSTEM_OFF.
pub const SYSTEM_OFF: u64 = 0x8400_0008;
/// SYSTEM_RESET.
pub const SYSTEM_RESET: u64 = 0x8400_0009;
/// PSCI_FEATURES.
pub const FEATURES: u64 = 0x8400_000a;

/// SUCCESS, and for AFFINITY_INFO: on.
pub const SUCCESS: i64 = 0;
/// NOT_SUPPORTED, also of the SMC calling convention.
pub const NOT_SUPPORTED: i64 = -1;
/// INVALID_PARAMETERS.
pub const INVALID_PARAMETERS: i64 = -2;
/// ALREADY_ON.
pub const ALREADY_ON: i64 = -4;
/// INVALID_ADDRESS.
pub const INVALID_ADDRESS: i64 = -9;
/// AFFINITY_INFO: off.
pub const OFF: i64 = 1;

/// The instruction that carries a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduit {
    /// HVC #0.
    Hvc,
    /// SMC #0.
    Smc,
}

impl Conduit {
    /// Makes the call and returns x0 as a signed number.
    ///
    /// # Safety
    /// The called function harms nothing that Rust relies on, or the fault guard's rules are kept.
    pub unsafe fn call(self, function: u64, arguments: [u64; 3]) -> i64 {
        let result: i64;
        macro_rules! call {
            ($instruction:literal) => {
                asm!($instruction, inlateout("x0") function => result, inlateout("x1") arguments[0] => _,
                    inlateout("x2") arguments[1] => _, inlateout("x3") arguments[2] => _,
                    out("x4") _, out("x5") _, out("x6") _, out("x7") _, out("x8") _, out("x9") _, out("x10") _,
                    out("x11") _, out("x12") _, out("x13") _, out("x14") _, out("x15") _, out("x16") _, out("x17") _,
                    options(nostack))
            };
        }
        // SAFETY: the caller vouches for the function; the convention preserves all registers not listed.
        unsafe {
            match self {
                Self::Hvc => call!("hvc #0"),
                Self::Smc => call!("smc #0"),
            }
        }
        result
    }
}

/// Reads a counter that the hypervisor keeps of the calling CPU, by number; an error is a status of the call.
///
/// # Errors
/// The status.
pub fn counter(number: u64) -> Result<u64, i64> {
    /// COUNTER of Bulkhead's own calls (docs/guest-abi.md).
    const COUNTER: u64 = 0xc600_0001;
    let (status, value): (i64, u64);
    // SAFETY: the call only answers; the convention preserves all registers not listed.
    unsafe {
        asm!("hvc #0", inlateout("x0") COUNTER => status, inlateout("x1") number => value, out("x2") _, out("x3") _,
            out("x4") _, out("x5") _, out("x6") _, out("x7") _, out("x8") _, out("x9") _, out("x10") _,
            out("x11") _, out("x12") _, out("x13") _, out("x14") _, out("x15") _, out("x16") _, out("x17") _,
            options(nostack));
    }
    if status == SUCCESS {
        Ok(value)
    } else {
        Err(status)
    }
}

/// Calls PSCI by the board's conduit; NOT_SUPPORTED if the board has none.
///
/// # Safety
/// As for [`Conduit::call`].
pub unsafe fn call(function: u64, arguments: [u64; 3]) -> i64 {
    match boot::board().and_then(|board| board.psci) {
        // SAFETY: the caller vouches for the function.
        Some(conduit) => unsafe { conduit.call(function, arguments) },
        None => NOT_SUPPORTED,
    }
}

/// Calls SYSTEM_OFF; parks this CPU should that return.
pub fn system_off() -> ! {
    // SAFETY: the call does not return where PSCI is there.
    unsafe { call(SYSTEM_OFF, [0; 3]) };
    cpu::park()
}

/// Calls SYSTEM_RESET; parks this CPU should that return.
pub fn system_reset() -> ! {
    // SAFETY: as in `system_off`.
    unsafe { call(SYSTEM_RESET, [0; 3]) };
    cpu::park()
}

/// Calls CPU_OFF; the returned error means that this CPU is still on.
pub fn cpu_off() -> i64 {
    // SAFETY: this CPU's stack is not in use any more when it is started again.
    unsafe { call(CPU_OFF, [0; 3]) }
}

/// AFFINITY_INFO of one CPU: [`SUCCESS`] (on), [`OFF`], 2 (pending), or an error.
pub fn affinity_info(affinity: u64) -> i64 {
    // SAFETY: the call only answers.
    unsafe { call(AFFINITY_INFO, [affinity, 0, 0]) }
}

unsafe extern "C" {
    fn secondary_start();
}

/// What a started CPU runs: it gets its index, with interrupts masked and its GIC interface not yet set up.
pub type CpuMain = fn(index: usize) -> !;

static MAINS: [AtomicUsize; MAX_CPUS] = [const { AtomicUsize::new(0) }; MAX_CPUS];

/// Starts the CPU with this index by CPU_ON and returns PSCI's answer. A CPU keeps its main function from its last start.
pub fn cpu_on(board: &Board, index: usize, main: CpuMain) -> i64 {
    let (Some(&affinity), Some(slot)) = (board.cpus.get(index), MAINS.get(index)) else {
        return INVALID_PARAMETERS;
    };
    slot.store(main as usize, Ordering::Release);
    // SAFETY: the entry sets the CPU up as boot.s says, on a stack of its own.
    unsafe {
        call(
            CPU_ON,
            [affinity, secondary_start as *const () as u64, index as u64],
        )
    }
}

#[unsafe(no_mangle)]
extern "C" fn secondary_cpu_main(index: usize) -> ! {
    boot::unmask_serror();
    let main = MAINS
        .get(index)
        .map_or(0, |slot| slot.load(Ordering::Acquire));
    if main == 0 {
        cpu::park();
    }
    // SAFETY: `cpu_on` stores only functions of this type.
    let main: CpuMain = unsafe { core::mem::transmute(main) };
    main(index)
}
