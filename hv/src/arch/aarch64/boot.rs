//! From the first instruction to Rust, on the boot CPU and on every other one.
//!
//! The image is linked at [`IMAGE_VA`] and may be loaded at any multiple of 2 MiB. It is entered as the Linux boot protocol says
//! (x0 = device tree, MMU off, caches off), walks on position-independent code to a provisional map of 2 MiB blocks, and goes on at its
//! linked addresses. Rust then builds the real map, page by page, and every CPU enters that one through the trampoline, which is in the
//! image's first page: the single page that is mapped at its physical address too, because a CPU that turns its MMU on needs its next
//! instruction in both worlds.

use core::arch::global_asm;

use crate::memory::stage1::{MAIR, stage1_control};

/// Virtual address of the image's first byte: the last 512 GiB of the 48-bit space, where no board has devices or memory.
pub const IMAGE_VA: u64 = 0x0000_ff80_0000_0000;

/// Bytes of each pCPU's stack, with the guard page below it: the stack itself has 12 KiB.
pub const STACK_STRIDE: usize = 16384;

/// `SCTLR_EL2` (Arm ARM D19.2.130): MMU, data and instruction caches, stack alignment check, write implies execute-never; RES1 bits.
const SYSTEM_CONTROL: u64 = SYSTEM_CONTROL_RES1 | 1 << 19 | 1 << 12 | 1 << 3 | 1 << 2 | 1;
/// Without WXN: the provisional map is writable and executable.
const SYSTEM_CONTROL_PROVISIONAL: u64 = SYSTEM_CONTROL_RES1 | 1 << 12 | 1 << 3 | 1 << 2 | 1;
const SYSTEM_CONTROL_RES1: u64 = 0x30c5_0830;

/// A block of normal memory in the provisional map: AF, inner shareable, AP[1], AttrIndx 1.
const PROVISIONAL_BLOCK: u64 = 1 << 10 | 3 << 8 | 1 << 6 | 1 << 2 | 1;

/// A block of Device memory in the provisional map: AF, AP[1], AttrIndx 0.
const PROVISIONAL_DEVICE_BLOCK: u64 = 1 << 10 | 1 << 6 | 1;

/// Header of an arm64 Image (Linux Documentation/arch/arm64/booting.rst).
#[cfg(not(feature = "efi"))]
macro_rules! image_header {
    () => {
        r#"
    b       bulkhead_primary
    .long   0
    .quad   0                           // text_offset
    .quad   0                           // image_size: written when the image is packed
    .quad   0xa                         // little endian, 4 KiB pages, anywhere in memory
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   0
"#
    };
}
#[cfg(feature = "efi")]
use super::efi::image_header;

