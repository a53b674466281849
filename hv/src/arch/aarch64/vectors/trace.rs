//! Interrupts that the vectors deliver by themselves, in the [trace](crate::trace): the same event as [`Ring::put`] makes.

use core::arch::global_asm;
use core::mem::offset_of;

use super::super::boot::STACK_STRIDE;
use super::Context;
use crate::trace::{Kind, ROOM, Ring, layout};

/// For the `global_asm!` of the vectors: `DELIVERS` puts the number into w3, and the event comes before the guest goes on.
macro_rules! delivery {
    () => {
        r#"
.macro DELIVERS number
    mov     w3, \number
.endm

.macro DELIVERED
    b       bulkhead_trace_delivery
.endm

    .section .text.vectors, "ax"
    .global bulkhead_delivered
bulkhead_delivered:
    COUNT_DELIVERY
"#
    };
}

pub(super) use delivery;

const _: () = assert!(STACK_STRIDE.is_power_of_two());
const _: () = assert!(size_of::<Ring>() < 1 << 32);
// As many events are taken out of the ring at most: one bit tells that all are.
const _: () = assert!(layout::WINDOW.is_power_of_two());

global_asm!(
    r#"
    .section .text.vectors, "ax"
// x0: the context; w3: the number, its upper half zero. x0, x1 are on the stack, x2, x3 in the context. The stack says which pCPU this is.
    .global bulkhead_trace_delivery
bulkhead_trace_delivery:
    stp     x4, x5, [x0, #32]
    adrp    x1, bulkhead_stacks_base
    ldr     x1, [x1, :lo12:bulkhead_stacks_base]
    mov     x2, sp
    sub     x2, x2, x1
    lsr     x2, x2, #{stack_shift}
    adrp    x1, bulkhead_rings
    add     x1, x1, :lo12:bulkhead_rings
    mov     x4, #{ring_low}
    movk    x4, #{ring_high}, lsl #16
    madd    x1, x2, x4, x1
    ldrb    w2, [x1, #{off}]
    cbnz    w2, 1f
    ldr     x2, [x1, #{count}]
    and     x4, x2, #{last}
    add     x4, x1, x4, lsl #4
    mrs     x5, cntpct_el0
    orr     x5, x5, #{kind}
    str     x5, [x4, #{slots}]
    ldr     x5, [x0, #{who}]
    orr     x5, x5, x3
    str     x5, [x4, #{slots} + 8]
    add     x2, x2, #1
    str     x2, [x1, #{count}]
    ldr     x2, [x1, #{taken}]
    tbz     x2, #{window}, 2f
1:  ldp     x4, x5, [x0, #32]
    b       bulkhead_delivered

// Seldom: the events around the dearest exit are not all kept yet. x30 and what else a function may change is put aside.
2:  stp     x6, x7, [sp, #-128]!
    stp     x8, x9, [sp, #16]
    stp     x10, x11, [sp, #32]
    stp     x12, x13, [sp, #48]
    stp     x14, x15, [sp, #64]
    stp     x16, x17, [sp, #80]
    stp     x18, x30, [sp, #96]
    mov     x0, x1
    bl      bulkhead_keep_event
    ldp     x18, x30, [sp, #96]
    ldp     x16, x17, [sp, #80]
    ldp     x14, x15, [sp, #64]
    ldp     x12, x13, [sp, #48]
    ldp     x10, x11, [sp, #32]
    ldp     x8, x9, [sp, #16]
    ldp     x6, x7, [sp], #128
    mrs     x0, tpidr_el2
    b       1b
"#,
    stack_shift = const STACK_STRIDE.trailing_zeros(),
    ring_low = const size_of::<Ring>() & 0xffff,
    ring_high = const size_of::<Ring>() >> 16,
    off = const layout::OFF,
    count = const layout::COUNT,
    slots = const layout::SLOTS,
    taken = const layout::TAKEN,
    last = const ROOM - 1,
    window = const layout::WINDOW.trailing_zeros(),
    kind = const Kind::INTERRUPT.word(),
    who = const offset_of!(Context, who),
);

/// Called by the assembly above, on the pCPU of the ring.
#[unsafe(no_mangle)]
extern "C" fn bulkhead_keep_event(ring: &Ring) {
    ring.keep_event();
}
