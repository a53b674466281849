//! Intel's world switch: VMLAUNCH and VMRESUME with all registers of both sides (Intel SDM volume 3, chapters 25 to 28).

use core::arch::{asm, global_asm};
use core::ffi::c_void;

use hv::sync::BootCell;
use model::PartitionId;
use static_cell::{ConstStaticCell, StaticCell};
use x86_64::instructions::tables::{sgdt, sidt};
use x86_64::registers::control::{Cr0, Cr0Flags, Cr3, Cr4, Cr4Flags};
use x86_64::registers::model_specific::{Efer, Msr};
use x86_port::vmx::controls::{self, Controls};
use x86_port::vmx::field::{Vmcs, host, information};
use x86_port::vmx::guest::{Attempt, Guest, Setup};
use x86_port::vmx::permissions::MsrBitmap;

#[cfg(feature = "shared")]
mod kept;

use super::World;
use super::msr_maps::MsrMaps;
use crate::cpu;
use crate::early::stop;
use crate::storage::PCPUS;

global_asm!(
    r#"
    .pushsection .text.world, "ax"
    /* extern "C" fn(guest: rdi, launched: esi, calls: edx) -> eax, an `Outcome`. There is no flag that holds NMIs back: one that comes between the look
       at the calls and the entry has its handler go on at bulkhead_vmx_called. The guest's registers are still in memory then, and the stack is
       as it was at the look. One that comes later ends the guest. */
    .global bulkhead_vmx_enter
bulkhead_vmx_enter:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq %rdi
    movl $0x6c14, %eax
    vmwrite %rsp, %rax
    .global bulkhead_vmx_window
bulkhead_vmx_window:
    cmpl %edx, bulkhead_calls(%rip)
    jne bulkhead_vmx_called
    testl %esi, %esi
    movq 0x00(%rdi), %rax
    movq 0x08(%rdi), %rbx
    movq 0x10(%rdi), %rcx
    movq 0x18(%rdi), %rdx
    movq 0x20(%rdi), %rsi
    movq 0x30(%rdi), %rbp
    movq 0x38(%rdi), %r8
    movq 0x40(%rdi), %r9
    movq 0x48(%rdi), %r10
    movq 0x50(%rdi), %r11
    movq 0x58(%rdi), %r12
    movq 0x60(%rdi), %r13
    movq 0x68(%rdi), %r14
    movq 0x70(%rdi), %r15
    movq 0x28(%rdi), %rdi
    jnz 1f
    vmlaunch
    jmp bulkhead_vmx_window_end
1:  vmresume
    .global bulkhead_vmx_window_end
bulkhead_vmx_window_end:
    movl $2, %eax
    jmp 2f
    .global bulkhead_vmx_called
bulkhead_vmx_called:
    movl $1, %eax
2:  addq $8, %rsp
    jmp 3f

    /* The CPU comes here from the guest, with the stack as it was at VMWRITE. */
    .global bulkhead_vmx_exit
bulkhead_vmx_exit:
    xchgq %rdi, (%rsp)
    movq %rax, 0x00(%rdi)
    movq %rbx, 0x08(%rdi)
    movq %rcx, 0x10(%rdi)
    movq %rdx, 0x18(%rdi)
    movq %rsi, 0x20(%rdi)
    movq %rbp, 0x30(%rdi)
    movq %r8, 0x38(%rdi)
    movq %r9, 0x40(%rdi)
    movq %r10, 0x48(%rdi)
    movq %r11, 0x50(%rdi)
    movq %r12, 0x58(%rdi)
    movq %r13, 0x60(%rdi)
    movq %r14, 0x68(%rdi)
    movq %r15, 0x70(%rdi)
    popq 0x28(%rdi)
    xorl %eax, %eax
3:  popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret
    .popsection
    "#,
    options(att_syntax)
);

