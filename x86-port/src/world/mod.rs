//! The world switch, by the extension that the CPU has.

mod msr_maps;
pub mod svm;
pub mod vmx;

use core::arch::asm;

use model::PartitionId;
use x86_64::registers::control::{Cr4, Cr4Flags};
use x86_64::registers::xcontrol::XCr0;
use x86_port::guest::Guest;
use x86_port::vendor::{self, Virtualization};

use crate::cpu;

/// A virtual CPU that this machine can enter.
pub trait World: Guest + 'static {
    /// What a pCPU keeps of the hypervisor's state meanwhile.
    type Host;

    /// Physical address of the map that says which MSRs of a partition's virtual CPUs exit: [`prepare`] has filled it.
    fn msr_map(partition: PartitionId) -> u64;

    /// Runs the guest until it exits. When there were more than `calls` [`calls`](crate::exceptions::calls), that is at once.
    fn enter(&mut self, host: &mut Self::Host, calls: u32);
}

/// Builds what all virtual CPUs share. Called once, by the boot CPU, which has seen that it can run partitions.
pub fn prepare() {
    match vendor::detect(&cpu::This) {
        Ok(Virtualization::Svm(_)) => svm::prepare(),
        Ok(Virtualization::Vmx(_)) => vmx::prepare(),
        Err(_) => {}
    }
}

/// One that can share a pCPU.
#[cfg(feature = "shared")]
pub trait SharedWorld: World + x86_port::guest::Shared {
    /// The virtual CPU at this place among all of the system, which shares the calling pCPU, once. `None`: there is none, or the CPU refuses it.
    fn sharing(place: usize) -> Option<&'static mut Self>;

    /// Takes out of the pCPU what of the guest stays there between its exits.
    fn put_down(&mut self) {}

    /// Has the guest exit after so many ticks, where the extension has a timer of its own for that.
    fn limit(&mut self, _ticks: u64) {}

    /// Puts it into the pCPU. Called before the guest is looked at.
    fn take_up(&mut self) {}
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
        Cr4::write(kept | Cr4Flags::OSFXSR);
        asm!("fxrstor [{}]", in(reg) &raw const FRESH, options(nostack, readonly));
        if cpu::has_xsave() {
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
        XCr0::write_raw(1);
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
