//! Registers of one guest out, those of the next one in.

use aarch64_cpu::asm::barrier;
use core::arch::global_asm;

use super::context::Context;
use super::el2::El2;
use super::registers::{read_register, write_register};
use super::world::{FloatingPoint, Timer, World};
use crate::pool::SharedCpu;

/// `TCR_EL1`: no walks of either table.
const NO_WALKS: u64 = 1 << 7 | 1 << 23;

/// `CNTHP_CTL_EL2.ENABLE`.
const ENABLE: u64 = 1 << 0;

impl SharedCpu for El2 {
    fn save(world: &mut World) {
        world.virtual_timer = Timer {
            control: read_register!("cntv_ctl_el0"),
            at: read_register!("cntv_cval_el0"),
        };
        world.physical_timer = Timer {
            control: read_register!("cntp_ctl_el0"),
            at: read_register!("cntp_cval_el0"),
        };
        write_register!("cntv_ctl_el0", 0);
        write_register!("cntp_ctl_el0", 0);
        world.translation_control = read_register!("tcr_el1");
        world.stage2 = read_register!("vttbr_el2");
        world.translation.read();
        world.others.read();
        if has_pointer_authentication() {
            world.keys.read();
        }
    }

    fn load(world: &World) {
        // No table walk may meet one guest's tables under the other's VMID: such a walk can begin at any time, and what it finds stays in
        // the TLB (Arm ARM D8.2.10, and the errata 1319367 of the Cortex-A72 and 1319537 of the Cortex-A57). So walks are off meanwhile.
        write_register!("tcr_el1", world.translation_control | NO_WALKS);
        barrier::isb(barrier::SY);
        write_register!("vttbr_el2", world.stage2);
        world.translation.write();
        barrier::isb(barrier::SY);
        write_register!("tcr_el1", world.translation_control);
        world.others.write();
        if has_pointer_authentication() {
            world.keys.write();
        }
    }

    fn start_timers(world: &World) {
        write_register!("cntv_cval_el0", world.virtual_timer.at);
        write_register!("cntp_cval_el0", world.physical_timer.at);
        write_register!("cntv_ctl_el0", world.virtual_timer.control);
        write_register!("cntp_ctl_el0", world.physical_timer.control);
    }

    fn timers_ask() -> [bool; 2] {
        // ENABLE and ISTATUS without IMASK (Arm ARM D19.12.16).
        [
            read_register!("cntv_ctl_el0"),
            read_register!("cntp_ctl_el0"),
        ]
        .map(|control| control & 0b111 == 0b101)
    }

    fn forget_translations() {
        // SAFETY: forgetting translations and instructions changes no data; they are fetched again.
        unsafe {
            core::arch::asm!(
                "isb",
                "tlbi vmalle1",
                "ic iallu",
                "dsb nsh",
                "isb",
                options(nostack, preserves_flags)
            );
        }
    }

    #[cfg(feature = "global")]
    fn complete_maintenance() {
        barrier::dsb(barrier::SY);
    }

    fn trap_floating_point(trap: bool) {
        /// `CPTR_EL2.TFP`.
        const TFP: u64 = 1 << 10;
        let others = read_register!("cptr_el2") & !TFP;
        write_register!("cptr_el2", if trap { others | TFP } else { others });
        barrier::isb(barrier::SY);
    }

    fn save_floating_point(world: &mut World) {
        // SAFETY: the registers are not trapped, and the place is as the function wants it.
        unsafe { bulkhead_save_floating_point(&mut world.floating_point) }
    }

    fn load_floating_point(world: &World) {
        // SAFETY: as above.
        unsafe { bulkhead_load_floating_point(&world.floating_point) }
    }

    fn enter_next(context: &mut Context) {
        write_register!("tpidr_el2", core::ptr::from_mut(context) as u64);
    }

    fn is_interrupt_pending() -> bool {
        /// `ISR_EL1.I`.
        const IRQ: u64 = 1 << 7;
        let look = || {
            // What was written to the interrupt controller and to timers so far is seen here.
            barrier::isb(barrier::SY);
            read_register!("isr_el1") & IRQ != 0
        };
        #[cfg(feature = "masked")]
        return crate::masked::looking::<Self, _>(look);
        #[cfg(not(feature = "masked"))]
        look()
    }

    #[cfg(feature = "masked")]
    fn number() -> usize {
        // Aff0 and Aff1 of `MPIDR_EL1`, as QEMU's machines number their CPUs: at most 16 in a cluster.
        let affinity = read_register!("mpidr_el1");
        (affinity & 0xf | (affinity >> 4) & 0x30) as usize
    }

    fn alarm() -> Option<u64> {
        let is_set = read_register!("cnthp_ctl_el2") & ENABLE != 0;
        is_set.then(|| read_register!("cnthp_cval_el2"))
    }
}

/// APA, API, GPA and GPI of `ID_AA64ISAR1_EL1`, and GPA3 and APA3 of `ID_AA64ISAR2_EL1`: any of them means that there are keys.
fn has_pointer_authentication() -> bool {
    const ISAR1: u64 = 0xff << 4 | 0xff << 24;
    const ISAR2: u64 = 0xff << 8;
    read_register!("id_aa64isar1_el1") & ISAR1 != 0 || read_register!("s3_0_c0_c6_2") & ISAR2 != 0
}

unsafe extern "C" {
    /// Stores all floating-point registers. They must not be trapped.
    fn bulkhead_save_floating_point(place: *mut FloatingPoint);
    /// Loads all floating-point registers. They must not be trapped.
    fn bulkhead_load_floating_point(place: *const FloatingPoint);
}

// The image itself is built without floating point, so the assembler must be told.
global_asm!(
    r#"
    .arch_extension fp
    .arch_extension simd
    .section .text.floating_point, "ax"

.macro EACH instruction
    .irp pair, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
    BOTH \instruction, \pair
    .endr
.endm

.macro BOTH instruction, first
    .altmacro
    PAIR \instruction, \first, %(\first + 1)
    .noaltmacro
.endm

.macro PAIR instruction, first, second
    \instruction q\first, q\second, [x0, #16 * \first]
.endm

bulkhead_save_floating_point:
    EACH stp
    mrs     x1, fpcr
    mrs     x2, fpsr
    str     x1, [x0, #{control}]
    str     x2, [x0, #{status}]
    ret

bulkhead_load_floating_point:
    EACH ldp
    ldr     x1, [x0, #{control}]
    ldr     x2, [x0, #{status}]
    msr     fpcr, x1
    msr     fpsr, x2
    ret

    .arch_extension nosimd
    .arch_extension nofp
"#,
    control = const core::mem::offset_of!(FloatingPoint, control),
    status = const core::mem::offset_of!(FloatingPoint, status),
);