unsafe extern "C" {
    fn bulkhead_vmx_enter(guest: *mut c_void, launched: u32, calls: u32) -> u32;
    static bulkhead_vmx_exit: u8;
}

/// What [`bulkhead_vmx_enter`] returns where the guest has not exited.
mod outcome {
    /// This CPU was called before the guest was entered.
    pub const CALLED: u32 = 1;
    /// The CPU does not take the control structure.
    pub const FAILED: u32 = 2;
}

/// A page for the CPU's own use, which begins with the number of its format.
#[repr(C, align(4096))]
struct Page([u32; 1024]);

/// What a pCPU has of its own: the page that VMXON names.
pub struct Host(Page);

/// Which MSRs exit, for every virtual CPU: how `prepare` fills it, and what it makes of it.
static MSR_MAPS: MsrMaps<MsrBitmap> = MsrMaps::new();
static SETUP: BootCell<Setup> = BootCell::new();

static GUESTS: [StaticCell<Guest<Current>>; PCPUS] = [const { StaticCell::new() }; PCPUS];
static STRUCTURES: [ConstStaticCell<Page>; PCPUS] =
    [const { ConstStaticCell::new(Page([0; 1024])) }; PCPUS];
static HOSTS: [ConstStaticCell<Host>; PCPUS] =
    [const { ConstStaticCell::new(Host(Page([0; 1024]))) }; PCPUS];

/// STAR, LSTAR, CSTAR, FMASK, KERNEL_GS_BASE: a guest's stay in the CPU between its exits.
const KEPT_BY_CPU: [u32; 5] = [
    0xc000_0081,
    0xc000_0082,
    0xc000_0083,
    0xc000_0084,
    0xc000_0102,
];

/// A control structure that is the current one of this CPU whenever its guest is looked at.
pub struct Current {
    /// Where it is.
    #[cfg(feature = "shared")]
    page: &'static Page,
    /// The guest was entered before.
    launched: bool,
    /// What the CPU keeps of the guest, while another one has it.
    #[cfg(feature = "shared")]
    kept: kept::Kept,
}

/// A virtual CPU of this vendor's.
#[cfg(feature = "shared")]
pub type Vcpu = Guest<Current>;

impl Current {
    /// Makes a page the CPU's current control structure, as the hypervisor's state is now. `None`: the CPU refuses.
    ///
    /// # Safety
    /// VMX is enabled on this CPU.
    unsafe fn make(page: &'static mut Page, revision: u32) -> Option<Self> {
        let Page([first, ..]) = page;
        *first = revision;
        let address = &raw const *page;
        let (clear, load): (u8, u8);
        // SAFETY: the caller says that the CPU has the instructions; the page is mapped where it is, and nobody else uses it.
        unsafe {
            asm!("vmclear [{}]", "setna {}", in(reg) &raw const address, out(reg_byte) clear);
            asm!("vmptrld [{}]", "setna {}", in(reg) &raw const address, out(reg_byte) load);
        }
        let mut made = Self {
            #[cfg(feature = "shared")]
            page,
            launched: false,
            #[cfg(feature = "shared")]
            kept: kept::Kept::NEW,
        };
        if (clear, load) != (0, 0) {
            return None;
        }
        save_host(&mut made);
        Some(made)
    }
}

impl Vmcs for Current {
    fn read(&self, field: u32) -> u64 {
        let value: u64;
        // SAFETY: the structure is current on this CPU, which alone has this value; reading concerns no memory. A field that the CPU lacks leaves 0.
        unsafe {
            asm!(
                "xor {value:e}, {value:e}",
                "vmread {value}, {field}",
                value = out(reg) value,
                field = in(reg) u64::from(field),
                options(nostack)
            );
        }
        value
    }

    fn write(&mut self, field: u32, value: u64) {
        // SAFETY: as for `read`. What the fields ask for is decided where they are written; the host's are written by `enable` alone.
        unsafe {
            asm!(
                "vmwrite {field}, {value}",
                field = in(reg) u64::from(field),
                value = in(reg) value,
                options(nostack)
            );
        }
    }

