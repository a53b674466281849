//! The world switch: VMRUN with all registers of both sides (AMD APM volume 2, 15.5).

use core::arch::{asm, global_asm};

use model::x86::Handover;
use x86_64::registers::control::{Cr4, Cr4Flags, Efer, EferFlags};
use x86_64::registers::model_specific::Msr;
use x86_port::svm::vmcb::Vmcb;

global_asm!(
    r#"
    .pushsection .text.world, "ax"
    /* extern "C" fn(blocks: rdi, by address, calls: esi). The global interrupt flag is clear from before the guest's state is loaded until the host's is
       back: no NMI finds a mixture. One that came since the caller looked is noticed here; one that comes later waits for VMRUN, and ends
       it. */
    .global bulkhead_enter
bulkhead_enter:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq %rdi
    movq %rdi, %rax
    clgi
    cmpl %esi, bulkhead_calls(%rip)
    jne 1f
    movq 0x1000(%rdi), %rbx
    movq 0x1008(%rdi), %rcx
    movq 0x1010(%rdi), %rdx
    movq 0x1018(%rdi), %rsi
    movq 0x1028(%rdi), %rbp
    movq 0x1030(%rdi), %r8
    movq 0x1038(%rdi), %r9
    movq 0x1040(%rdi), %r10
    movq 0x1048(%rdi), %r11
    movq 0x1050(%rdi), %r12
    movq 0x1058(%rdi), %r13
    movq 0x1060(%rdi), %r14
    movq 0x1068(%rdi), %r15
    movq 0x1020(%rdi), %rdi
    vmload %rax
    vmrun %rax
    vmsave %rax
    popq %rax
    movq %rbx, 0x1000(%rax)
    movq %rcx, 0x1008(%rax)
    movq %rdx, 0x1010(%rax)
    movq %rsi, 0x1018(%rax)
    movq %rdi, 0x1020(%rax)
    movq %rbp, 0x1028(%rax)
    movq %r8, 0x1030(%rax)
    movq %r9, 0x1038(%rax)
    movq %r10, 0x1040(%rax)
    movq %r11, 0x1048(%rax)
    movq %r12, 0x1050(%rax)
    movq %r13, 0x1058(%rax)
    movq %r14, 0x1060(%rax)
    movq %r15, 0x1068(%rax)
    addq $0x2000, %rax
    vmload %rax
2:  stgi
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret

    /* As if the guest had been entered and an NMI had ended that at once: EXITCODE, and the event that was to be injected. */
1:  addq $8, %rsp
    movq $0x61, 0x70(%rax)
    movq 0xa8(%rax), %rcx
    movq %rcx, 0x88(%rax)
    jmp 2b
    .popsection
    "#,
    options(att_syntax)
);

unsafe extern "C" {
    fn bulkhead_enter(blocks: *mut Blocks, calls: u32);
}

/// General registers of a guest that the control block does not have: all but RAX and RSP. The assembly knows their order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    /// RBX.
    pub rbx: u64,
    /// RCX.
    pub rcx: u64,
    /// RDX.
    pub rdx: u64,
    /// RSI.
    pub rsi: u64,
    /// RDI, RBP, R8 to R15.
    others: [u64; 10],
}

impl Registers {
    /// All zero.
    pub const ZERO: Self = Self {
        rbx: 0,
        rcx: 0,
        rdx: 0,
        rsi: 0,
        others: [0; 10],
    };

    /// All zero but the register in which the boot protocol has its start information.
    pub const fn at_entry(handover: Handover, start_info: u64) -> Self {
        match handover {
            Handover::Pvh => Self {
                rbx: start_info,
                ..Self::ZERO
            },
            Handover::Linux => Self {
                rsi: start_info,
                ..Self::ZERO
            },
        }
    }
}

/// A page for the CPU's own use.
#[repr(C, align(4096))]
struct Page([u8; 4096]);

/// What a pCPU's world switch works on. The assembly knows where each part is.
#[repr(C)]
pub struct Blocks {
    /// The guest's control block.
    pub guest: Vmcb,
    /// The guest's other registers.
    pub registers: Registers,
    /// FS, GS, TR, LDTR and the system call registers of the hypervisor.
    host: Vmcb,
    /// Where VMRUN saves the rest of the hypervisor's state (15.30.4).
    saved: Page,
}

