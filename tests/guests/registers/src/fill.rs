//! General and floating-point registers, which only assembly can fill all at once.

use core::arch::{asm, global_asm};
use core::fmt;

/// A register that has changed.
pub struct Register(u64);

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            number @ 1..=28 => write!(f, "x{}", number - 1),
            number @ 33..=64 => write!(f, "v{}", number - 33),
            other => write!(f, "a control register ({other})"),
        }
    }
}

/// Turns floating point on at EL1 and EL0.
pub fn allow_floating_point() {
    // SAFETY: CPACR_EL1.FPEN only allows registers that this program, built without floating point, uses nowhere else.
    unsafe {
        asm!("msr cpacr_el1, {}", "isb", in(reg) 3_u64 << 20, options(nostack));
    }
}

/// Fills x0 to x27 with `seed` and numbers, v0 to v31 likewise, waits for a while, and names the first that has changed.
pub fn general_and_floating_point(seed: u64) -> Option<Register> {
    unsafe extern "C" {
        fn fill_and_look(seed: u64) -> u64;
    }
    // SAFETY: the function keeps what the procedure call standard wants kept, and floating point is allowed.
    let changed = unsafe { fill_and_look(seed) };
    (changed != 0).then_some(Register(changed))
}

global_asm!(
    r#"
    .arch_extension fp
    .arch_extension simd

// x0: the seed. Returns 0, or 1 + n for x<n>, or 33 + n for v<n>.
fill_and_look:
    stp     x19, x20, [sp, #-96]!
    stp     x21, x22, [sp, #16]
    stp     x23, x24, [sp, #32]
    stp     x25, x26, [sp, #48]
    stp     x27, x28, [sp, #64]
    stp     x29, x30, [sp, #80]
    mov     x28, x0
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27
    add     x\n, x28, #\n
    .endr
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    add     x30, x28, #\n
    dup     v\n\().2d, x30
    .endr
    mov     x29, #65536
1:  subs    x29, x29, #1
    b.ne    1b
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27
    mov     x29, #(1 + \n)
    sub     x30, x\n, x28
    cmp     x30, #\n
    b.ne    2f
    .endr
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    mov     x29, #(33 + \n)
    umov    x30, v\n\().d[0]
    sub     x30, x30, x28
    cmp     x30, #\n
    b.ne    2f
    umov    x30, v\n\().d[1]
    sub     x30, x30, x28
    cmp     x30, #\n
    b.ne    2f
    .endr
    mov     x29, #0
2:  mov     x0, x29
    ldp     x29, x30, [sp, #80]
    ldp     x27, x28, [sp, #64]
    ldp     x25, x26, [sp, #48]
    ldp     x23, x24, [sp, #32]
    ldp     x21, x22, [sp, #16]
    ldp     x19, x20, [sp], #96
    ret

    .arch_extension nosimd
    .arch_extension nofp
"#
);
