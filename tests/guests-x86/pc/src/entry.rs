//! The first instructions, and the exceptions that a guest expects.

use core::arch::global_asm;

global_asm!(
    r#"
    .pushsection .text.head, "ax"
    .code32
    .global guest_entry
guest_entry:
    movl $guest_stack_top, %esp
    movl %ebx, %ebp
    /* The first 4 GiB as they are, by pages of 2 MiB. */
    movl $(guest_tables + 4096 + 3), guest_tables
    movl $(guest_tables + 8192 + 3), %eax
    movl $(guest_tables + 4096), %edi
    movl $4, %ecx
1:  movl %eax, (%edi)
    addl $4096, %eax
    addl $8, %edi
    loop 1b
    movl $0x83, %eax
    movl $(guest_tables + 8192), %edi
    movl $2048, %ecx
2:  movl %eax, (%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 2b
    xorl %esi, %esi
    jmp 6f

    /* The second CPU comes here from its startup page, in 32-bit protected mode. */
guest_second_32:
    movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $guest_second_stack_top, %esp
    movl $1, %esi

6:  movl $guest_tables, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $0x20, %eax
    movl %eax, %cr4
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    lgdtl guest_gdt_pointer
    ljmpl $8, $3f
    .code64
3:  movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    testl %esi, %esi
    jnz 7f
    /* Every vector to one place; then #UD, NMI, #GP, the timer, and calls of the other CPU. */
    movl $guest_idt, %edi
    movl $256, %ecx
4:  movq $guest_unexpected, %rax
    call guest_gate
    loop 4b
    movl $(guest_idt + 6 * 16), %edi
    movq $guest_undefined, %rax
    call guest_gate
    movl $(guest_idt + 2 * 16), %edi
    movq $guest_non_maskable, %rax
    call guest_gate
    movl $(guest_idt + 13 * 16), %edi
    movq $guest_protection, %rax
    call guest_gate
    movl $(guest_idt + 0x40 * 16), %edi
    movq $guest_timer, %rax
    call guest_gate
    movl $(guest_idt + 0x41 * 16), %edi
    movq $guest_call, %rax
    call guest_gate
    lidt guest_idt_pointer
    movl %ebp, %edi
    xorl %ebp, %ebp
    call guest_main
    ud2
7:  lidt guest_idt_pointer
    xorl %ebp, %ebp
    call guest_second
    ud2

    /* Copied to the startup page: real mode to 32-bit protected mode. Segments begin at the page. */
    .code16
    .global guest_startup
guest_startup:
    cli
    movw %cs, %ax
    movw %ax, %ds
    lgdtl guest_startup_gdt - guest_startup
    movl %cr0, %eax
    andl $0x9fffffff, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $24, $guest_second_32
    .balign 4
guest_startup_gdt:
    .word 31
    .long guest_gdt
    .global guest_startup_end
guest_startup_end:
    .code64

    /* Writes the gate to RAX at RDI, and moves on. Changes RDX. */
guest_gate:
    movl %eax, %edx
    andl $0xffff, %edx
    orl $(8 << 16), %edx
    movl %edx, (%rdi)
    andl $0xffff0000, %eax
    orl $0x8e00, %eax
    movl %eax, 4(%rdi)
    movq $0, 8(%rdi)
    addl $16, %edi
    ret

    /* #UD and #GP of an attempt: RDX says so, and the attempt returns. Of anything else: the end. */
guest_undefined:
    pushq $0
guest_protection:
    pushq %rax
    movq 16(%rsp), %rax
    .irp attempt, read, write, rdmsr, wrmsr, vmrun, clgi, vmxon, cr4, xsetbv
    cmpq $guest_try_\attempt, %rax
    je 5f
    .endr
    popq %rax
    jmp guest_unexpected
5:  movq $guest_tried, %rax
    movq %rax, 16(%rsp)
    popq %rax
    movl $1, %edx
    addq $8, %rsp
    iretq

guest_unexpected:
    movq (%rsp), %rdi
    movq 8(%rsp), %rsi
    andq $-16, %rsp
    call guest_exception
    ud2

    /* A non-maskable interrupt: counted. */
guest_non_maskable:
    lock incq guest_non_maskables
    iretq

    /* The APIC's timer, a call of the other CPU: counted, ended. */
guest_timer:
    lock incq guest_ticks
    jmp guest_end
guest_call:
    lock incq guest_calls
guest_end:
    pushq %rax
    pushq %rcx
    pushq %rdx
    movl $0x80b, %ecx
    xorl %eax, %eax
    xorl %edx, %edx
    wrmsr
    popq %rdx
    popq %rcx
    popq %rax
    iretq

    /* Attempts: RDI and RSI go in, RAX comes out; RDX is 1 after a fault. */
    .global guest_attempt_read, guest_attempt_write, guest_attempt_rdmsr, guest_attempt_wrmsr, guest_attempt_vmrun, guest_attempt_clgi
    .global guest_attempt_vmxon, guest_attempt_cr4, guest_attempt_xsetbv
guest_attempt_read:
    xorl %edx, %edx
guest_try_read:
    movq (%rdi), %rax
    ret
guest_attempt_write:
    xorl %edx, %edx
guest_try_write:
    movq %rsi, (%rdi)
    ret
guest_attempt_rdmsr:
    movl %edi, %ecx
guest_try_rdmsr:
    rdmsr
    shlq $32, %rdx
    orq %rdx, %rax
    xorl %edx, %edx
    ret
guest_attempt_wrmsr:
    movl %edi, %ecx
    movl %esi, %eax
    movq %rsi, %rdx
    shrq $32, %rdx
guest_try_wrmsr:
    wrmsr
    xorl %edx, %edx
    ret
guest_attempt_vmrun:
    xorl %edx, %edx
    movq %rdi, %rax
guest_try_vmrun:
    vmrun %rax
    ret
guest_attempt_clgi:
    xorl %edx, %edx
guest_try_clgi:
    clgi
    ret
guest_attempt_vmxon:
    xorl %edx, %edx
guest_try_vmxon:
    vmxon (%rdi)
    ret
guest_attempt_cr4:
    xorl %edx, %edx
guest_try_cr4:
    movq %rdi, %cr4
    ret
guest_attempt_xsetbv:
    xorl %ecx, %ecx
    movl %edi, %eax
    movq %rdi, %rdx
    shrq $32, %rdx
guest_try_xsetbv:
    xsetbv
    xorl %edx, %edx
    ret
guest_tried:
    ret
    .popsection

    .pushsection .rodata, "a"
    .balign 16
guest_gdt:
    .quad 0
    .quad 0x00af9b000000ffff
    .quad 0x00cf93000000ffff
    .quad 0x00cf9b000000ffff
guest_gdt_pointer:
    .word 31
    .quad guest_gdt
guest_idt_pointer:
    .word 4095
    .quad guest_idt
    .popsection

    .pushsection .bss, "aw", @nobits
    .balign 4096
guest_tables:
    .skip 4096 * 6
guest_idt:
    .skip 4096
    .skip 16384
guest_stack_top:
    .skip 16384
guest_second_stack_top:
    .global guest_ticks, guest_calls, guest_non_maskables
guest_ticks:
    .skip 8
guest_calls:
    .skip 8
guest_non_maskables:
    .skip 8
    .popsection
    "#,
    options(att_syntax)
);

/// An exception that nobody expects: called by the assembly.
#[unsafe(no_mangle)]
extern "C" fn guest_exception(first: u64, second: u64) -> ! {
    crate::println!("FAILED: unexpected exception, {first:#x} {second:#x}");
    crate::cpu::power_off()
}
