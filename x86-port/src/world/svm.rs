//! AMD's world switch: VMRUN with all registers of both sides (AMD APM volume 2, 15.5).

use core::arch::{asm, global_asm};

use model::PartitionId;
use static_cell::ConstStaticCell;
use x86_64::registers::control::{Efer, EferFlags};
use x86_64::registers::model_specific::Msr;
use x86_port::svm::guest::Guest;
use x86_port::svm::permissions::{IoPermissions, MsrPermissions};
use x86_port::svm::vmcb::Vmcb;

use super::World;
use super::msr_maps::MsrMaps;
use crate::storage::PCPUS;

global_asm!(
    r#"
    .pushsection .text.world, "ax"
    /* extern "C" fn(guest: rdi, host: rsi, calls: edx). The global interrupt flag is clear from before the guest's state is loaded until the host's is
       back: no NMI finds a mixture. One that came since the caller looked is noticed here; one that comes later waits for VMRUN, and ends
       it. */
    .macro bulkhead_switch name, before, after
    .global \name
\name:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq %rsi
    movq %rdi, %rax
    clgi
    cmpl %edx, bulkhead_calls(%rip)
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
    \before
    vmrun %rax
    \after
    /* RAX is the hypervisor's again. */
    vmsave %rax
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
    popq %rax
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
    .endm

    bulkhead_switch bulkhead_enter, "", ""
    /* The host's interrupt flag decides whether the physical CPU's interrupts exit (15.21.1): set from behind CLGI on, clear before STGI. */
    bulkhead_switch bulkhead_enter_shared, sti, cli
    .popsection
    "#,
    options(att_syntax)
);

unsafe extern "C" {
    fn bulkhead_enter(guest: *mut Guest, host: *mut Host, calls: u32);
    #[cfg(feature = "shared")]
    fn bulkhead_enter_shared(guest: *mut Guest, host: *mut Host, calls: u32);
}

/// A page for the CPU's own use.
#[repr(C, align(4096))]
struct Page([u8; 4096]);

/// What a pCPU keeps of the hypervisor's state while a guest runs.
#[repr(C)]
pub struct Host {
    /// FS, GS, TR, LDTR and the system call registers.
    block: Vmcb,
    /// Where VMRUN saves the rest (15.30.4).
    saved: Page,
}

static MSR_MAPS: MsrMaps<MsrPermissions> = MsrMaps::new();
#[cfg(feature = "shared")]
static SHARED: [ConstStaticCell<Guest>; crate::seat::VCPUS] =
    [const { ConstStaticCell::new(Guest::NEW) }; crate::seat::VCPUS];
/// Which I/O ports exit, for every virtual CPU: all.
static IO_PERMISSIONS: IoPermissions = IoPermissions::closed();

static GUESTS: [ConstStaticCell<Guest>; PCPUS] =
    [const { ConstStaticCell::new(Guest::NEW) }; PCPUS];
static HOSTS: [ConstStaticCell<Host>; PCPUS] = [const {
    ConstStaticCell::new(Host {
        block: Vmcb::ZERO,
        saved: Page([0; 4096]),
    })
}; PCPUS];

/// Builds what virtual CPUs run with. Called once, by the boot CPU.
pub fn prepare() {
    MSR_MAPS.prepare();
}

#[cfg(feature = "shared")]
impl super::SharedWorld for Guest {
    fn sharing(place: usize) -> Option<&'static mut Self> {
        let guest = SHARED.get(place)?.take();
        guest.shares = true;
        guest.permissions.io = (&raw const IO_PERMISSIONS) as u64;
        Some(guest)
    }
}

/// Enables SVM on this pCPU. Returns what its virtual CPU runs with.
///
/// # Safety
/// The CPU has SVM, and its descriptor tables are loaded.
pub unsafe fn enable(index: usize) -> Option<(&'static mut Guest, &'static mut Host)> {
    /// VM_HSAVE_PA.
    const HOST_SAVE: u32 = 0xc001_0117;
    let (guest, host) = (GUESTS.get(index)?.take(), HOSTS.get(index)?.take());
    guest.permissions.io = (&raw const IO_PERMISSIONS) as u64;
    // SAFETY: the caller says that the CPU has SVM; the pages are mapped where they are, and nobody else uses them.
    unsafe {
        Efer::update(|efer| efer.insert(EferFlags::SECURE_VIRTUAL_MACHINE_ENABLE));
        Msr::new(HOST_SAVE).write((&raw const host.saved) as u64);
        asm!("vmsave rax", in("rax") &raw mut host.block, options(nostack));
    }
    Some((guest, host))
}

impl World for Guest {
    type Host = Host;

    fn msr_map(partition: PartitionId) -> u64 {
        MSR_MAPS.of(partition)
    }

    #[inline]
    fn enter(&mut self, host: &mut Host, calls: u32) {
        // SAFETY: both are mapped where they are and are this CPU's own, and the permission maps and nested tables that the guest's block
        // names are those that `prepare` and `start` built. Interrupts are masked in the hypervisor.
        unsafe {
            #[cfg(feature = "shared")]
            if self.shares {
                return bulkhead_enter_shared(self, host, calls);
            }
            bulkhead_enter(self, host, calls);
        }
    }
}
