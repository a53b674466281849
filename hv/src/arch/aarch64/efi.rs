//! The image as an EFI application (UEFI 2.10, section 2.1; Microsoft PE format): the header of a PE file in that of an arm64 Image, as Linux has it, and the way
//! from firmware's map to the first instruction of the Linux boot protocol.

use core::arch::{asm, global_asm};

/// The first 64 bytes and a PE header. The first instruction is the letters `MZ` and changes only flags; sizes that depend on the payload are written when the image
/// is packed.
macro_rules! image_header {
    () => {
        r#"
    ccmp    x18, #0, #0xd, pl           // "MZ"
    b       bulkhead_primary
    .quad   0                           // text_offset
    .quad   0                           // image_size: written when the image is packed
    .quad   0xa                         // little endian, 4 KiB pages, anywhere in memory
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   bulkhead_pe - _start
bulkhead_pe:
    .ascii  "PE\0\0"
    .short  0xaa64, 2                   // arm64, two sections
    .long   0, 0, 0
    .short  bulkhead_pe_sections - bulkhead_pe_optional
    .short  0x206                       // executable, without line numbers and symbols
bulkhead_pe_optional:
    .short  0x20b                       // PE32+
    .byte   0, 0
    .long   __pe_text_size, 0, 0        // code; data: written when the image is packed
    .long   __pe_entry
    .long   0x1000                      // where code begins
    .quad   0                           // any address
    .long   0x1000, 0x1000              // alignment of sections in memory and file
    .short  0, 0, 0, 0, 0, 0
    .long   0
    .long   0                           // size of the image: written when the image is packed
    .long   0x1000                      // size of the headers
    .long   0
    .short  10, 0x100                   // EFI application; data need not be executable
    .quad   0, 0, 0, 0
    .long   0, 6
    .quad   0, 0, 0, 0, 0, 0
bulkhead_pe_sections:
    .ascii  ".text\0\0\0"
    .long   __pe_text_size, 0x1000, __pe_text_size, 0x1000, 0, 0, 0
    .long   0x60000020                  // code, read, execute
    .ascii  ".data\0\0\0"
    .long   0, __pe_data, 0, __pe_data, 0, 0, 0     // sizes: written when the image is packed
    .long   0xc0000040                  // data, read, write
    .balign 8
"#
    };
}
pub(super) use image_header;

global_asm!(
    r#"
    .section .text.efi, "ax"
// Entered by firmware: x0 = handle, x1 = system table. Returns a status to it when the image cannot be started.
    .global bulkhead_efi_entry
bulkhead_efi_entry:
    adrp    x2, _start
    b       bulkhead_efi

// x0: device tree, x1: where the image begins. Runs where the image was copied to, with firmware's map one to one.
bulkhead_efi_leave:
    msr     daifset, #0xf
    mov     x3, #0x1005                 // SCTLR_ELx: I, C, M
    mrs     x2, currentel
    cmp     x2, #(2 << 2)
    b.ne    1f
    mrs     x2, sctlr_el2
    bic     x2, x2, x3
    msr     sctlr_el2, x2
    b       2f
1:  mrs     x2, sctlr_el1
    bic     x2, x2, x3
    msr     sctlr_el1, x2
2:  isb
    ic      iallu
    dsb     sy
    isb
    br      x1
"#
);

unsafe extern "C" {
    fn bulkhead_efi_leave();
}

/// Leaves firmware's map and begins at `load`, where the image lies that lay at `base`, as the Linux boot protocol says.
///
/// # Safety
/// Firmware's boot services are over. `size` bytes from `load` on are memory that nobody else uses and hold the image; `tree` is the address of a device tree. Physical
/// addresses are virtual ones.
pub unsafe fn leave(tree: u64, load: u64, size: u64, base: u64) -> ! {
    // What comes next reads it past the caches.
    super::cache::clean(load, size);
    let leave = bulkhead_efi_leave as *const () as u64 - base + load;
    // SAFETY: the code at `leave` is a copy of this very image's, and executable by the caller's guarantee of firmware's map.
    unsafe {
        asm!("ic ialluis", "dsb ish", "isb", "br {leave}", leave = in(reg) leave, in("x0") tree, in("x1") load, options(noreturn));
    }
}
