// What is measured, and the vector that ends it.
//
// Interrupts are unmasked only inside these functions. The first one ends the function: the vector reads the counter before
// anything else and returns to the function's caller with IRQ masked and the interrupt not yet acknowledged.

    .macro  fatal_vector
    .balign 128
    b       fatal
    .endm

    .section .text.bench_vectors, "ax"
    .balign 2048
    .global bench_vectors
bench_vectors:
    .rept 5                             // current EL with SP_EL0, and the synchronous exceptions of SP_EL1
    fatal_vector
    .endr
    .balign 128
    mrs     x1, cntvct_el0              // x1: Sent.taken
    adr     x2, 1f
    msr     elr_el1, x2
    mrs     x2, spsr_el1
    orr     x2, x2, #1 << 7             // PSTATE.I
    msr     spsr_el1, x2
    eret
1:  ret
    .rept 10                            // FIQ, SError, lower EL
    fatal_vector
    .endr
fatal:
    mrs     x0, esr_el1
    mrs     x1, far_el1
    mrs     x2, elr_el1
    b       fatal_exception

    .text
// struct Sent wait_spinning(void), wait_sleeping(void): .sent means nothing.
    .global wait_spinning
wait_spinning:
    msr     daifclr, #2
2:  b       2b

    .global wait_sleeping
wait_sleeping:
    msr     daifclr, #2
3:  wfi
    b       3b

// struct Sent send_v3_and_…(u64 x0 for ICC_SGI1R_EL1)
    .global send_v3_and_spin
send_v3_and_spin:
    mov     x3, x0
    msr     daifclr, #2
    isb
    mrs     x0, cntvct_el0              // x0: Sent.sent
    msr     S3_0_C12_C11_5, x3          // ICC_SGI1R_EL1
    b       2b

    .global send_v3_and_sleep
send_v3_and_sleep:
    mov     x3, x0
    msr     daifclr, #2
    isb
    mrs     x0, cntvct_el0
    msr     S3_0_C12_C11_5, x3
    b       3b

// struct Sent send_v2_and_…(u64 x0 address of GICD_SGIR, u32 w1 its value)
    .global send_v2_and_spin
send_v2_and_spin:
    mov     x3, x0
    mov     w4, w1
    msr     daifclr, #2
    isb
    mrs     x0, cntvct_el0
    str     w4, [x3]
    b       2b

    .global send_v2_and_sleep
send_v2_and_sleep:
    mov     x3, x0
    mov     w4, w1
    msr     daifclr, #2
    isb
    mrs     x0, cntvct_el0
    str     w4, [x3]
    b       3b

// u64 time_nothing(void): ticks between two counter reads in a row.
    .global time_nothing
time_nothing:
    isb
    mrs     x0, cntvct_el0
    mrs     x1, cntvct_el0
    sub     x0, x1, x0
    ret

// u64 time_read(u64 x0 address): ticks around one 32-bit load.
    .global time_read
time_read:
    mov     x3, x0
    isb
    mrs     x0, cntvct_el0
    ldr     w4, [x3]
    mrs     x1, cntvct_el0
    sub     x0, x1, x0
    ret

// u64 time_hvc(u32 w0 function), time_smc(u32 w0 function): ticks around one call without arguments.
    .macro  time_call name, instruction
    .global \name
\name:
    stp     x19, x30, [sp, #-16]!       // x19: a call may change x0 to x17
    isb
    mrs     x19, cntvct_el0
    \instruction #0
    mrs     x1, cntvct_el0
    sub     x0, x1, x19
    ldp     x19, x30, [sp], #16
    ret
    .endm
    time_call time_hvc, hvc
    time_call time_smc, smc
