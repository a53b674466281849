//! Attacks on what a partition does not own: the guest `vandal` makes all of them once, the guest `attacker` one of them again and again.
#![no_std]

pub mod hypercalls;
pub mod instructions;
pub mod interrupts;
pub mod memory;
mod probe;
pub mod registers;
pub mod report;
pub mod stage1;