global_asm!(
    r#"
    .section .text.head, "ax"
    .global _start
_start:
"#,
    image_header!(),
    r#"
bulkhead_primary:
    msr     daifset, #0xf
    mrs     x1, currentel
    cmp     x1, #(2 << 2)
    b.ne    bulkhead_wrong_level
    mov     x27, x0                     // device tree
    adrp    x28, _start                 // where the image is
    tst     x28, #0x1fffff
    b.ne    bulkhead_misaligned
    // HCR_EL2: EL1 is AArch64; no VHE, whatever firmware left.
    mov     x1, #(1 << 31)
    msr     hcr_el2, x1
    isb

    // Provisional map. Level 0: the image's address and the loader's. The five tables are zero in the image.
    adrp    x10, bulkhead_provisional   // level 0
    add     x10, x10, :lo12:bulkhead_provisional
    add     x11, x10, #0x1000           // level 1, identity
    add     x12, x10, #0x2000           // level 1, image
    add     x13, x10, #0x3000           // level 2, image
    orr     x1, x11, #3
    ubfx    x2, x28, #39, #9
    str     x1, [x10, x2, lsl #3]
    orr     x1, x12, #3
    mov     x2, #511
    str     x1, [x10, x2, lsl #3]
    mov     x3, #{block}
    and     x1, x28, #~0x3fffffff
    orr     x1, x1, x3
    ubfx    x2, x28, #30, #9
    str     x1, [x11, x2, lsl #3]
    orr     x1, x13, #3
    str     x1, [x12]
    orr     x1, x28, x3
    mov     x2, #0
1:  str     x1, [x13, x2, lsl #3]
    add     x1, x1, #0x200000
    add     x2, x2, #1
    cmp     x2, #{image_blocks}
    b.lo    1b
    // The UART's gigabyte as Device memory (AttrIndx 0), so that whatever goes wrong next can be told.
    adrp    x2, bulkhead_early_uart
    ldr     x2, [x2, :lo12:bulkhead_early_uart]
    ubfx    x4, x2, #39, #9
    ubfx    x5, x28, #39, #9
    mov     x6, x11
    cmp     x4, x5
    b.eq    5f
    add     x6, x10, #0x4000
    orr     x1, x6, #3
    str     x1, [x10, x4, lsl #3]
5:  ubfx    x4, x2, #30, #9
    ldr     x1, [x6, x4, lsl #3]
    cbnz    x1, 6f
    and     x1, x2, #~0x3fffffff
    mov     x3, #{device_block}
    movk    x3, #0x40, lsl #48          // XN: no fetch ahead into registers
    orr     x1, x1, x3
    str     x1, [x6, x4, lsl #3]
6:
    // The loader may have left lines of these pages in a cache; the tables were written behind it.
    dsb     sy
    mrs     x3, ctr_el0
    ubfx    x3, x3, #16, #4
    mov     x4, #4
    lsl     x3, x4, x3
    mov     x1, x10
    add     x2, x10, #0x5000
4:  dc      ivac, x1
    add     x1, x1, x3
    cmp     x1, x2
    b.lo    4b
    dsb     sy
    mov     x0, x10
    mov     x1, #{sctlr_provisional_low}
    movk    x1, #{sctlr_provisional_high}, lsl #16
    bl      bulkhead_mmu_on
    ldr     x1, =bulkhead_primary_mapped
    br      x1
bulkhead_primary_mapped:
    ldr     x1, =bulkhead_boot_stack_top
    ldr     x1, [x1]
    mov     sp, x1
    mov     x29, #0
    mov     x30, #0
    mov     x0, x27
    mov     x1, x28
    ldr     x2, =bulkhead_boot
    br      x2

bulkhead_wrong_level:
    adr     x0, bulkhead_text_level
    b       bulkhead_early_stop
bulkhead_misaligned:
    adr     x0, bulkhead_text_misaligned
bulkhead_early_stop:
    // The MMU is off: the UART's registers are Device memory at their physical address.
    adrp    x1, bulkhead_early_uart
    ldr     x1, [x1, :lo12:bulkhead_early_uart]
    cbz     x1, 3f
2:  ldrb    w2, [x0], #1
    cbz     w2, 3f
    bl      bulkhead_early_put
    b       2b
3:  wfi
    b       3b
bulkhead_text_level:
    .asciz  "[hv] stop: this image must be entered at EL2; on QEMU virt add virtualization=on, elsewhere look at what starts it\r\n"
bulkhead_text_misaligned:
    .asciz  "[hv] stop: this image must be loaded at a multiple of 2 MiB\r\n"

    // The trampoline: in a page that is mapped at its physical address as well.
    .balign 8
// x0: table, x1: SCTLR_EL2. Clobbers x2, x3. The MMU is off.
bulkhead_mmu_on:
    mov     x2, #{mair}
    msr     mair_el2, x2
    mov     x2, #{tcr_low}
    movk    x2, #{tcr_high}, lsl #16
    mrs     x3, id_aa64mmfr0_el1
    and     x3, x3, #0xf
    cmp     x3, #5                      // 48 bits are enough
    mov     x4, #5
    csel    x3, x3, x4, ls
    bfi     x2, x3, #16, #3
    msr     tcr_el2, x2
    msr     ttbr0_el2, x0
    tlbi    alle2
    dsb     sy
    isb
    msr     sctlr_el2, x1
    isb
    ret

// x0: the real table, x30: where to go on (virtual). Called at the physical address.
bulkhead_switch_map:
    mrs     x1, sctlr_el2
    bic     x1, x1, #1
    msr     sctlr_el2, x1
    isb
    mov     x5, x30
    mov     x1, #{sctlr_low}
    movk    x1, #{sctlr_high}, lsl #16
    bl      bulkhead_mmu_on
    ret     x5

// Where PSCI starts the other CPUs: x0 = index of the pCPU.
    .global bulkhead_secondary
bulkhead_secondary:
    msr     daifset, #0xf
    mov     x27, x0
    mov     x1, #(1 << 31)
    msr     hcr_el2, x1
    adrp    x1, bulkhead_real_map
    ldr     x0, [x1, :lo12:bulkhead_real_map]
    mov     x1, #{sctlr_low}
    movk    x1, #{sctlr_high}, lsl #16
    bl      bulkhead_mmu_on
    ldr     x2, =bulkhead_stacks_base
    ldr     x2, [x2]
    add     x1, x27, #1
    mov     x3, #{stack_stride}
    madd    x2, x1, x3, x2
    mov     sp, x2
    mov     x29, #0
    mov     x30, #0
    mov     x0, x27
    ldr     x2, =bulkhead_secondary_main
    br      x2
    .ltorg
    .global __boot_end
__boot_end:

    .section .bss.provisional, "aw", @nobits
    .balign 4096
bulkhead_provisional:
    .skip   5 * 4096
"#,
    block = const PROVISIONAL_BLOCK,
    device_block = const PROVISIONAL_DEVICE_BLOCK,
    image_blocks = const PROVISIONAL_BLOCKS,
    mair = const MAIR,
    tcr_low = const stage1_control(0) & 0xffff,
    tcr_high = const (stage1_control(0) >> 16) & 0xffff,
    sctlr_low = const SYSTEM_CONTROL & 0xffff,
    sctlr_high = const SYSTEM_CONTROL >> 16,
    sctlr_provisional_low = const SYSTEM_CONTROL_PROVISIONAL & 0xffff,
    sctlr_provisional_high = const SYSTEM_CONTROL_PROVISIONAL >> 16,
    stack_stride = const STACK_STRIDE,
);

/// Blocks of 2 MiB that the provisional map gives the image, without its payload.
const PROVISIONAL_BLOCKS: u64 = 2;

unsafe extern "C" {
    fn bulkhead_switch_map(table: u64);
    fn bulkhead_secondary();
}

/// The real map's physical address, for CPUs whose MMU is still off.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "named for the assembly")]
static bulkhead_real_map: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0);

/// Physical address of a byte of the image.
pub const fn physical(va: u64, load: u64) -> u64 {
    va - IMAGE_VA + load
}

/// Virtual address of the page with the trampoline.
pub const TRAMPOLINE_PAGE: u64 = IMAGE_VA;

/// Physical address at which PSCI must start other CPUs.
pub fn secondary_entry(load: u64) -> u64 {
    physical(bulkhead_secondary as *const () as u64, load)
}

/// Enters the real map and remembers it for the other CPUs.
///
/// # Safety
/// `table` is the physical address of a level-0 table that maps the whole image at its linked addresses as it is mapped now, and the
/// trampoline page at its physical address, executable. `load` is where the image lies.
pub unsafe fn enter_real_map(table: u64, load: u64) {
    bulkhead_real_map.store(table, core::sync::atomic::Ordering::Relaxed);
    super::cache::clean((&raw const bulkhead_real_map) as u64, 8);
    let switch = physical(bulkhead_switch_map as *const () as u64, load);
    // SAFETY: the provisional map has the trampoline at its physical address, and the caller guarantees that the real one has it too.
    unsafe {
        core::arch::asm!(
            "blr {switch}",
            switch = in(reg) switch,
            inout("x0") table => _,
            out("x1") _, out("x2") _, out("x3") _, out("x4") _, out("x5") _, out("x30") _,
        );
    }
}