    fn renew(&mut self, vpid: u16) {
        /// One tag, all its translations.
        const ONE: u64 = 1;
        let descriptor = [u64::from(vpid), 0];
        // SAFETY: the hypervisor uses none of these registers, no breakpoint is armed, and forgetting translations harms nobody. `prepare` has seen that
        // the CPU has INVVPID where a tag is used. Who has long mode and RDTSCP has the MSRs.
        unsafe {
            if vpid != 0 {
                asm!("invvpid {kind}, [{tag}]", kind = in(reg) ONE, tag = in(reg) &raw const descriptor, options(nostack));
            }
            let tsc_aux = cpu::has_tsc_aux().then_some(cpu::TSC_AUX);
            for register in KEPT_BY_CPU.into_iter().chain(tsc_aux) {
                Msr::new(register).write(0);
            }
            asm!("mov cr2, {zero}", "mov dr6, {dr6}", zero = in(reg) 0u64, dr6 = in(reg) 0xffff_0ff0u64, options(nostack, nomem));
        }
    }

    fn take_nmi(&mut self) {
        // SAFETY: the gate is the one for NMIs, whose handler returns by IRET.
        unsafe { asm!("int 2") };
    }

    fn add_to_dr6(&mut self, bits: u64) {
        // SAFETY: DR6 is the guest's: the hypervisor has no breakpoints.
        unsafe {
            asm!("mov {0}, dr6", "or {0}, {1}", "mov dr6, {0}", out(reg) _, in(reg) bits, options(nostack, nomem));
        }
    }

    fn set_xcr0(&mut self, value: u64) {
        // SAFETY: the trait says that the value is one that this CPU takes, and the guest, which has executed the instruction, has it.
        unsafe { cpu::set_guest_xcr0(value) };
    }
}

/// The controls of this CPU's structures.
pub fn controls() -> Controls {
    match controls::choose(&cpu::This) {
        Ok(controls) => controls,
        Err(lack) => stop(format_args!("this CPU cannot run partitions: {lack:x?}")),
    }
}

/// Builds what all virtual CPUs share. Called once, by the boot CPU.
pub fn prepare() {
    MSR_MAPS.prepare();
    let components = cpu::cpuid(0xd, 0);
    let setup = Setup {
        controls: controls(),
        xcr0: u64::from(components.edx) << 32 | u64::from(components.eax),
        shares: None,
    };
    if SETUP.set(setup).is_err() {
        stop(format_args!("the virtual CPUs were prepared twice"));
    }
    #[cfg(feature = "shared")]
    kept::prepare(&setup.controls);
}

/// Enables VMX on this pCPU. Returns what its virtual CPU runs with. `None`: it cannot be enabled as on the boot CPU.
///
/// # Safety
/// The CPU has VMX with the controls that `prepare` was called with, and its own map and descriptor tables are loaded.
pub unsafe fn enable(index: usize) -> Option<(&'static mut Guest<Current>, &'static mut Host)> {
    /// IA32_FEATURE_CONTROL: lock, and VMX outside SMX.
    const FEATURE_CONTROL: u32 = 0x3a;
    const LOCKED: u64 = 1 << 0;
    const OUTSIDE_SMX: u64 = 1 << 2;
    /// INVEPT of all translations, and its descriptor.
    const EVERYTHING: u64 = 2;
    static NOTHING_NAMED: [u64; 2] = [0; 2];
    let setup = *SETUP.get()?;
    let host = HOSTS.get(index)?.take();
    let Host(Page([first, ..])) = host;
    *first = setup.controls.revision;
    let operation = &raw const *host;
    // SAFETY: the caller says that the CPU has VMX and INVEPT; the pages are mapped where they are, and nobody else uses them.
    let current = unsafe {
        let mut feature = Msr::new(FEATURE_CONTROL);
        let value = feature.read();
        if value & LOCKED == 0 {
            feature.write(value | LOCKED | OUTSIDE_SMX);
        }
        Cr0::update(|cr0| cr0.insert(Cr0Flags::NUMERIC_ERROR));
        Cr4::update(|cr4| cr4.insert(Cr4Flags::VIRTUAL_MACHINE_EXTENSIONS));
        let (on, forget): (u8, u8);
        asm!("vmxon [{}]", "setna {}", in(reg) &raw const operation, out(reg_byte) on);
        if on != 0 {
            return None;
        }
        asm!("invept {}, [{}]", "setna {}", in(reg) EVERYTHING, in(reg) &raw const NOTHING_NAMED, out(reg_byte) forget);
        if forget != 0 {
            return None;
        }
        Current::make(STRUCTURES.get(index)?.take(), setup.controls.revision)?
    };
    let guest = GUESTS.get(index)?.init(Guest::new(current, setup));
    Some((guest, host))
}

