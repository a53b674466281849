//! What a guest needs of its board, and no more.
//!
//! Guests are software *for the bare board*: nothing in here knows of a hypervisor. A guest is entered at EL1 (or EL2, which
//! it leaves at once) with the MMU off and the device tree's address in x0, and learns everything else from that tree.
//!
//! Limits: RAM begins at 0x4000_0000 and has at least 16 MiB, at most eight CPUs, one PL011, GICv2 or GICv3 without LPIs.
#![no_std]

pub mod boot;
pub mod cpu;
pub mod fault;
pub mod gic;
pub mod interrupt;
pub mod lock;
pub mod mmio;
pub mod mmu;
pub mod psci;
pub mod random;
pub mod sleep;
pub mod timer;
pub mod tree;
pub mod uart;

pub use tree::{Board, Node, Region};

/// The most CPUs that a guest can use: the linker script has a stack for each.
pub const MAX_CPUS: usize = 8;

/// Names the guest's main function, `fn(&'static Board) -> !`, which the first CPU runs with the MMU and the console on
/// and interrupts masked.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(no_mangle)]
        extern "Rust" fn guest_main(board: &'static $crate::Board) -> ! {
            let main: fn(&'static $crate::Board) -> ! = $main;
            main(board)
        }
    };
}

/// Prints one whole line; lines of several CPUs never mix. Not for interrupt handlers: the console's lock is not theirs.
#[macro_export]
macro_rules! println {
    ($($argument:tt)*) => { $crate::uart::print_line(::core::format_args!($($argument)*)) };
}