const _: () = assert!(core::mem::offset_of!(Blocks, registers) == 0x1000);
const _: () = assert!(core::mem::offset_of!(Blocks, host) == 0x2000);

impl Blocks {
    /// Empty ones.
    pub const NEW: Self = Self {
        guest: Vmcb::ZERO,
        registers: Registers::ZERO,
        host: Vmcb::ZERO,
        saved: Page([0; 4096]),
    };

    /// Enables SVM on this CPU, for these blocks.
    ///
    /// # Safety
    /// The CPU has SVM, and its descriptor tables are loaded.
    pub unsafe fn enable(&'static mut self) -> &'static mut Self {
        /// VM_HSAVE_PA.
        const HOST_SAVE: u32 = 0xc001_0117;
        // SAFETY: the caller says that the CPU has SVM; the pages are mapped where they are, and nobody else uses them.
        unsafe {
            Efer::update(|efer| efer.insert(EferFlags::SECURE_VIRTUAL_MACHINE_ENABLE));
            Msr::new(HOST_SAVE).write((&raw const self.saved) as u64);
            asm!("vmsave rax", in("rax") &raw mut self.host, options(nostack));
        }
        self
    }

    /// Runs the guest until it exits. When there were more than `calls` [`calls`](crate::exceptions::calls), that is at once.
    pub fn enter(&mut self, calls: u32) {
        // SAFETY: the blocks are mapped where they are, are this CPU's own, and the permission maps and nested tables that the guest's
        // names are those that `run` built. Interrupts are masked in the hypervisor.
        unsafe { bulkhead_enter(self, calls) }
    }
}

/// Floating-point and vector registers, and the debug registers that no control block has, as after reset. A guest finds nothing there of the one
/// before it.
pub fn reset_extended_state() {
    /// An FXSAVE area: control word and MXCSR as after INIT, all registers zero.
    #[repr(C, align(16))]
    struct Area([u32; 128]);
    static FRESH: Area = {
        let mut area = [0; 128];
        area[0] = 0x037f;
        area[6] = 0x1f80;
        Area(area)
    };
    // SAFETY: the hypervisor uses none of these registers. FXRSTOR loads the vector registers only with CR4.OSFXSR; XSETBV needs OSXSAVE, and
    // 1 is a value that every CPU with XSAVE takes.
    unsafe {
        let kept = Cr4::read();
        let has_xsave = crate::cpu::cpuid(1, 0).ecx >> 26 & 1 != 0;
        Cr4::write(kept | Cr4Flags::OSFXSR);
        asm!("fxrstor [{}]", in(reg) &raw const FRESH, options(nostack, readonly));
        if has_xsave {
            reset_by_xrstor();
        }
        Cr4::write(kept);
        for_debug_registers();
    }
}

/// The upper halves of the vector registers and everything else that XSAVE knows, then XCR0.
///
/// # Safety
/// The CPU has XSAVE.
unsafe fn reset_by_xrstor() {
    /// An XSAVE area in which no component is present: XRSTOR puts each that it is asked for into its initial state.
    #[repr(C, align(64))]
    struct Empty([u8; 576]);
    static EMPTY: Empty = Empty([0; 576]);
    // SAFETY: the caller says that the CPU has XSAVE; XCR0 names what it supports, so all of it is restored. The area's header is zero.
    unsafe {
        Cr4::update(|cr4| cr4.insert(Cr4Flags::OSXSAVE));
        asm!(
            "xrstor [{area}]",
            area = in(reg) &raw const EMPTY,
            in("eax") u32::MAX,
            in("edx") u32::MAX,
            options(nostack, readonly)
        );
        asm!("xsetbv", in("ecx") 0, in("eax") 1, in("edx") 0, options(nostack, nomem));
    }
}

/// # Safety
/// DR7 is 0 in the hypervisor: no breakpoint is armed.
unsafe fn for_debug_registers() {
    // SAFETY: without an armed breakpoint these registers have no effect.
    unsafe {
        asm!(
            "mov dr0, {zero}",
            "mov dr1, {zero}",
            "mov dr2, {zero}",
            "mov dr3, {zero}",
            zero = in(reg) 0u64,
            options(nostack, nomem)
        );
    }
}