/// What the CPU is to load when a guest exits: what it has now.
fn save_host(vmcs: &mut impl Vmcs) {
    /// IA32_PAT.
    const PAT: u32 = 0x277;
    let (code, stack, task): (u16, u16, u16);
    // SAFETY: reading selectors and the PAT has no effect.
    let pat = unsafe {
        asm!("mov {:x}, cs", out(reg) code, options(nostack, nomem));
        asm!("mov {:x}, ss", out(reg) stack, options(nostack, nomem));
        asm!("str {:x}", out(reg) task, options(nostack, nomem));
        Msr::new(PAT).read()
    };
    let selectors = [stack, code, stack, stack, 0, 0, task];
    for (step, selector) in (0..).step_by(2).zip(selectors) {
        vmcs.write(host::SELECTOR + step, u64::from(selector & !7));
    }
    let gdt = sgdt().base;
    let descriptor = gdt
        .as_ptr::<u8>()
        .wrapping_add(usize::from(task & !7))
        .cast::<[u64; 2]>();
    // SAFETY: the task register was loaded from this descriptor, which stays where it is.
    let [low, high] = unsafe { descriptor.read_unaligned() };
    let base = low >> 16 & 0xff_ffff | low >> 56 << 24 | high << 32;
    for field in host::ZERO {
        vmcs.write(field, 0);
    }
    for (field, value) in [
        (host::CR0, Cr0::read_raw()),
        (host::CR3, Cr3::read().0.start_address().as_u64()),
        (host::CR4, Cr4::read_raw()),
        (host::EFER, Efer::read_raw()),
        (host::PAT, pat),
        (host::TR_BASE, base),
        (host::GDTR_BASE, gdt.as_u64()),
        (host::IDTR_BASE, sidt().base.as_u64()),
        (host::RIP, &raw const bulkhead_vmx_exit as u64),
    ] {
        vmcs.write(field, value);
    }
}

impl World for Guest<Current> {
    type Host = Host;

    fn msr_map(partition: PartitionId) -> u64 {
        MSR_MAPS.of(partition)
    }

    fn enter(&mut self, _: &mut Host, calls: u32) {
        let launched = self.structure().launched.into();
        let guest = (&raw mut *self).cast();
        // SAFETY: the guest and its control structure are this CPU's own; the bitmap and the page tables that it names are those that `prepare` and
        // `start` built. Interrupts are masked in the hypervisor.
        let outcome = unsafe { bulkhead_vmx_enter(guest, launched, calls) };
        self.attempt = match outcome {
            outcome::CALLED => Attempt::Called,
            outcome::FAILED => {
                let error = self.structure().read(information::INSTRUCTION_ERROR);
                defmt::error!("VM entry: instruction error {=u64}", error);
                Attempt::Failed
            }
            _ => {
                self.structure().launched = true;
                Attempt::Exited
            }
        };
    }
}
