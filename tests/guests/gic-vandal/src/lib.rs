//! Random reads and writes of an interrupt controller's registers, one at a time, for guests that attack it.
#![no_std]

pub mod frames;
pub mod system_registers;
