//! A partition on a PC, as its guest sees it: the entry, the console, the local APIC, and attempts that may fault.
//!
//! The memory is mapped as it is, the first 4 GiB of it, whether there is any or not.
#![no_std]

pub mod apic;
pub mod console;
pub mod cpu;
mod entry;
pub mod probe;
pub mod second;
mod start;

pub use start::{End, Machine, Memory};

/// Defines the guest's main function: `fn(&Machine) -> !`.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn guest_main(start_info: u64) -> ! {
            let main: fn(&$crate::Machine) -> ! = $main;
            $crate::cpu::choose_hypercall();
            main(&$crate::Machine::at(start_info))
        }
    };
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    println!("FAILED: {}", info.message());
    cpu::power_off()
}
