//! Register frames in memory.

use core::arch::asm;

use board::gic::{Gic, REDISTRIBUTOR_STRIDE};
use board::{Board, Region};

/// Distributor and CPU interface; or distributor and all redistributors, those of CPUs that are off among them.
pub fn of(board: &Board) -> [Region; 2] {
    let second = match board.gic {
        Gic::V2(gic) => gic.cpu_interface,
        Gic::V3(gic) => Region {
            base: gic.redistributors.base,
            size: board.cpus.len() as u64 * REDISTRIBUTOR_STRIDE,
        },
    };
    [board.gic.distributor(), second]
}

/// Where most registers are in every frame.
const BUSY: u64 = 0x1000;

/// One load or store. `choice` says which.
///
/// # Safety
/// A fault guard is active, and nothing of Rust's depends on the registers.
pub unsafe fn operate(frames: &[Region], choice: u64, value: u64) {
    let frame = frames[(choice & 1) as usize];
    let place = choice >> 16;
    let anywhere = place % frame.size;
    // Frames of 64 KiB follow one another, and the beginning of each is busiest.
    let busy = (anywhere & !0xffff) + (place >> 24) % BUSY;
    let offset = if choice >> 1 & 7 == 0 { anywhere } else { busy };
    let width = 1_u64 << (choice >> 4 & 3);
    // One in eight is not aligned. None reaches past the frame's end.
    let aligned = offset & !(width - 1);
    let offset = if choice >> 6 & 7 == 0 {
        offset
    } else {
        aligned
    };
    let address = frame.base + offset.min(frame.size - width);
    // SAFETY: the caller's guarantee; the address is in a frame that the device tree names.
    unsafe {
        if choice >> 9 & 1 == 0 {
            load(address, width);
        } else {
            store(address, width, value);
        }
    }
}

/// # Safety
/// See [`operate`].
unsafe fn load(address: u64, width: u64) {
    // SAFETY: the caller's guarantee.
    unsafe {
        match width {
            1 => asm!("ldrb {:w}, [{}]", out(reg) _, in(reg) address, options(nostack)),
            2 => asm!("ldrh {:w}, [{}]", out(reg) _, in(reg) address, options(nostack)),
            4 => asm!("ldr {:w}, [{}]", out(reg) _, in(reg) address, options(nostack)),
            _ => asm!("ldr {}, [{}]", out(reg) _, in(reg) address, options(nostack)),
        }
    }
}

/// # Safety
/// See [`operate`].
unsafe fn store(address: u64, width: u64, value: u64) {
    // SAFETY: the caller's guarantee.
    unsafe {
        match width {
            1 => asm!("strb {:w}, [{}]", in(reg) value, in(reg) address, options(nostack)),
            2 => asm!("strh {:w}, [{}]", in(reg) value, in(reg) address, options(nostack)),
            4 => asm!("str {:w}, [{}]", in(reg) value, in(reg) address, options(nostack)),
            _ => asm!("str {}, [{}]", in(reg) value, in(reg) address, options(nostack)),
        }
    }
}
