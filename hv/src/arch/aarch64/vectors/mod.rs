//! The exception vectors of EL2 and the way into and out of a guest.
//!
//! Three ways lead through an exit, each longer than the one before:
//! - an interrupt with a [grant](gic::virt::Grants) is delivered here, with four registers of the guest's put aside;
//! - a synchronous exception stores what a function may change and calls [`short`](super::short), which answers what is quickly answered;
//! - everything else stores all general registers in the [`Context`] that `TPIDR_EL2` points to and calls the handler of its reason.
//!
//! A handler runs on the stack of the pCPU, which is empty each time: nothing of the hypervisor lives on it between exits. An exception
//! of EL2 itself is a defect: it switches to a stack of its own and ends in the epitaph.
//!
//! # Delivery by a grant
//! The acknowledged number finds its grant; its list register must be free. Then that register is written, the priority dropped, and the guest
//! goes on: the physical interrupt stays active until the guest's own end of interrupt deactivates it through the list register's hardware
//! link (IHI 0069H 4.6.1, IHI 0048B 5.2). No barrier is needed: taking the exception and returning from it synchronize the context, so
//! that what the guest did to the list registers is seen, and what is written here takes effect for the guest.
//!
//! A kick of a GICv3 that is about one SGI of another virtual CPU, and nothing else, is delivered in the same way: the request is taken by a
//! compare and exchange, so that nothing that comes meanwhile is lost.

use core::arch::global_asm;
use core::mem::offset_of;

use gic::virt::{GRANTS_OF_PHYSICAL, Grants};

use super::context::Context;
use super::vector;
use crate::partition::{Requests, request};

#[cfg(feature = "v2")]
mod gicv2;
#[cfg(feature = "v3")]
mod gicv3;
#[cfg(feature = "trace")]
mod trace;
#[cfg(feature = "v2")]
use gicv2::interrupt;
#[cfg(feature = "v3")]
use gicv3::interrupt;
#[cfg(feature = "trace")]
use trace::delivery;

// An interrupt's place in the table is found by masking, and the number of a sole SGI by counting the zeros above it.
const _: () = assert!(GRANTS_OF_PHYSICAL.is_power_of_two());
const _: () = assert!(request::FIRST_SGI == 16);
const _: () = assert!(offset_of!(Requests, word) == 0);

/// `DELIVERS` an interrupt with this number; after it was `DELIVERED` the guest goes on.
#[cfg(not(feature = "trace"))]
macro_rules! delivery {
    () => {
        ".macro DELIVERS number\n.endm\n.macro DELIVERED\nCOUNT_DELIVERY\n.endm\n"
    };
}

