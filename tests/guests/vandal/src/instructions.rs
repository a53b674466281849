//! Instructions that are hard on a hypervisor: cache maintenance by set and way, WFI and WFE, accesses across the edge of
//! memory, and accesses to a trapped device that come without a syndrome (Arm ARM, ESR_ELx.ISS.ISV).

use core::arch::asm;

use board::timer::{self, Timer};
use board::{Board, cpu, mmio, read_register, write_register};

use crate::memory::own_ram;
use crate::probe::guarded;
use crate::report::{Answer, Attack, Tally};

/// All attacks by instructions, with everything foreign mapped as Device memory.
pub fn run(board: &Board, tally: &mut Tally) {
    set_way(tally);
    waits(tally);
    edges(board, tally, "Device");
    without_syndrome(board, tally);
}

/// Cleans and invalidates the caches by set and way, all levels. A hypervisor turns "invalidate" into "clean and invalidate"
/// (HCR_EL2.SWIO); on the bare board that would be needed too, so plain invalidation is tried on one line only.
pub fn set_way(tally: &mut Tally) {
    let mut attack = Attack::default();
    let levels = read_register!("clidr_el1");
    for level in (0..7u64).take_while(|level| levels >> (level * 3) & 7 >= 2) {
        write_register!("csselr_el1", level << 1);
        let geometry = read_register!("ccsidr_el1");
        let line = (geometry & 7) + 4;
        let ways = (geometry >> 3 & 0x3ff) + 1;
        let sets = (geometry >> 13 & 0x7fff) + 1;
        let way_shift = (ways as u32 - 1).leading_zeros().min(31);
        for way in 0..ways {
            for set in 0..sets {
                let operand = way << way_shift | set << line | level << 1;
                let clean = || {
                    // SAFETY: cleaning changes no content that this CPU sees.
                    unsafe {
                        asm!("dc csw, {0}", "dc cisw, {0}", in(reg) operand, options(nostack))
                    }
                };
                attack.add(effect(guarded(clean)));
            }
        }
        // SAFETY: the line was just cleaned, and is the last set of the last way: stacks and data are elsewhere or clean.
        let invalidate = || unsafe {
            let operand = (ways - 1) << way_shift | (sets - 1) << line | level << 1;
            asm!("dc cisw, {0}", "dc isw, {0}", in(reg) operand, options(nostack));
        };
        attack.add(effect(guarded(invalidate)));
    }
    attack.finish(tally, format_args!("cache maintenance by set and way"));
}

fn effect(outcome: Result<(), board::fault::Fault>) -> Answer {
    match outcome {
        Ok(()) => Answer::NoEffect,
        Err(fault) => Answer::of_fault(fault, None),
    }
}

/// WFI and WFE in quick succession. Interrupts stay masked: a pending one ends WFI without being taken.
pub fn waits(tally: &mut Tally) {
    const WAITS: u64 = 1_000;
    let mut attack = Attack::default();
    for _ in 0..WAITS {
        Timer::Virtual.arm(Timer::Virtual.now() + timer::ticks(10));
        cpu::wait_for_interrupt();
        // SAFETY: the first WFE consumes the event of SEVL; waiting changes no state.
        unsafe { asm!("sevl", "wfe", options(nostack)) };
    }
    Timer::Virtual.disarm();
    attack.add_many(Answer::NoEffect, 2 * WAITS);
    attack.finish(tally, format_args!("WFI and WFE burst"));
}

/// Bytes of the widest access.
const WIDEST: usize = 64;

/// One wide access: `access(address, buffer)` loads into, or stores from, the buffer of [`WIDEST`] bytes.
struct Wide {
    size: u64,
    load: unsafe fn(u64, *mut u8),
    store: unsafe fn(u64, *mut u8),
}

macro_rules! wide {
    ($size:literal, $load:literal, $store:literal, $own_load:literal, $own_store:literal) => {
        Wide {
            size: $size,
            load: |address, buffer| {
                // SAFETY: the buffer is wide enough; a fault guard is active for the other address.
                unsafe { asm!($load, $own_store, in("x0") address, in("x1") buffer, clobber_abi("C"), options(nostack)) }
            },
            store: |address, buffer| {
                // SAFETY: as above; what the store overwrites of our own is saved around it.
                unsafe { asm!($own_load, $store, in("x0") address, in("x1") buffer, clobber_abi("C"), options(nostack)) }
            },
        }
    };
}

