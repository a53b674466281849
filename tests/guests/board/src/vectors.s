// Exception vectors, and the guard that turns a fault into a return value.

    .macro  vector target
    .balign 128
    b       \target
    .endm

    .section .text.vectors, "ax"
    .balign 2048
    .global vector_table
vector_table:
    .rept 4                             // current EL with SP_EL0: never used
    vector  fatal
    .endr
    vector  fault                       // current EL with SP_EL1: synchronous
    vector  interrupt
    vector  fatal                       // FIQ: nothing here is in Group 0 of a two-state GIC
    vector  fault                       // SError
    .rept 8                             // lower EL: nothing runs there
    vector  fatal
    .endr

// A fault under a guard unwinds to the guard's caller; TPIDR_EL1 holds its record (struct Record in fault.rs), or zero.
fault:
    stp     x0, x1, [sp, #-16]!
    mrs     x0, tpidr_el1
    cbz     x0, 1f
    mrs     x1, esr_el1
    str     x1, [x0, #176]
    mrs     x1, far_el1
    str     x1, [x0, #184]
    mrs     x1, elr_el1
    str     x1, [x0, #192]
    msr     tpidr_el1, xzr
    ldp     x19, x20, [x0, #0]
    ldp     x21, x22, [x0, #16]
    ldp     x23, x24, [x0, #32]
    ldp     x25, x26, [x0, #48]
    ldp     x27, x28, [x0, #64]
    ldp     x29, x30, [x0, #80]
    ldr     x1, [x0, #96]
    mov     sp, x1
    ldp     d8, d9, [x0, #104]
    ldp     d10, d11, [x0, #120]
    ldp     d12, d13, [x0, #136]
    ldp     d14, d15, [x0, #152]
    ldr     x1, [x0, #168]
    orr     x1, x1, #4                  // EL1h with the guard's interrupt masks; SPSR.IL of an illegal state is dropped
    orr     x1, x1, #1
    msr     spsr_el1, x1
    msr     elr_el1, x30
    mov     x0, #1
    eret
1:  ldp     x0, x1, [sp], #16
fatal:
    mrs     x0, esr_el1
    mrs     x1, far_el1
    mrs     x2, elr_el1
    bl      fatal_exception
2:  wfi
    b       2b

// u64 guarded_call(Record *x0, void (*x1)(void *), void *x2): 0 when the function returned, 1 when it faulted.
    .global guarded_call
guarded_call:
    stp     x19, x20, [x0, #0]
    stp     x21, x22, [x0, #16]
    stp     x23, x24, [x0, #32]
    stp     x25, x26, [x0, #48]
    stp     x27, x28, [x0, #64]
    stp     x29, x30, [x0, #80]
    mov     x9, sp
    str     x9, [x0, #96]
    stp     d8, d9, [x0, #104]
    stp     d10, d11, [x0, #120]
    stp     d12, d13, [x0, #136]
    stp     d14, d15, [x0, #152]
    mrs     x9, daif
    str     x9, [x0, #168]
    stp     x29, x30, [sp, #-16]!
    msr     tpidr_el1, x0
    mov     x0, x2
    blr     x1
    msr     tpidr_el1, xzr
    ldp     x29, x30, [sp], #16
    mov     x0, #0
    ret

// Interrupts run Rust code that may use SIMD: everything that the procedure call standard lets it change is saved.
interrupt:
    sub     sp, sp, #720
    stp     x0, x1, [sp, #0]
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x29, [sp, #144]
    mrs     x0, elr_el1
    stp     x30, x0, [sp, #160]
    mrs     x0, spsr_el1
    mrs     x1, fpsr
    stp     x0, x1, [sp, #176]
    add     x0, sp, #208
    stp     q0, q1, [x0, #0]
    stp     q2, q3, [x0, #32]
    stp     q4, q5, [x0, #64]
    stp     q6, q7, [x0, #96]
    stp     q8, q9, [x0, #128]
    stp     q10, q11, [x0, #160]
    stp     q12, q13, [x0, #192]
    stp     q14, q15, [x0, #224]
    stp     q16, q17, [x0, #256]
    stp     q18, q19, [x0, #288]
    stp     q20, q21, [x0, #320]
    stp     q22, q23, [x0, #352]
    stp     q24, q25, [x0, #384]
    stp     q26, q27, [x0, #416]
    stp     q28, q29, [x0, #448]
    stp     q30, q31, [x0, #480]
    bl      dispatch_interrupt
    add     x0, sp, #208
    ldp     q0, q1, [x0, #0]
    ldp     q2, q3, [x0, #32]
    ldp     q4, q5, [x0, #64]
    ldp     q6, q7, [x0, #96]
    ldp     q8, q9, [x0, #128]
    ldp     q10, q11, [x0, #160]
    ldp     q12, q13, [x0, #192]
    ldp     q14, q15, [x0, #224]
    ldp     q16, q17, [x0, #256]
    ldp     q18, q19, [x0, #288]
    ldp     q20, q21, [x0, #320]
    ldp     q22, q23, [x0, #352]
    ldp     q24, q25, [x0, #384]
    ldp     q26, q27, [x0, #416]
    ldp     q28, q29, [x0, #448]
    ldp     q30, q31, [x0, #480]
    ldp     x0, x1, [sp, #176]
    msr     spsr_el1, x0
    msr     fpsr, x1
    ldp     x30, x0, [sp, #160]
    msr     elr_el1, x0
    ldp     x18, x29, [sp, #144]
    ldp     x16, x17, [sp, #128]
    ldp     x14, x15, [sp, #112]
    ldp     x12, x13, [sp, #96]
    ldp     x10, x11, [sp, #80]
    ldp     x8, x9, [sp, #64]
    ldp     x6, x7, [sp, #48]
    ldp     x4, x5, [sp, #32]
    ldp     x2, x3, [sp, #16]
    ldp     x0, x1, [sp, #0]
    add     sp, sp, #720
    eret
