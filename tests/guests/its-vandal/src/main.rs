//! Does random things to its interrupt controller, a million times. Half of them are about the Interrupt Translation Service: commands of all kinds and of no
//! kind, queues that are not its memory, registers written at odd moments, tables anywhere. The others read and write registers of the distributor, the
//! redistributor and the CPU interface. Before that, and after a reset, it counts messages of its own device, as the guest `msi` does.
//!
//! Run with `-device edu`, behind a generic PCI bridge, on a GICv3 with an ITS. Interrupts are masked meanwhile.
#![no_std]
#![no_main]

mod attack;

use board::{Board, cpu, println, psci};

board::entry!(main);

/// Things that are done.
const OPERATIONS: u64 = 1_000_000;

fn main(board: &'static Board) -> ! {
    match msi::run("its-vandal", board) {
        Ok(true) => {
            cpu::mask_interrupts();
            match attack::run(board, OPERATIONS) {
                Ok(faults) => println!("its-vandal: {OPERATIONS} operations, {faults} faults"),
                Err(what) => println!("its-vandal: FAILED: {what}"),
            }
            psci::system_reset()
        }
        Ok(false) => println!("its-vandal: done"),
        Err(what) => println!("its-vandal: FAILED: {what}"),
    }
    psci::system_off()
}