const WIDE: [Wide; 6] = [
    wide!(
        8,
        "ldr x4, [x0]",
        "str x4, [x0]",
        "ldr x4, [x1]",
        "str x4, [x1]"
    ),
    wide!(
        16,
        "ldp x4, x5, [x0]",
        "stp x4, x5, [x0]",
        "ldp x4, x5, [x1]",
        "stp x4, x5, [x1]"
    ),
    wide!(
        16,
        "ldr q0, [x0]",
        "str q0, [x0]",
        "ldr q0, [x1]",
        "str q0, [x1]"
    ),
    wide!(
        32,
        "ldp q0, q1, [x0]",
        "stp q0, q1, [x0]",
        "ldp q0, q1, [x1]",
        "stp q0, q1, [x1]"
    ),
    wide!(
        64,
        "ld1 {{v0.2d-v3.2d}}, [x0]",
        "st1 {{v0.2d-v3.2d}}, [x0]",
        "ld1 {{v0.2d-v3.2d}}, [x1]",
        "st1 {{v0.2d-v3.2d}}, [x1]"
    ),
    wide!(
        64,
        "ld4 {{v0.4s-v3.4s}}, [x0]",
        "st4 {{v0.4s-v3.4s}}, [x0]",
        "ld4 {{v0.4s-v3.4s}}, [x1]",
        "st4 {{v0.4s-v3.4s}}, [x1]"
    ),
];

/// Unaligned accesses half inside and half outside the guest's RAM, at both ends.
pub fn edges(board: &Board, tally: &mut Tally, mapped_as: &str) {
    let ram = own_ram(board);
    let mut loads = Attack::default();
    let mut stores = Attack::default();
    for wide in &WIDE {
        for edge in [ram.base, ram.end()] {
            for distance in [1, wide.size / 2 - 1, wide.size / 2, wide.size - 1] {
                let address = edge - distance;
                load_across(board, &mut loads, wide, address);
                store_across(board, &mut stores, wide, address);
            }
        }
    }
    loads.finish(
        tally,
        format_args!("load across the edge of my RAM, {mapped_as}"),
    );
    stores.finish(
        tally,
        format_args!("store across the edge of my RAM, {mapped_as}"),
    );
}

/// Loads, and looks at the foreign part of what was loaded.
fn load_across(board: &Board, attack: &mut Attack, wide: &Wide, address: u64) {
    let mut buffer = [0u8; WIDEST];
    let target = buffer.as_mut_ptr();
    let load = wide.load;
    // SAFETY: a fault guard is active, and the buffer is as wide as the widest access.
    match guarded(|| unsafe { load(address, target) }) {
        Err(fault) => attack.add(Answer::of_fault(fault, None)),
        Ok(()) => {
            let foreign = (0..wide.size)
                .find(|&byte| !board.owns(address + byte) && buffer[byte as usize] != 0);
            match foreign {
                Some(byte) => attack.add_breach(address + byte, buffer[byte as usize].into()),
                None => attack.add(Answer::ReadsZero),
            }
        }
    }
}

/// Stores a pattern, looks whether its foreign part can be read back, and restores our own part: the tree may be there.
fn store_across(board: &Board, attack: &mut Attack, wide: &Wide, address: u64) {
    const PATTERN: u8 = 0xa5;
    let mut saved = [0u8; WIDEST];
    let own = |byte: &u64| board.owns(address + byte);
    for byte in (0..wide.size).filter(own) {
        // SAFETY: the byte is RAM of ours, and no reference to it is written through meanwhile.
        saved[byte as usize] = unsafe { ((address + byte) as *const u8).read_volatile() };
    }
    let mut buffer = [PATTERN; WIDEST];
    let source = buffer.as_mut_ptr();
    let store = wide.store;
    // SAFETY: a fault guard is active; our own bytes are restored below.
    let outcome = guarded(|| unsafe { store(address, source) });
    for byte in (0..wide.size).filter(own) {
        // SAFETY: as for the read above; the byte gets its old value.
        unsafe { ((address + byte) as *mut u8).write_volatile(saved[byte as usize]) };
    }
    match outcome {
        Err(fault) => attack.add(Answer::of_fault(fault, None)),
        Ok(()) => {
            let word = (address..address + wide.size)
                .find(|&byte| byte % 4 == 0 && !board.owns(byte))
                .unwrap_or(address & !3);
            // SAFETY: a fault guard is active.
            match guarded(|| unsafe { mmio::read32(word) }) {
                Ok(value) if value == u32::from_ne_bytes([PATTERN; 4]) => {
                    attack.add_breach(word, value.into())
                }
                _ => attack.add(Answer::NoEffect),
            }
        }
    }
}