global_asm!(
    r#"
// Not every interrupt controller needs all of these.
.equ REQUESTS_SOURCES, {sources}
.equ CONTEXT_FRAMES, {frames}

.macro FROM_SELF
    .balign 128
    b       bulkhead_defect
.endm

// Ends every return: no CPU may run ahead of it with the hypervisor's rights.
.macro RETURN
    eret
    dsb     nsh
    isb
.endm

// x6 to x17 with `ldp` or `stp`. x0: the context.
.macro X6_TO_X17 instruction
    \instruction x6, x7, [x0, #48]
    \instruction x8, x9, [x0, #64]
    \instruction x10, x11, [x0, #80]
    \instruction x12, x13, [x0, #96]
    \instruction x14, x15, [x0, #112]
    \instruction x16, x17, [x0, #128]
.endm

// Of the registers that a function may change (AAPCS64 6.1.1), those behind x5. x0: the context.
.macro STORE_FROM_X6
    X6_TO_X17 stp
    str     x18, [x0, #144]
    str     x30, [x0, #240]
.endm

// x0: the context.
.macro LOAD_X2_TO_X17
    ldp     x2, x3, [x0, #16]
    ldp     x4, x5, [x0, #32]
    X6_TO_X17 ldp
.endm

// What needs no state but the guest's first registers.
.macro SYNCHRONOUS
    .balign 128
    stp     x0, x1, [sp, #-16]!
    mrs     x0, tpidr_el2
    stp     x2, x3, [x0, #16]
    stp     x4, x5, [x0, #32]
    STORE_FROM_X6
    ldp     x2, x3, [sp], #16
    stp     x2, x3, [x0]
    ldr     x1, [x0, #{short}]
    blr     x1
    cbnz    x0, bulkhead_long
    mrs     x0, tpidr_el2
    LOAD_X2_TO_X17
    ldr     x18, [x0, #144]
    ldr     x30, [x0, #240]
    ldp     x0, x1, [x0]
    RETURN
.endm

// Counts a delivery and goes back. x0: the context.
.macro COUNT_DELIVERY
    ldr     x2, [x0, #{grants}]
    ldr     x3, [x2, #{delivered}]
    add     x3, x3, #1
    str     x3, [x2, #{delivered}]
    ldp     x2, x3, [x0, #16]
    ldp     x0, x1, [sp], #16
    RETURN
.endm
"#,
    delivery!(),
    r#"
// Is a kick about one SGI, and nothing else? Then x2: the requests, w3: all that is asked for, w4: the SGI, x5: its place in the grants.
// x0: context; x4, x5 are stored.
.macro SOLE_SGI otherwise
    ldr     x2, [x0, #{requests}]
    ldr     w3, [x2]
    sub     w4, w3, #1
    tst     w3, w4
    b.ne    \otherwise
    clz     w4, w3
    cmp     w4, #15
    b.hi    \otherwise
    ldr     x5, [x0, #{grants}]
    eor     w4, w4, #15
    add     x5, x5, x4, lsl #4
.endm

.macro SYSTEM_ERROR
    .balign 128
    stp     x0, x1, [sp, #-16]!
    mrs     x0, tpidr_el2
    stp     x2, x3, [x0, #16]
    b       bulkhead_system_error
.endm

"#,
    interrupt!(),
    r#"
    .section .text.vectors, "ax"
    .balign 2048
    .global bulkhead_vectors
bulkhead_vectors:
    .rept 8
    FROM_SELF
    .endr
    .rept 2
    SYNCHRONOUS
    INTERRUPT
    INTERRUPT
    SYSTEM_ERROR
    .endr

    INTERRUPT_REST

// x0: context, x1: the acknowledge register. x2, x3 are stored; x0, x1 are on the stack.
bulkhead_interrupt:
    stp     x4, x5, [x0, #32]
    ldr     x4, [x0, #{handlers} + 8 * {interrupt}]
    b       bulkhead_store

bulkhead_system_error:
    stp     x4, x5, [x0, #32]
    ldr     x4, [x0, #{handlers} + 8 * {system_error}]

// x4: the handler, x1: its second argument.
bulkhead_store:
    ldp     x2, x3, [sp], #16
    stp     x2, x3, [x0]
    STORE_FROM_X6
    b       bulkhead_call

// A synchronous exception that is not a short one. x0 to x18 and x30 are stored, the stack is empty.
bulkhead_long:
    mrs     x0, tpidr_el2
    ldr     x4, [x0, #{handlers} + 8 * {synchronous}]

bulkhead_call:
    str     x19, [x0, #152]
    stp     x20, x21, [x0, #160]
    stp     x22, x23, [x0, #176]
    stp     x24, x25, [x0, #192]
    stp     x26, x27, [x0, #208]
    stp     x28, x29, [x0, #224]
    mrs     x5, elr_el2
    mrs     x6, spsr_el2
    mrs     x7, cntpct_el0
    str     x5, [x0, #{pc}]
    str     x6, [x0, #{pstate}]
    str     x7, [x0, #{entered}]
    blr     x4
    // Perhaps another one than before: the handler chooses.
    mrs     x0, tpidr_el2

// x0: the context of the guest to enter. The stack is empty.
bulkhead_enter:
    ldr     x2, [x0, #{pc}]
    ldr     x3, [x0, #{pstate}]
    msr     elr_el2, x2
    msr     spsr_el2, x3
    LOAD_X2_TO_X17
    ldp     x18, x19, [x0, #144]
    ldp     x20, x21, [x0, #160]
    ldp     x22, x23, [x0, #176]
    ldp     x24, x25, [x0, #192]
    ldp     x26, x27, [x0, #208]
    ldp     x28, x29, [x0, #224]
    ldr     x30, [x0, #240]
    ldp     x0, x1, [x0]
    RETURN

// x0: context, x1: top of the pCPU's stack. The first entry of a pCPU.
    .global bulkhead_first_entry
bulkhead_first_entry:
    mov     sp, x1
    msr     tpidr_el2, x0
    b       bulkhead_enter

bulkhead_defect:
    // Whatever was in x0 is lost; the stack may be the cause, so it is left as it is.
    msr     tpidr_el2, x0
    mov     x0, sp
    adrp    x1, bulkhead_defect_stack
    add     x1, x1, :lo12:bulkhead_defect_stack
    add     sp, x1, #{defect_stack_size}
    mrs     x1, esr_el2
    mrs     x2, elr_el2
    mrs     x3, far_el2
    mov     x4, x30
    b       bulkhead_defect_report
"#,
    synchronous = const vector::SYNCHRONOUS,
    interrupt = const vector::INTERRUPT,
    system_error = const vector::SYSTEM_ERROR,
    short = const offset_of!(Context, handlers) + 8 * vector::SHORT,
    handlers = const offset_of!(Context, handlers),
    pc = const offset_of!(Context, pc),
    pstate = const offset_of!(Context, pstate),
    entered = const offset_of!(Context, entered),
    grants = const offset_of!(Context, grants),
    requests = const offset_of!(Context, requests),
    sources = const offset_of!(Requests, sources),
    frames = const offset_of!(Context, frames),
    delivered = const offset_of!(Grants, delivered),
    sgis = const offset_of!(Grants, sgis),
    physical = const offset_of!(Grants, physical),
    physical_mask = const GRANTS_OF_PHYSICAL - 1,
    defect_stack_size = const DEFECT_STACK,
);

/// Bytes of the stack on which a defect of the hypervisor is reported.
const DEFECT_STACK: usize = 8192;

/// The stack itself; one is enough, a defect ends everything.
#[repr(C, align(16))]
struct DefectStack(core::cell::UnsafeCell<[u8; DEFECT_STACK]>);

// SAFETY: only the assembly above uses it, as a stack.
unsafe impl Sync for DefectStack {}

#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "named for the assembly")]
static bulkhead_defect_stack: DefectStack =
    DefectStack(core::cell::UnsafeCell::new([0; DEFECT_STACK]));
