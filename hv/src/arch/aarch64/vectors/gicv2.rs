//! The interrupt vector with a GICv2, whose CPU interface and list registers are in memory (IHI 0048B 4.4, 5.3).
//!
//! `INTERRUPT` is the vector, `INTERRUPT_REST` what it branches to.

/// The assembly text, for the `global_asm!` of the vectors.
macro_rules! interrupt {
    () => {
        r#"
.equ GICC_IAR, 0x0c
.equ GICC_EOIR, 0x10
.equ GICH_ELRSR, 0x30
.equ GICH_LR, 0x100

.macro INTERRUPT
    .balign 128
    stp     x0, x1, [sp, #-16]!
    mrs     x0, tpidr_el2
    stp     x2, x3, [x0, #16]
    stp     x4, x5, [x0, #32]
    ldp     x2, x3, [x0, #CONTEXT_FRAMES]
    ldr     w1, [x2, #GICC_IAR]
    ldr     x4, [x0, #{grants}]
    and     x5, x1, #{physical_mask}
    add     x4, x4, x5, lsl #4
    ldp     x4, x5, [x4, #{physical}]
    cmp     w4, w1
    b.ne    bulkhead_other
    ldr     w1, [x3, #GICH_ELRSR]
    tst     x1, x4, lsr #32
    b.eq    bulkhead_full
    lsr     x1, x5, #32
    add     x1, x1, x3
    str     w5, [x1, #GICH_LR]
    str     w4, [x2, #GICC_EOIR]
    ldp     x4, x5, [x0, #32]
    DELIVERED
.endm

.macro INTERRUPT_REST
bulkhead_full:
    mov     w1, w4
bulkhead_other:
    ldp     x4, x5, [x0, #32]
.endm
"#
    };
}

pub(super) use interrupt;