/// Offsets of the PL011 where nothing is transmitted or switched off: loads go to the reserved words and the flag register
/// around 0x10, stores to the error clear register, and 64 zero bytes to the interrupt and DMA registers.
const LOAD_FROM: u64 = 0x10;
const STORE_TO: u64 = 0x04;
const ZERO_AT: u64 = 0x40;

/// Accesses to the guest's own UART that a hypervisor cannot emulate from the syndrome alone.
fn without_syndrome(board: &Board, tally: &mut Tally) {
    let mut attack = Attack::default();
    macro_rules! access {
        ($offset:ident, $($line:literal),+) => {{
            let address = board.uart.base + $offset;
            // SAFETY: a fault guard is active; the registers used have no side effect that matters.
            let access = || unsafe {
                asm!($($line),+, inout("x3") address => _, inout("x4") 0u64 => _, inout("x5") 0u64 => _, out("x6") _,
                    out("v0") _, out("v1") _, options(nostack))
            };
            attack.add(match guarded(access) {
                Ok(()) => Answer::Works,
                Err(fault) => Answer::of_fault(fault, None),
            });
        }};
    }
    access!(LOAD_FROM, "ldp w4, w5, [x3]");
    access!(LOAD_FROM, "ldp x4, x5, [x3]");
    access!(LOAD_FROM, "ldr w4, [x3], #4");
    access!(LOAD_FROM, "ldr w4, [x3, #4]!");
    access!(LOAD_FROM, "ldr q0, [x3]");
    access!(LOAD_FROM, "ld1 {{v0.4s}}, [x3]");
    access!(LOAD_FROM, "ld1 {{v0.s}}[1], [x3]");
    access!(LOAD_FROM, "ldxr w4, [x3]", "clrex");
    access!(LOAD_FROM, "ldaxp w4, w5, [x3]", "clrex");
    access!(LOAD_FROM, "ldar w4, [x3]");
    access!(LOAD_FROM, "ldrsb x4, [x3, #1]");
    access!(LOAD_FROM, "ldr w4, [x3, #2]");
    access!(LOAD_FROM, "ldtr w4, [x3]");
    access!(LOAD_FROM, "prfm pldl1keep, [x3]");
    access!(LOAD_FROM, "dc civac, x3");
    access!(LOAD_FROM, "at s1e1w, x3");
    access!(STORE_TO, "stp w4, w5, [x3]");
    access!(STORE_TO, "str w4, [x3], #4");
    access!(STORE_TO, "str w4, [x3, #4]!");
    access!(STORE_TO, "st1 {{v0.s}}[0], [x3]");
    access!(STORE_TO, "stlr w4, [x3]");
    access!(STORE_TO, "ldxr w4, [x3]", "stxr w6, w5, [x3]");
    access!(
        STORE_TO,
        ".arch_extension lse",
        "ldadd w4, w5, [x3]",
        ".arch_extension nolse"
    );
    access!(
        STORE_TO,
        ".arch_extension lse",
        "swp w4, w5, [x3]",
        ".arch_extension nolse"
    );
    access!(
        STORE_TO,
        ".arch_extension lse",
        "cas w4, w5, [x3]",
        ".arch_extension nolse"
    );
    access!(ZERO_AT, "dc zva, x3");
    attack.finish(tally, format_args!("UART accesses without a syndrome"));
}
