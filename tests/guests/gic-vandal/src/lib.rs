//! Random reads and writes of an interrupt controller's registers, one at a time, for guests that attack it.
#![no_std]

pub mod frames;
pub mod system_registers;

use board::fault::{Fault, catch};
use board::gic::Gic;
use board::{Board, Region};

/// One load or store in the frames, or one access to a system register of the CPU interface; `choice` says which. Interrupts are masked.
///
/// # Errors
/// The fault that the guest took.
pub fn operate(board: &Board, frames: &[Region], choice: u64, value: u64) -> Result<(), Fault> {
    let has_system_registers = matches!(board.gic, Gic::V3(_));
    // SAFETY: each is one instruction on registers of the interrupt controller, whose interrupts are masked; nothing of Rust's
    // depends on them.
    unsafe {
        if has_system_registers && choice & 1 != 0 {
            catch(|| system_registers::operate(choice >> 1, value))
        } else {
            catch(|| frames::operate(frames, choice >> 1, value))
        }
    }
}
