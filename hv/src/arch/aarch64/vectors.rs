//! The exception vectors of EL2 and the way into and out of a guest.
//!
//! An exit stores all general registers in the [`Context`](super::context::Context) that `TPIDR_EL2` points to and calls its handler on
//! the stack of the pCPU, which is empty each time: nothing of the hypervisor lives on it between exits. The handler returns to the guest.
//! An exception of EL2 itself is a defect: it switches to a stack of its own and ends in [`epitaph`](super::epitaph).

use core::arch::global_asm;

use super::vector;

global_asm!(
    r#"
.macro FROM_GUEST reason
    .balign 128
    stp     x0, x1, [sp, #-16]!
    mrs     x0, tpidr_el2
    mov     x1, #\reason
    b       bulkhead_exit
.endm

.macro FROM_SELF
    .balign 128
    b       bulkhead_defect
.endm

    .section .text.vectors, "ax"
    .balign 2048
    .global bulkhead_vectors
bulkhead_vectors:
    .rept 8
    FROM_SELF
    .endr
    .rept 2
    FROM_GUEST {synchronous}
    FROM_GUEST {interrupt}
    FROM_GUEST {interrupt}
    FROM_GUEST {system_error}
    .endr

    .balign 64
bulkhead_exit:
    stp     x2, x3, [x0, #16]
    stp     x4, x5, [x0, #32]
    stp     x6, x7, [x0, #48]
    stp     x8, x9, [x0, #64]
    stp     x10, x11, [x0, #80]
    stp     x12, x13, [x0, #96]
    stp     x14, x15, [x0, #112]
    stp     x16, x17, [x0, #128]
    stp     x18, x19, [x0, #144]
    stp     x20, x21, [x0, #160]
    stp     x22, x23, [x0, #176]
    stp     x24, x25, [x0, #192]
    stp     x26, x27, [x0, #208]
    stp     x28, x29, [x0, #224]
    str     x30, [x0, #240]
    mrs     x4, elr_el2
    mrs     x5, spsr_el2
    mrs     x6, cntpct_el0
    add     x7, x0, x1, lsl #3
    ldr     x7, [x7, #272]
    ldp     x2, x3, [sp], #16
    stp     x2, x3, [x0]
    stp     x4, x5, [x0, #248]
    str     x6, [x0, #264]
    mov     x19, x0
    blr     x7
    mov     x0, x19

// x0: the context of the guest to enter. The stack is empty.
    .global bulkhead_enter
bulkhead_enter:
    ldp     x2, x3, [x0, #248]
    msr     elr_el2, x2
    msr     spsr_el2, x3
    ldp     x2, x3, [x0, #16]
    ldp     x4, x5, [x0, #32]
    ldp     x6, x7, [x0, #48]
    ldp     x8, x9, [x0, #64]
    ldp     x10, x11, [x0, #80]
    ldp     x12, x13, [x0, #96]
    ldp     x14, x15, [x0, #112]
    ldp     x16, x17, [x0, #128]
    ldp     x18, x19, [x0, #144]
    ldp     x20, x21, [x0, #160]
    ldp     x22, x23, [x0, #176]
    ldp     x24, x25, [x0, #192]
    ldp     x26, x27, [x0, #208]
    ldp     x28, x29, [x0, #224]
    ldr     x30, [x0, #240]
    ldp     x0, x1, [x0]
    eret
    // No CPU may run ahead of the return with the hypervisor's rights.
    dsb     nsh
    isb

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
