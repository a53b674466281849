//! Boards that are not at hand. A device tree makes a model of a board: RAM, CPUs at EL2, the interrupt controller, the console, IOMMUs. The image
//! that is meant for the board runs on it, its very instructions, from the first one at EL2 to the first one of every guest.
//!
//! # What it shows
//! - The image touches nothing but RAM and the registers of its own devices, with accesses that they take, in an order that their manuals allow.
//! - Its own map has what it uses, with the right permissions, within the CPU's physical addresses, and no page that is both written and run.
//! - Every partition's tables lead where they should, and the IOMMUs let devices reach the same and no more.
//!
//! # Limits
//! Caches, TLBs and memory ordering are not modelled, and no interrupt ever comes. What is not in a device tree is taken from manuals and Linux
//! (`chips.rs`). A register model is no chip: that a board starts here does not show that it starts on a table.

pub mod board;
pub mod bus;
mod chips;
pub mod cpu;
pub mod devices;
pub mod dma;
pub mod fault;
pub mod isolation;
pub mod machine;
pub mod memory;
pub mod stage2;
