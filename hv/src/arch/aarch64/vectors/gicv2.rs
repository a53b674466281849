//! The interrupt vector with a GICv2, whose CPU interface and list registers are in memory (IHI 0048B 4.4, 5.3).
//!
//! `INTERRUPT` is the vector, `INTERRUPT_REST` what it branches to.

/// The assembly text, for the `global_asm!` of the vectors.
macro_rules! interrupt {
    () => {
        r#"
.equ GICC_IAR, 0x0c
.equ GICC_EOIR, 0x10
.equ GICC_DIR, 0x1000
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
    DELIVERS w4
    ldp     x4, x5, [x0, #32]
    DELIVERED
.endm

.macro INTERRUPT_REST
bulkhead_full:
    mov     w1, w4

// No grant. x0: context, x1: the acknowledge register; x2 to x5 are stored.
bulkhead_other:
    tst     w1, #0x3ff
    b.ne    9f
    // A kick.
    stp     x6, x7, [x0, #48]
    SOLE_SGI 8f
    ldp     x6, x7, [x5, #{sgis}]
    ldr     x5, [x0, #CONTEXT_FRAMES + 8]
    ldr     w5, [x5, #GICH_ELRSR]
    tst     x5, x6, lsr #32
    b.eq    8f
    // First the SGI is taken, then those who sent it.
1:  ldaxr   w5, [x2]
    cmp     w5, w3
    b.ne    7f
    stxr    w5, wzr, [x2]
    cbnz    w5, 1b
    add     x4, x4, x2
    add     x4, x4, #REQUESTS_SOURCES
2:  ldaxrb  w6, [x4]
    stxrb   w5, wzr, [x4]
    cbnz    w5, 2b
    sub     w5, w6, #1
    tst     w6, w5
    b.ne    5f
    // Nobody: it was delivered with an earlier one.
    cbz     w6, 4f
    clz     w6, w6
    eor     w6, w6, #31
    orr     x7, x7, x6, lsl #10
    ldr     x5, [x0, #CONTEXT_FRAMES + 8]
    add     x5, x5, x7, lsr #32
    str     w7, [x5, #GICH_LR]
4:  ldr     x2, [x0, #CONTEXT_FRAMES]
    str     w1, [x2, #GICC_EOIR]
    str     w1, [x2, #GICC_DIR]
    ldp     x4, x5, [x0, #32]
    ldp     x6, x7, [x0, #48]
    DELIVERS wzr
    DELIVERED
    // Several: they go back, then the SGI, for the handler.
5:  ldxrb   w5, [x4]
    orr     w5, w5, w6
    stxrb   w7, w5, [x4]
    cbnz    w7, 5b
6:  ldxr    w5, [x2]
    orr     w5, w5, w3
    stlxr   w7, w5, [x2]
    cbnz    w7, 6b
    b       8f
7:  clrex
8:  ldp     x6, x7, [x0, #48]
9:  ldp     x4, x5, [x0, #32]
.endm
"#
    };
}

pub(super) use interrupt;
