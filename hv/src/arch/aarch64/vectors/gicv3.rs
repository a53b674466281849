//! The interrupt vector with a GICv3, whose CPU interface and list registers are system registers (IHI 0069H 12.2, 12.4).
//!
//! `INTERRUPT` is the vector, `INTERRUPT_REST` what it branches to.

/// The assembly text, for the `global_asm!` of the vectors.
macro_rules! interrupt {
    () => {
        r#"
// Drops the priority of the interrupt in w3.
.macro DROP_AND_DELIVERED
    mov     w3, w3
    msr     icc_eoir1_el1, x3
    DELIVERED
.endm

.macro INTERRUPT
    .balign 128
    stp     x0, x1, [sp, #-16]!
    mrs     x0, tpidr_el2
    stp     x2, x3, [x0, #16]
    ldr     x2, [x0, #{grants}]
    mrs     x1, icc_iar1_el1
    and     x3, x1, #{physical_mask}
    add     x2, x2, x3, lsl #4
    ldp     x3, x2, [x2, #{physical}]
    cmp     w3, w1
    b.ne    bulkhead_other
    mrs     x1, ich_elrsr_el2
    tst     x1, x3, lsr #32
    b.eq    bulkhead_full
    tbz     x3, #32, bulkhead_slot1
    msr     ich_lr0_el2, x2
    DROP_AND_DELIVERED
.endm

.macro INTERRUPT_REST
// A list register other than the first. x0: context, x2: value, x3: key.
    .balign 64
bulkhead_slot1:
    tbz     x3, #33, 1f
    msr     ich_lr1_el2, x2
    DROP_AND_DELIVERED
1:  tbz     x3, #34, 1f
    msr     ich_lr2_el2, x2
    DROP_AND_DELIVERED
1:  msr     ich_lr3_el2, x2
    DROP_AND_DELIVERED

// The list register of an interrupt with a grant is not free, or there was no grant in the place of number 0.
bulkhead_full:
    mov     w1, w3

// No grant. x0: context, x1: the acknowledge register; x2, x3 are stored.
bulkhead_other:
    cbnz    w1, bulkhead_interrupt
    // A kick.
    stp     x4, x5, [x0, #32]
    SOLE_SGI 9f
    ldp     x4, x5, [x5, #{sgis}]
    mrs     x1, ich_elrsr_el2
    tst     x1, x4, lsr #32
    b.eq    8f
1:  ldaxr   w1, [x2]
    cmp     w1, w3
    b.ne    7f
    stxr    w1, wzr, [x2]
    cbnz    w1, 1b
    tbz     x4, #32, 2f
    msr     ich_lr0_el2, x5
    b       4f
2:  tbz     x4, #33, 2f
    msr     ich_lr1_el2, x5
    b       4f
2:  tbz     x4, #34, 2f
    msr     ich_lr2_el2, x5
    b       4f
2:  msr     ich_lr3_el2, x5
4:  msr     icc_eoir1_el1, xzr
    msr     icc_dir_el1, xzr
    ldp     x4, x5, [x0, #32]
    DELIVERS wzr
    DELIVERED
7:  clrex
8:  mov     x1, #0
9:  ldp     x4, x5, [x0, #32]
    b       bulkhead_interrupt
.endm
"#
    };
}

pub(super) use interrupt;
