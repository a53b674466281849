//! What others have failed at, as far as this partition is told.

use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};

use board::{Board, cpu, interrupt, println};
use model::call::Call;

/// The interrupt came.
static CAME: AtomicBool = AtomicBool::new(false);

/// Takes the interrupt that the device tree names, if it does.
pub fn listen(board: &Board) {
    let Some(node) = board.find("bulkhead,failures") else {
        return;
    };
    let mut cells = node.cells("interrupts");
    let (Some(0), Some(spi), Some(1)) = (cells.next(), cells.next(), cells.next()) else {
        println!("life: no edge-triggered SPI tells of failures");
        return;
    };
    interrupt::set_handler(|_| CAME.store(true, Ordering::Relaxed));
    board.gic.init_distributor();
    board.gic.init_cpu();
    board.gic.set_edge(32 + spi);
    board.gic.enable(32 + spi);
    cpu::unmask_interrupts();
}

/// Prints what there is, once the interrupt has come.
pub fn print() {
    if !CAME.swap(false, Ordering::Relaxed) {
        return;
    }
    while let Some([who, _, _, value, count]) = next() {
        let (partition, class) = (who & 0xff, who >> 8 & 0xff);
        println!("life: told that {partition} failed, class {class}, {value:#x}, count {count}");
    }
    println!("life: told all");
}

/// x1 to x5 of the call, while it has something to tell.
fn next() -> Option<[u64; 5]> {
    let status: u64;
    let mut told = [0; 5];
    // SAFETY: the call only answers; it keeps all registers but x0 to x17 (SMCCC 1.1).
    unsafe {
        asm!("hvc #0", inlateout("x0") Call::Failure as u64 => status, inlateout("x1") 0u64 => told[0],
            out("x2") told[1], out("x3") told[2], out("x4") told[3], out("x5") told[4],
            out("x6") _, out("x7") _, out("x8") _, out("x9") _, out("x10") _, out("x11") _, out("x12") _,
            out("x13") _, out("x14") _, out("x15") _, out("x16") _, out("x17") _, options(nostack));
    }
    (status == 0).then_some(told)
}
