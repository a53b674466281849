//! Descriptor tables of a pCPU. An exception in the hypervisor is a defect; an NMI is another pCPU's call; an interrupt is left over from a
//! partition that was stopped.

use core::arch::global_asm;
use core::sync::atomic::{AtomicU32, Ordering};

use x86_64::VirtAddr;
use x86_64::instructions::segmentation::{CS, DS, ES, SS, Segment};
use x86_64::instructions::tables::{lidt, load_tss};
use x86_64::structures::DescriptorTablePointer;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable};
use x86_64::structures::tss::TaskStateSegment;

use crate::epitaph;

global_asm!(
    r#"
    .pushsection .text.exceptions, "ax"
    /* Vectors 0 to 31, 16 bytes each. */
    .balign 16
    .global bulkhead_exceptions
bulkhead_exceptions:
    .irp vector, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    .balign 16
    pushq $\vector
    jmp bulkhead_exception
    .endr

bulkhead_exception:
    cli
    movq %rsp, %rdi
    movq %cr2, %rsi
    andq $-16, %rsp
    call bulkhead_defect
    ud2

    /* An NMI is how pCPUs call one another, and how DMA faults are told. It is counted, for the loop of exits to see, or it is the end. */
    .global bulkhead_nmi
bulkhead_nmi:
    cmpb $0, bulkhead_ended(%rip)
    jne 1f
    lock incl bulkhead_calls(%rip)
    pushq %rax
    pushq %rcx
    movq 16(%rsp), %rax
    leaq bulkhead_wait_for_interrupt(%rip), %rcx
    subq %rcx, %rax
    cmpq $(bulkhead_waited - bulkhead_wait_for_interrupt), %rax
    jae 2f
    leaq bulkhead_waited(%rip), %rcx
    jmp 3f
    /* On the way into a guest of Intel's: it is not entered. */
2:  movq 16(%rsp), %rax
    leaq bulkhead_vmx_window(%rip), %rcx
    cmpq %rcx, %rax
    jb 4f
    leaq bulkhead_vmx_window_end(%rip), %rcx
    cmpq %rcx, %rax
    jae 4f
    leaq bulkhead_vmx_called(%rip), %rcx
3:  movq %rcx, 16(%rsp)
4:  popq %rcx
    popq %rax
    iretq
1:  hlt
    jmp 1b

    /* extern "C" fn(calls: edi): halts until there were more calls than these, or an interrupt was pending, which is taken. An NMI that comes between the
       look and HLT goes on behind it; an interrupt comes with HLT, for which STI holds it back. */
    .global bulkhead_wait_for_interrupt
bulkhead_wait_for_interrupt:
    cmpl %edi, bulkhead_calls(%rip)
    jne bulkhead_waited
    sti
    hlt
    jmp bulkhead_waited

    /* The same without interrupts. */
    .global bulkhead_wait
bulkhead_wait:
    cmpl %edi, bulkhead_calls(%rip)
    jne bulkhead_waited
    hlt
bulkhead_waited:
    cli
    ret

    /* An interrupt: ended, and forgotten. */
    .global bulkhead_interrupt
bulkhead_interrupt:
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
    .popsection
    "#,
    options(att_syntax)
);

/// NMIs so far, of all CPUs. The world switch does not enter a guest that the loop of exits let go on before it had seen the last one.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "named for the assembly")]
static bulkhead_calls: AtomicU32 = AtomicU32::new(0);

/// How often a CPU was called.
pub fn calls() -> u32 {
    bulkhead_calls.load(Ordering::Acquire)
}

/// Waits until there are more calls than `seen`.
pub fn wait(seen: u32) {
    // SAFETY: the code is that above; NMIs return from it, and interrupts stay masked.
    unsafe { bulkhead_wait(seen) }
}

/// Waits until there are more calls than `seen`, or an interrupt was pending for this CPU. It has been taken then.
#[cfg(feature = "shared")]
pub fn wait_for_interrupt(seen: u32) {
    // SAFETY: the code is that above; NMIs and interrupts return from it, and the latter are masked again behind it.
    unsafe { bulkhead_wait_for_interrupt(seen) }
}

