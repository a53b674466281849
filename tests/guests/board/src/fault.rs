//! Faults as return values.
//!
//! [`catch`] runs code under a guard: a synchronous exception or an SError ends that code and comes back as a [`Fault`].
//! Without a guard an exception prints its registers and stops the board.

use core::arch::global_asm;
use core::fmt;
use core::mem::{MaybeUninit, offset_of};

use crate::{cpu, psci, uart};

global_asm!(include_str!("vectors.s"));

/// What vectors.s saves at the guard and reports from the fault; its offsets are written there as numbers.
#[repr(C)]
struct Record {
    callee_saved: [u64; 12],
    stack_pointer: u64,
    callee_saved_simd: [u64; 8],
    interrupt_mask: u64,
    syndrome: u64,
    address: u64,
    instruction: u64,
}

const _: () = assert!(
    offset_of!(Record, stack_pointer) == 96
        && offset_of!(Record, callee_saved_simd) == 104
        && offset_of!(Record, interrupt_mask) == 168
        && offset_of!(Record, syndrome) == 176
        && offset_of!(Record, instruction) == 192
);

unsafe extern "C" {
    fn guarded_call(
        record: *mut Record,
        function: extern "C" fn(*mut u8),
        argument: *mut u8,
    ) -> u64;
}

/// Why guarded code ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// ESR_EL1.
    pub syndrome: u64,
    /// FAR_EL1; meaningful for aborts and alignment faults.
    pub address: u64,
    /// ELR_EL1.
    pub instruction: u64,
}

/// The class of a fault, from ESR_EL1.EC (Arm ARM D24.2.40).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultClass {
    /// EC 0x00: unallocated, trapped without a class, or injected as undefined.
    Undefined,
    /// EC 0x18: a trapped system register access that was handed on as such.
    TrappedRegister,
    /// EC 0x0e: illegal execution state.
    IllegalState,
    /// EC 0x21.
    InstructionAbort,
    /// EC 0x22.
    PcAlignment,
    /// EC 0x25.
    DataAbort,
    /// EC 0x2f.
    SError,
    /// Any other.
    Other(u8),
}

impl Fault {
    /// The class of the fault.
    pub fn class(&self) -> FaultClass {
        match (self.syndrome >> 26 & 0x3f) as u8 {
            0x00 => FaultClass::Undefined,
            0x0e => FaultClass::IllegalState,
            0x18 => FaultClass::TrappedRegister,
            0x21 => FaultClass::InstructionAbort,
            0x22 => FaultClass::PcAlignment,
            0x25 => FaultClass::DataAbort,
            0x2f => FaultClass::SError,
            other => FaultClass::Other(other),
        }
    }

    /// The fault status code of an abort: ISS bits 5:0.
    pub fn status(&self) -> u8 {
        (self.syndrome & 0x3f) as u8
    }

    /// Whether FAR_EL1 is valid: ISS.FnV is clear.
    pub fn has_address(&self) -> bool {
        self.syndrome & (1 << 10) == 0
    }
}

impl fmt::Display for FaultClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Undefined => "undefined",
            Self::TrappedRegister => "trapped register",
            Self::IllegalState => "illegal state",
            Self::InstructionAbort => "instruction abort",
            Self::PcAlignment => "pc alignment fault",
            Self::DataAbort => "data abort",
            Self::SError => "serror",
            Self::Other(class) => return write!(f, "exception class {class:#x}"),
        })
    }
}

/// Runs `code` and returns its result, or the fault that ended it. Guards do not nest.
///
/// # Safety
/// `code` may be cut short at any instruction, so nothing in it may have a destructor or leave a borrowed value half
/// written; and what it does before it faults must be sound by itself.
pub unsafe fn catch<R: Copy>(code: impl FnOnce() -> R + Copy) -> Result<R, Fault> {
    struct Call<F, R> {
        code: F,
        result: MaybeUninit<R>,
    }
    extern "C" fn run<R: Copy, F: FnOnce() -> R + Copy>(call: *mut u8) {
        // SAFETY: `catch` passes the address of its own `Call` of this very type.
        let call = unsafe { &mut *call.cast::<Call<F, R>>() };
        call.result.write((call.code)());
    }
    fn runner<R: Copy, F: FnOnce() -> R + Copy>(_: &F) -> extern "C" fn(*mut u8) {
        run::<R, F>
    }

    let mut call = Call {
        code,
        result: MaybeUninit::uninit(),
    };
    let function = runner::<R, _>(&call.code);
    let mut record = Record {
        callee_saved: [0; 12],
        stack_pointer: 0,
        callee_saved_simd: [0; 8],
        interrupt_mask: 0,
        syndrome: 0,
        address: 0,
        instruction: 0,
    };
    // SAFETY: both pointers outlive the call, and the function takes what the second one is. By the contract the code can
    // be abandoned, and the guard restores every register that the procedure call standard preserves.
    let faulted = unsafe { guarded_call(&mut record, function, (&raw mut call).cast()) };
    if faulted == 0 {
        // SAFETY: the function returned, so it wrote the result.
        Ok(unsafe { call.result.assume_init() })
    } else {
        Err(Fault {
            syndrome: record.syndrome,
            address: record.address,
            instruction: record.instruction,
        })
    }
}

#[unsafe(no_mangle)]
extern "C" fn fatal_exception(syndrome: u64, address: u64, instruction: u64) -> ! {
    cpu::mask_interrupts();
    let fault = Fault {
        syndrome,
        address,
        instruction,
    };
    uart::print_line_unlocked(format_args!(
        "fatal: {} esr={syndrome:#x} far={address:#x} elr={instruction:#x}",
        fault.class()
    ));
    psci::system_off()
}
