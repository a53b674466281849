//! Asks the hypervisor to fail, as the letter says that is typed: `p` panic, `x` exception, `o` stack overflow.
//!
//! Only an image that is built for tests of its own end does it; any other refuses the call.
#![no_std]
#![no_main]

use pc::{Machine, console, cpu, println};

pc::entry!(main);

fn main(_machine: &Machine) -> ! {
    println!("defect: ready");
    loop {
        let kind = match console::read_byte() {
            Some(b'p') => 0,
            Some(b'x') => 1,
            Some(b'o') => 2,
            _ => continue,
        };
        let status = cpu::hypercall_with(0xc600_dead, kind) as i64;
        println!("defect: refused, {status}");
    }
}
