//! System registers and instructions of higher exception levels, and unknown ones: every encoding is tried.
//!
//! The instructions are made at run time, since an assembler knows only named registers and constants.

use board::random::Random;
use core::arch::asm;
use core::cell::UnsafeCell;

use crate::probe::guarded;
use crate::report::{Answer, Attack, Tally};

/// Encodings of one op0 and op1: CRn, CRm, op2.
const BATCH: usize = 16 * 16 * 8;
const RET: u32 = 0xd65f_03c0;

/// Two instructions for each encoding: the access with x0, and RET.
#[repr(C, align(64))]
struct Code(UnsafeCell<[[u32; 2]; BATCH]>);

// SAFETY: only one CPU runs this guest's attacks.
unsafe impl Sync for Code {}

static CODE: Code = Code(UnsafeCell::new([[RET; 2]; BATCH]));

/// MRS, MSR or SYS by its fixed bits (Arm ARM C4.1.94); op0 is among them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
    System,
}

impl Access {
    fn instruction(self, op0: u32, op1: u32, rest: usize) -> u32 {
        let direction = if self == Self::Read { 1 << 21 } else { 0 };
        0xd500_0000 | direction | op0 << 19 | op1 << 16 | (rest as u32) << 5
    }
}

/// All register attacks.
pub fn run(tally: &mut Tally) {
    let mut higher = Attack::default();
    let mut own = Attack::default();
    for op0 in [2, 3] {
        for op1 in 0..8 {
            let attack = if op1 >= 4 { &mut higher } else { &mut own };
            sweep(attack, Access::Read, op0, op1);
        }
    }
    own.finish(
        tally,
        format_args!("read all EL0, EL1 and unknown registers"),
    );
    higher.finish(tally, format_args!("read all EL2 and EL3 registers"));

    let mut attack = Attack::default();
    (4..8).for_each(|op1| sweep(&mut attack, Access::Write, 3, op1));
    attack.finish(tally, format_args!("write all EL2 and EL3 registers"));

    let mut attack = Attack::default();
    (4..8).for_each(|op1| sweep(&mut attack, Access::System, 1, op1));
    attack.finish(tally, format_args!("all EL2 and EL3 system instructions"));

    let mut attack = Attack::default();
    attack.add(match guarded(return_to_el2) {
        Ok(()) => Answer::NoEffect,
        Err(fault) => Answer::of_fault(fault, None),
    });
    attack.finish(tally, format_args!("exception return to EL2"));
}

/// Random values into every register of self-hosted debug and of the performance monitors (Arm ARM D2, D13): those of op0 2, and those of op0 3
/// with CRn 9 and, beside the timers, CRn 14.
pub fn write_debug_and_counters(tally: &mut Tally) {
    let mut attack = Attack::default();
    for op1 in [0, 3] {
        sweep(&mut attack, Access::Write, 2, op1);
        sweep_some(&mut attack, Access::Write, 3, op1, |rest| {
            let (crn, crm) = (rest >> 7, rest >> 3 & 0xf);
            crn == 9 || (op1 == 3 && crn == 14 && crm >= 8)
        });
    }
    attack.finish(
        tally,
        format_args!("write all debug and performance monitor registers"),
    );
}

/// Tries all encodings of one op0 and op1. For op1 of 4 and more, which no EL1 may use, a value or an effect is a breach.
fn sweep(attack: &mut Attack, access: Access, op0: u32, op1: u32) {
    sweep_some(attack, access, op0, op1, |_| true);
}

/// Tries those encodings of one op0 and op1 that `picks` picks by CRn, CRm and op2.
fn sweep_some(
    attack: &mut Attack,
    access: Access,
    op0: u32,
    op1: u32,
    picks: impl Fn(usize) -> bool,
) {
    let code = CODE.0.get();
    for rest in 0..BATCH {
        // SAFETY: one CPU, and none of this code runs now.
        unsafe { (*code)[rest] = [access.instruction(op0, op1, rest), RET] };
    }
    synchronize_code(code as u64, size_of::<Code>() as u64);
    let mut random = Random::new(u64::from(op0 << 4 | op1));
    for rest in (0..BATCH).filter(|rest| picks(*rest)) {
        let address = code as u64 + rest as u64 * 8;
        let argument = if access == Access::Read {
            0
        } else {
            random.draw()
        };
        let place = u64::from(access.instruction(op0, op1, rest));
        match guarded(|| call(address, argument)) {
            Err(fault) => attack.add(Answer::of_fault(fault, None)),
            Ok(value) if op1 >= 4 && (access != Access::Read || value != 0) => {
                attack.add_breach(place, value)
            }
            Ok(0) => attack.add(Answer::ReadsZero),
            Ok(_) => attack.add(Answer::Works),
        }
    }
}

fn call(address: u64, argument: u64) -> u64 {
    let value;
    // SAFETY: a fault guard is active, and the code is one system instruction and RET. Reads change nothing that this program
    // needs; the writes are those that EL1 must not be able to make.
    unsafe { asm!("blr {}", in(reg) address, inlateout("x0") argument => value, out("x30") _) };
    value
}

/// Makes freshly written instructions visible to instruction fetch (Arm ARM B2.4.4).
fn synchronize_code(base: u64, size: u64) {
    let lines = || (base..base + size).step_by(16);
    for line in lines() {
        // SAFETY: cleaning a data cache line changes no content.
        unsafe { asm!("dc cvau, {}", in(reg) line, options(nostack)) };
    }
    // SAFETY: barriers and instruction cache maintenance change no content.
    unsafe { asm!("dsb ish", options(nostack)) };
    for line in lines() {
        // SAFETY: as above.
        unsafe { asm!("ic ivau, {}", in(reg) line, options(nostack)) };
    }
    // SAFETY: as above.
    unsafe { asm!("dsb ish", "isb", options(nostack)) };
}

/// ERET with SPSR.M = EL2h: an illegal return, after which the next instruction faults (Arm ARM D1.4.4).
fn return_to_el2() {
    // SAFETY: a fault guard is active; ELR and SPSR are free because no exception is being handled.
    unsafe {
        asm!(
            "adr {scratch}, 2f",
            "msr elr_el1, {scratch}",
            "mov {scratch}, #0x3c9",
            "msr spsr_el1, {scratch}",
            "eret",
            "2: nop",
            scratch = out(reg) _
        );
    }
}
