//! What a self-check at boot asks of the CPU that it runs on.

use core::arch::global_asm;

use aarch64_cpu::asm;

use super::boot::physical;
use super::el2::El2;
use super::registers::{read_register, write_register};

// A look from EL1: its MMU and stage 2 are off, so the code lies there at its physical address. Whatever comes back to EL2 has a place in the vectors.
global_asm!(
    r#"
.pushsection .text.bulkhead_probe, "ax"
.balign 2048
bulkhead_probe_vectors:
    .space  0x400
    // From EL1: the HVC below.
    .balign 128
    b       bulkhead_probe_end
    // IRQ, FIQ, SError.
    .rept   3
    .balign 128
    mov     x0, #-1
    b       bulkhead_probe_end
    .endr
    .space  0x200

// x0: physical address of what runs at EL1. Returns its ISR_EL1; all ones when something else came first. Changes x1 to x3.
.global bulkhead_probe
bulkhead_probe:
    mrs     x1, vbar_el2
    mrs     x2, hcr_el2
    adr     x3, bulkhead_probe_vectors
    msr     vbar_el2, x3
    mov     x3, #0x80000000             // RW
    orr     x3, x3, #0x38               // AMO, IMO, FMO: what EL1 sees is virtual
    msr     hcr_el2, x3
    msr     vttbr_el2, xzr
    movz    x3, #0x30d0, lsl #16        // RES1; MMU and caches off
    movk    x3, #0x0800
    msr     sctlr_el1, x3
    msr     elr_el2, x0
    mov     x3, #0x3c5                  // EL1h, all masked
    msr     spsr_el2, x3
    dsb     sy
    isb
    eret
.global bulkhead_probe_at_el1
bulkhead_probe_at_el1:
    isb
    mrs     x0, isr_el1
    hvc     #0
bulkhead_probe_end:
    msr     vbar_el2, x1
    msr     hcr_el2, x2
    // What was cached of addresses without translation.
    tlbi    alle1
    dsb     nsh
    isb
    ret
.popsection
"#
);

unsafe extern "C" {
    fn bulkhead_probe(at_el1: u64) -> u64;
    fn bulkhead_probe_at_el1();
}

/// `ISR_EL1.I`: an IRQ is pending.
const IRQ_PENDING: u64 = 1 << 7;

/// True when the virtual interrupt that the interrupt controller signals reaches the calling CPU. `None` when something kept it from looking. Only before a guest's
/// registers are loaded here; `load` is where the image lies.
pub fn sees_virtual_interrupt(load: u64) -> Option<bool> {
    let at_el1 = physical(bulkhead_probe_at_el1 as *const () as u64, load);
    // SAFETY: the code above comes back whatever happens, and keeps what EL2 runs on; EL1's control register is reset before a guest runs.
    let seen = unsafe { bulkhead_probe(at_el1) };
    (seen != u64::MAX).then_some(seen & IRQ_PENDING != 0)
}

/// A timer that may interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// EL1's virtual one.
    Virtual,
    /// EL1's physical one.
    Physical,
    /// EL2's.
    Hypervisor,
}

/// Runs `look` while a timer of the calling CPU, which nobody uses yet, has fired.
pub fn while_fired<T>(timer: Timer, look: impl FnOnce() -> T) -> T {
    let set = |control: u64| {
        match timer {
            Timer::Virtual => write_register!("cntv_ctl_el0", control),
            Timer::Physical => write_register!("cntp_ctl_el0", control),
            Timer::Hypervisor => write_register!("cnthp_ctl_el2", control),
        }
        asm::barrier::isb(asm::barrier::SY);
    };
    match timer {
        Timer::Virtual => write_register!("cntv_cval_el0", 0),
        Timer::Physical => write_register!("cntp_cval_el0", 0),
        Timer::Hypervisor => write_register!("cnthp_cval_el2", 0),
    }
    // A compare value of 0 has been reached whatever the counter says.
    write_register!("cntvoff_el2", 0);
    set(1);
    let seen = look();
    set(0);
    seen
}

impl El2 {
    /// `MIDR_EL1` of the calling CPU.
    pub fn identity() -> u64 {
        read_register!("midr_el1")
    }

    /// `ID_AA64PFR0_EL1`, `ID_AA64MMFR0_EL1` and `ID_AA64MMFR1_EL1` of the calling CPU.
    pub fn features() -> [u64; 3] {
        [
            read_register!("id_aa64pfr0_el1"),
            read_register!("id_aa64mmfr0_el1"),
            read_register!("id_aa64mmfr1_el1"),
        ]
    }
}