unsafe extern "C" {
    #[cfg(feature = "shared")]
    fn bulkhead_wait_for_interrupt(calls: u32);
    fn bulkhead_wait(calls: u32);
    static bulkhead_exceptions: u8;
    static bulkhead_nmi: u8;
    static bulkhead_interrupt: u8;
}

/// Which stack of the TSS an exception is taken on: 1. The CPU's own may be what is broken.
const OWN_STACK: u64 = 1;
const STACK_BYTES: usize = 4096;

/// An interrupt gate (AMD APM volume 2, 4.8.4).
const fn gate(handler: u64, selector: u16, stack: u64) -> [u64; 2] {
    /// Present, 64-bit interrupt gate.
    const KIND: u64 = 0x8e << 40;
    let low = handler & 0xffff | (selector as u64) << 16 | stack << 32 | KIND;
    [low | (handler >> 16 & 0xffff) << 48, handler >> 32]
}

/// The tables of one pCPU.
#[repr(C, align(16))]
pub struct Tables {
    idt: [[u64; 2]; 256],
    stack: [u8; STACK_BYTES],
    tss: TaskStateSegment,
    gdt: GlobalDescriptorTable,
}

impl Tables {
    /// Empty ones.
    pub const fn new() -> Self {
        Self {
            idt: [[0; 2]; 256],
            stack: [0; STACK_BYTES],
            tss: TaskStateSegment::new(),
            gdt: GlobalDescriptorTable::new(),
        }
    }

    /// Fills the tables and hands them to this CPU, for ever.
    pub fn load(&'static mut self) {
        let top = (&raw const self.stack) as u64 + STACK_BYTES as u64;
        self.tss.interrupt_stack_table = [VirtAddr::new(top); 7];
        let Self { idt, tss, gdt, .. } = self;
        let code = gdt.append(Descriptor::kernel_code_segment());
        let data = gdt.append(Descriptor::kernel_data_segment());
        let task = gdt.append(Descriptor::tss_segment(tss));
        let exceptions = &raw const bulkhead_exceptions as u64;
        let nmi = &raw const bulkhead_nmi as u64;
        let interrupt = &raw const bulkhead_interrupt as u64;
        for (vector, entry) in (0..).zip(&mut *idt) {
            *entry = match vector {
                2 => gate(nmi, code.0, OWN_STACK),
                0..32 => gate(exceptions + vector * 16, code.0, OWN_STACK),
                _ => gate(interrupt, code.0, 0),
            };
        }
        let pointer = DescriptorTablePointer {
            limit: (size_of_val(idt) - 1) as u16,
            base: VirtAddr::new((&raw const *idt) as u64),
        };
        gdt.load();
        // SAFETY: the table that was just loaded has these descriptors; the gates point to code that ends or returns by IRETQ.
        unsafe {
            CS::set_reg(code);
            SS::set_reg(data);
            DS::set_reg(data);
            ES::set_reg(data);
            load_tss(task);
            lidt(&pointer);
        }
    }
}

/// An exception in the hypervisor: called by the assembly with what the CPU pushed, below it the vector.
#[unsafe(no_mangle)]
extern "C" fn bulkhead_defect(frame: *const u64, address: u64) -> ! {
    /// Exceptions with an error code (8.2), by vector.
    const WITH_CODE: u64 = 1 << 8 | 0x1f << 10 | 1 << 17 | 1 << 21 | 0b11 << 29;
    // SAFETY: the assembly passes its stack pointer: vector, error code if there is one, RIP, CS, RFLAGS, RSP, SS.
    let [vector, first, second, ..] = unsafe { *frame.cast::<[u64; 6]>() };
    let (code, rip) = if WITH_CODE >> (vector & 31) & 1 != 0 {
        (first, second)
    } else {
        (0, first)
    };
    epitaph::exception(vector, code, rip, address)
}
