//! The first instructions: from the PVH or the Multiboot2 entry on the boot CPU, and from real mode on the others, to long mode on a provisional
//! map.

use core::arch::global_asm;

use crate::storage::{PCPUS, STACK_SIZE};

/// Where the other CPUs begin: a page below 1 MiB, since they begin in real mode.
pub const TRAMPOLINE: u64 = 0x8000;

global_asm!(
    // The PVH entry point: note type 18 of "Xen", a 32-bit physical address (Xen public/elfnote.h).
    r#"
    .pushsection .note.pvh, "a", @note
    .balign 4
    .long 4, 4, 18
    .asciz "Xen"
    .long bulkhead_entry
    .popsection

    // The Multiboot2 header (Multiboot2 Specification 2.0, 3.1): 32-bit protected mode, tags for the memory map and for an entry of its own.
    .pushsection .text.multiboot2, "ax"
    .balign 8
    .global bulkhead_multiboot2
bulkhead_multiboot2:
    .long 0xe85250d6, 0, 5f - bulkhead_multiboot2, 0x100000000 - 0xe85250d6 - (5f - bulkhead_multiboot2)
    .short 1, 0
    .long 12, 6
    .balign 8
    .short 3, 0
    .long 12, bulkhead_multiboot2_entry
    .balign 8
    .short 0, 0
    .long 8
5:
    .popsection

    .pushsection .text.head, "ax"
    .code32
    .global bulkhead_entry
bulkhead_entry:
    /* Whose protocol it was, by the magic number of what the loader leaves; a Multiboot2 loader has it in EAX. */
    movl $0x336ec578, %eax
bulkhead_multiboot2_entry:
    cli
    cld
    movl $bulkhead_boot_stack_top, %esp
    movl (%esp), %esp
    movl %eax, %ebp

    /* The provisional map: the first 4 GiB as they are, by pages of 2 MiB, writable and executable. */
    movl $(bulkhead_provisional + 4096 + 3), bulkhead_provisional
    movl $(bulkhead_provisional + 8192 + 3), %eax
    movl $(bulkhead_provisional + 4096), %edi
    movl $4, %ecx
1:  movl %eax, (%edi)
    addl $4096, %eax
    addl $8, %edi
    loop 1b
    movl $0x83, %eax
    movl $(bulkhead_provisional + 8192), %edi
    movl $2048, %ecx
2:  movl %eax, (%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 2b
    xorl %ecx, %ecx
    jmp 3f

    /* The other CPUs come here from the trampoline, in 32-bit protected mode. */
bulkhead_secondary_32:
    movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl bulkhead_secondary_stack, %esp
    movl $1, %ecx

    /* Long mode: PAE, EFER.LME and NXE, then paging with write protection (AMD APM volume 2, 14.6). CX says which CPU this is. */
3:  movl %ecx, %esi
    movl $bulkhead_provisional, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $0x20, %eax
    movl %eax, %cr4
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x900, %eax
    wrmsr
    movl %cr0, %eax
    andl $0x9fffffff, %eax
    orl $0x80010001, %eax
    movl %eax, %cr0
    lgdtl bulkhead_gdt_pointer
    ljmpl $0x18, $4f
    .code64
4:  movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    xorl %eax, %eax
    movw %ax, %fs
    movw %ax, %gs
    testl %esi, %esi
    jnz 5f
    movl %ebp, %edi
    movl %ebx, %esi
    xorl %ebp, %ebp
    call bulkhead_boot
    ud2
5:  xorl %ebp, %ebp
    call bulkhead_secondary
    ud2

    /* Copied to the trampoline page: real mode to 32-bit protected mode. Segments begin at the page. */
    .code16
    .global bulkhead_trampoline
bulkhead_trampoline:
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    lgdtl bulkhead_trampoline_gdt - bulkhead_trampoline
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $0x08, $bulkhead_secondary_32
    .balign 4
bulkhead_trampoline_gdt:
    .word 31
    .long bulkhead_gdt
    .global bulkhead_trampoline_end
bulkhead_trampoline_end:
    .code64
    .popsection

    /* 32-bit code, data, 64-bit code; all flat. */
    .pushsection .rodata, "a"
    .balign 16
bulkhead_gdt:
    .quad 0
    .quad 0x00cf9b000000ffff
    .quad 0x00cf93000000ffff
    .quad 0x00af9b000000ffff
bulkhead_gdt_pointer:
    .word 31
    .quad bulkhead_gdt
    .popsection

    .pushsection .bss, "aw", @nobits
    .balign 4096
    .global bulkhead_provisional
bulkhead_provisional:
    .skip 4096 * 6
    .popsection
    "#,
    options(att_syntax)
);

unsafe extern "C" {
    static __image_start: u8;
    static __text_end: u8;
    static __rodata_end: u8;
    static __bss_end: u8;
    static __payload_start: u8;
    static bulkhead_trampoline: u8;
    static bulkhead_trampoline_end: u8;
}

/// Edges of the image, in ascending order.
pub struct Edges {
    /// First byte.
    pub start: u64,
    /// End of the code.
    pub text: u64,
    /// End of the constants.
    pub constants: u64,
    /// End of the variables; stacks follow.
    pub variables: u64,
    /// End of the stacks; the payload follows.
    pub payload: u64,
}

/// Where the image lies.
pub fn edges() -> Edges {
    Edges {
        start: &raw const __image_start as u64,
        text: &raw const __text_end as u64,
        constants: &raw const __rodata_end as u64,
        variables: &raw const __bss_end as u64,
        payload: &raw const __payload_start as u64,
    }
}

/// The trampoline's instructions, where the linker put them, and their length.
pub fn trampoline() -> (*const u8, usize) {
    let start = &raw const bulkhead_trampoline;
    let end = &raw const bulkhead_trampoline_end;
    (start, end as usize - start as usize)
}

/// Top of the stack on which the next CPU begins. One starts at a time.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "named for the assembly")]
pub static bulkhead_secondary_stack: core::sync::atomic::AtomicU64 =
    core::sync::atomic::AtomicU64::new(0);

/// For the assembly: an address.
#[repr(transparent)]
struct Address(*const u8);

// SAFETY: an address is only a number here.
unsafe impl Sync for Address {}

#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "named for the assembly")]
static bulkhead_boot_stack_top: Address =
    // SAFETY: one past the last element of the array.
    Address(unsafe { (&raw const crate::storage::STACKS).add(1) }.cast());

const _: () = assert!(PCPUS >= 1 && STACK_SIZE.is_power_of_two());
